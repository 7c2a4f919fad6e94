//! Pauses before the restart of a program that fails repeatedly, and between the replacements of
//! workers that report that they are broken.

use std::time::Duration;

use tokio::time::Instant;

/// The pause after the first failed start.
const FIRST: Duration = Duration::from_millis(100);
/// The pause after the first replacement. Later pauses double.
const FIRST_REPLACEMENT: Duration = Duration::from_secs(1);
/// The longest pause between replacements. After this time without a replacement, the pauses begin
/// again with the shortest one.
const LONGEST_REPLACEMENT: Duration = Duration::from_mins(5);

/// Pauses between failed starts, which double from 0.1 s to 30 s, for a number of attempts.
#[derive(Debug)]
pub(super) struct Backoff {
    attempts: usize,
    failures: usize,
}

impl Backoff {
    /// The longest pause.
    pub(super) const LONGEST: Duration = Duration::from_secs(30);

    pub(super) fn new(attempts: usize) -> Self {
        Backoff { attempts, failures: 0 }
    }

    /// Forgets the failures, because the program has served.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }

    /// Returns the pause after one more failed attempt; `None` after the last one.
    pub(super) fn next(&mut self) -> Option<Duration> {
        self.failures += 1;
        if self.failures >= self.attempts {
            return None;
        }
        let doublings = (self.failures - 1).min(16);
        Some((FIRST * (1 << doublings)).min(Self::LONGEST))
    }
}

/// Pauses between replacements, which double from 1 s to 5 min, and last at least as long as the
/// last replacement took.
#[derive(Debug, Default)]
pub(super) struct ReplacementPauses {
    pause: Duration,
    last: Option<Instant>,
}

impl ReplacementPauses {
    /// Returns the time until the next replacement may begin.
    pub(super) fn pause(&self) -> Duration {
        let Some(last) = self.last else { return Duration::ZERO };
        self.pause.saturating_sub(last.elapsed())
    }

    /// Records that a replacement has just ended, and the time that it took.
    pub(super) fn record(&mut self, time: Duration) {
        let is_first = self.last.is_none_or(|last| last.elapsed() > time + LONGEST_REPLACEMENT);
        let pause = if is_first { FIRST_REPLACEMENT } else { self.pause * 2 };
        self.pause = pause.max(time).min(LONGEST_REPLACEMENT);
        self.last = Some(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn pauses_between_replacements_grow_and_begin_again() {
        let mut pauses = ReplacementPauses::default();
        assert_eq!(pauses.pause(), Duration::ZERO);
        let mut seconds = Vec::new();
        for _ in 0..11 {
            pauses.record(Duration::from_secs(3));
            seconds.push(pauses.pause().as_secs());
            tokio::time::advance(pauses.pause() + Duration::from_secs(3)).await;
        }
        assert_eq!(seconds, [3, 6, 12, 24, 48, 96, 192, 300, 300, 300, 300]);
        tokio::time::advance(LONGEST_REPLACEMENT * 2).await;
        assert_eq!(pauses.pause(), Duration::ZERO);
        pauses.record(Duration::ZERO);
        assert_eq!(pauses.pause(), FIRST_REPLACEMENT);
    }

    #[test]
    fn pauses_double_up_to_a_bound_and_end() {
        let mut backoff = Backoff::new(12);
        let pauses: Vec<u128> =
            std::iter::from_fn(|| backoff.next()).map(|pause| pause.as_millis()).collect();
        assert_eq!(pauses, [100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000]);
        backoff.reset();
        assert_eq!(backoff.next(), Some(FIRST));
        assert_eq!(Backoff::new(1).next(), None);
    }
}
