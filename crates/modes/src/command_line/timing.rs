//! The statistics of the times that repeated runs of the model take.

use std::fmt;
use std::time::Duration;

/// The number of latest runs from which percentiles are computed. It bounds the memory of a loop.
const WINDOW: usize = 10_000;

/// The times of the runs so far.
#[derive(Debug, Default)]
pub(super) struct Timing {
    latest: std::collections::VecDeque<Duration>,
    total: Duration,
    successes: u32,
    failures: u32,
}

impl Timing {
    pub(super) fn record(&mut self, elapsed: Duration) {
        if self.latest.len() == WINDOW {
            self.latest.pop_front();
        }
        self.latest.push_back(elapsed);
        self.total += elapsed;
        self.successes = self.successes.saturating_add(1);
    }

    pub(super) fn record_failure(&mut self) {
        self.failures = self.failures.saturating_add(1);
    }

    pub(super) fn runs(&self) -> u32 {
        self.successes.saturating_add(self.failures)
    }

    pub(super) fn last(&self) -> String {
        self.latest.back().map_or("-".to_owned(), |last| format!("{:.3} s", last.as_secs_f64()))
    }
}

impl fmt::Display for Timing {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "run {}: last {}", self.runs(), self.last())?;
        if self.successes > 0 {
            let mut sorted: Vec<Duration> = self.latest.iter().copied().collect();
            sorted.sort_unstable();
            let percentile = |percent: usize| {
                let rank = (sorted.len() * percent).div_ceil(100).max(1);
                sorted[rank - 1].as_secs_f64()
            };
            let mean = self.total.as_secs_f64() / f64::from(self.successes);
            let (median, tail) = (percentile(50), percentile(95));
            let rate = if mean > 0.0 { 1.0 / mean } else { f64::INFINITY };
            write!(
                out,
                ", mean {mean:.3} s, p50 {median:.3} s, p95 {tail:.3} s, {rate:.1} per second"
            )?;
        }
        if self.failures > 0 {
            write!(out, ", {} failed", self.failures)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_times_of_the_runs_are_summarized() {
        let mut timing = Timing::default();
        (1..=100).for_each(|millis| timing.record(Duration::from_millis(millis * 10)));
        timing.record_failure();
        assert_eq!(
            timing.to_string(),
            "run 101: last 1.000 s, mean 0.505 s, p50 0.500 s, p95 0.950 s, 2.0 per second, 1 failed"
        );
    }
}
