//! How fast jobs come, and how fast they are worked off.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// Arrivals that are remembered.
const REMEMBERED: usize = 16;
/// No arrival for so many times the usual pause between two means that the burst is over.
const QUIET: u32 = 8;

/// How long a worker takes for a batch. Believes bad news at once and good news slowly: a job that
/// is caught behind a long one costs more than a moment without prefetched work.
#[derive(Debug, Default)]
pub(super) struct ServiceTime(Option<Duration>);

impl ServiceTime {
    pub(super) fn record(&mut self, sample: Duration) {
        self.0 = Some(match self.0 {
            Some(usual) if sample > usual => (usual + sample) / 2,
            Some(usual) => (usual * 15 + sample) / 16,
            None => sample,
        });
    }

    /// The latest belief; none before the first batch.
    pub(super) fn usual(&self) -> Option<Duration> {
        self.0
    }

    /// How many batches a worker may hold, when those after the first may be `work` together.
    /// One as long as nothing has been measured.
    pub(super) fn depth(&self, work: Duration, most: u32) -> u32 {
        let Some(usual) = self.0 else { return 1 };
        let ready = work.as_nanos() / usual.as_nanos().max(1);
        u32::try_from(ready).unwrap_or(u32::MAX).saturating_add(1).min(most)
    }
}

/// When the latest jobs came.
#[derive(Debug, Default)]
pub(super) struct Arrivals(VecDeque<Instant>);

impl Arrivals {
    pub(super) fn record(&mut self, now: Instant) {
        if self.0.len() == REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back(now);
    }

    /// Until when a further job has to come to be worth waiting for, if one is on its way: it is
    /// `announced`, or, by the usual pause between two jobs (their median), expected within
    /// `patience`.
    pub(super) fn quiet(&self, announced: usize, patience: Duration) -> Option<Instant> {
        let latest = *self.0.back()?;
        if announced > 0 {
            return Some(latest + patience);
        }
        let mut pauses: Vec<Duration> =
            self.0.iter().zip(self.0.iter().skip(1)).map(|(one, next)| *next - *one).collect();
        pauses.sort_unstable();
        let usual = *pauses.get(pauses.len() / 2)?;
        (usual * QUIET <= patience).then(|| latest + usual * QUIET)
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
        let arrivals = |pause: Duration| {
            let mut arrivals = Arrivals::default();
            (0..20).for_each(|n| arrivals.record(begin + pause * n));
            (arrivals, begin + pause * 19)
        };
        let patience = MILLISECOND * 5;
        let (burst, latest) = arrivals(Duration::from_micros(40));
        assert_eq!(burst.quiet(0, patience), Some(latest + Duration::from_micros(320)));
        let (lone, latest) = arrivals(MILLISECOND * 10);
        assert_eq!(lone.quiet(0, patience), None);
        assert_eq!(lone.quiet(1, patience), Some(latest + patience));
    }
}
