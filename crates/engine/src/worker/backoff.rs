//! Pauses: before a program that keeps dying is started again, and between the replacements of
//! workers that say that they are broken.

use std::time::Duration;

use tokio::time::Instant;

const FIRST: Duration = Duration::from_millis(100);
/// The first pause after a replacement; further ones double.
const FIRST_TURN: Duration = Duration::from_secs(1);
/// The longest pause between replacements. After as long without one the next has none.
const LONGEST_TURN: Duration = Duration::from_mins(5);

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

/// Pauses between replacements, which double from 1 s to 5 min, and are at least as long as the
/// last replacement took.
#[derive(Debug, Default)]
pub(super) struct Turns {
    pause: Duration,
    last: Option<Instant>,
}

impl Turns {
    /// The pause before the next replacement may begin.
    pub(super) fn pause(&self) -> Duration {
        let Some(last) = self.last else { return Duration::ZERO };
        self.pause.saturating_sub(last.elapsed())
    }

    /// Notes that a replacement has just ended, which took this long.
    pub(super) fn took(&mut self, time: Duration) {
        let is_first = self.last.is_none_or(|last| last.elapsed() > time + LONGEST_TURN);
        let pause = if is_first { FIRST_TURN } else { self.pause * 2 };
        self.pause = pause.max(time).min(LONGEST_TURN);
        self.last = Some(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn pauses_between_replacements_grow_and_are_forgotten() {
        let mut turns = Turns::default();
        assert_eq!(turns.pause(), Duration::ZERO);
        let mut pauses = Vec::new();
        for _ in 0..11 {
            turns.took(Duration::from_secs(3));
            pauses.push(turns.pause().as_secs());
            tokio::time::advance(turns.pause() + Duration::from_secs(3)).await;
        }
        assert_eq!(pauses, [3, 6, 12, 24, 48, 96, 192, 300, 300, 300, 300]);
        tokio::time::advance(LONGEST_TURN * 2).await;
        assert_eq!(turns.pause(), Duration::ZERO);
        turns.took(Duration::ZERO);
        assert_eq!(turns.pause(), FIRST_TURN);
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
