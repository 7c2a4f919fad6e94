//! How long to wait before a program that keeps dying is started again.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(100);

/// Pauses that double from 0.1 s to 30 s, for a number of attempts.
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

    /// The program has served: the next pause is the first again.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }

    /// The pause after one more failed attempt; `None` when it was the last one.
    pub(super) fn next(&mut self) -> Option<Duration> {
        self.failures += 1;
        if self.failures >= self.attempts {
            return None;
        }
        let doublings = (self.failures - 1).min(16);
        Some((FIRST * (1 << doublings)).min(Self::LONGEST))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
