//! Measurements: the rate at which jobs arrive, and the time that workers take for them.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// The number of arrivals that are kept.
const REMEMBERED: usize = 16;
/// A burst is over if no job arrives for this many times the usual interval between two jobs.
const QUIET: u32 = 8;

/// An estimate of the time that a worker takes for a batch. It rises fast and falls slowly, because
/// a job that waits behind a long one costs more than a short time without prefetched work.
#[derive(Debug, Default)]
pub(super) struct ServiceTime(Option<Duration>);

impl ServiceTime {
    /// Records the time that a batch took.
    pub(super) fn record(&mut self, sample: Duration) {
        self.0 = Some(match self.0 {
            Some(usual) if sample > usual => (usual + sample) / 2,
            Some(usual) => (usual * 15 + sample) / 16,
            None => sample,
        });
    }

    /// Returns the estimate; `None` before the first batch.
    pub(super) fn usual(&self) -> Option<Duration> {
        self.0
    }

    /// Returns the number of batches that a worker may hold if those after the first may take
    /// `work` together. Returns 1 until a time has been measured.
    pub(super) fn depth(&self, work: Duration, most: u32) -> u32 {
        let Some(usual) = self.0 else { return 1 };
        let ready = work.as_nanos() / usual.as_nanos().max(1);
        u32::try_from(ready).unwrap_or(u32::MAX).saturating_add(1).min(most)
    }
}

/// The times at which the latest jobs arrived.
#[derive(Debug, Default)]
pub(super) struct Arrivals(VecDeque<Instant>);

impl Arrivals {
    /// Records that a job has arrived.
    pub(super) fn record(&mut self, now: Instant) {
        if self.0.len() == REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back(now);
    }

    /// Returns the time until which a batch waits for a further job. `None` if none is expected: no
    /// request is `announced`, and the usual interval between two jobs (the median) is too long for
    /// one to arrive within `max_wait`.
    pub(super) fn quiet(&self, announced: usize, max_wait: Duration) -> Option<Instant> {
        let latest = *self.0.back()?;
        if announced > 0 {
            return Some(latest + max_wait);
        }
        let mut intervals: Vec<Duration> =
            self.0.iter().zip(self.0.iter().skip(1)).map(|(one, next)| *next - *one).collect();
        intervals.sort_unstable();
        let usual = *intervals.get(intervals.len() / 2)?;
        (usual * QUIET <= max_wait).then(|| latest + usual * QUIET)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLISECOND: Duration = Duration::from_millis(1);

    #[test]
    fn depth_follows_the_measured_time() {
        let mut service = ServiceTime::default();
        assert_eq!(service.depth(MILLISECOND, 16), 1);
        service.record(MILLISECOND * 100);
        assert_eq!(service.depth(MILLISECOND, 16), 1);
        (0..200).for_each(|_| service.record(Duration::from_micros(20)));
        assert_eq!(service.depth(MILLISECOND, 16), 16);
        service.record(MILLISECOND * 10);
        assert_eq!(service.depth(MILLISECOND, 16), 1);
    }

    #[test]
    fn a_batch_waits_while_a_burst_goes_on_and_not_for_a_lone_client() {
        let begin = Instant::now();
        let arrivals = |interval: Duration| {
            let mut arrivals = Arrivals::default();
            (0..20).for_each(|n| arrivals.record(begin + interval * n));
            (arrivals, begin + interval * 19)
        };
        let max_wait = MILLISECOND * 5;
        let (burst, latest) = arrivals(Duration::from_micros(40));
        assert_eq!(burst.quiet(0, max_wait), Some(latest + Duration::from_micros(320)));
        let (lone, latest) = arrivals(MILLISECOND * 10);
        assert_eq!(lone.quiet(0, max_wait), None);
        assert_eq!(lone.quiet(1, max_wait), Some(latest + max_wait));
    }
}
