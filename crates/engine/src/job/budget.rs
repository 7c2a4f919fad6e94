//! Memory that requests may take up together.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Reservations up to this size may use the last eighth of a budget, so that a few large, slow requests
/// cannot lock out everyone else.
const SMALL: usize = 1 << 20;

/// A number of bytes of which requests take their part, for as long as they last.
#[derive(Clone, Debug)]
pub struct Budget(Arc<Counter>);

#[derive(Debug)]
struct Counter {
    most: usize,
    taken: AtomicUsize,
}

/// A part of a [`Budget`], given back when it is dropped.
#[derive(Debug)]
pub struct Reservation {
    budget: Budget,
    bytes: usize,
}

impl Budget {
    /// A budget of `most` bytes.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Budget(Arc::new(Counter { most, taken: AtomicUsize::new(0) }))
    }

    /// The bytes that are taken.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.0.taken.load(Ordering::Relaxed)
    }

    /// A reservation of no bytes yet.
    #[must_use]
    pub fn reserve(&self) -> Reservation {
        Reservation { budget: self.clone(), bytes: 0 }
    }
}

impl Reservation {
    /// Grows to `bytes`, if there are as many left; whether it has at least so many now.
    pub fn grow_to(&mut self, bytes: usize) -> bool {
        let more = bytes.checked_sub(self.bytes).filter(|more| *more > 0);
        let Some(more) = more else { return true };
        let Counter { most, taken } = &*self.budget.0;
        let most = if bytes > SMALL { most - most / 8 } else { *most };
        let add = |taken: usize| taken.checked_add(more).filter(|taken| *taken <= most);
        let has_grown = taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).is_ok();
        if has_grown {
            self.bytes = bytes;
        }
        has_grown
    }

    /// Grows by `bytes`, whether there are as many left or not: they are in use already.
    pub fn force(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_add(bytes);
        self.budget.0.taken.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Grows by `bytes`, if there are as many left.
    pub fn add(&mut self, bytes: usize) -> bool {
        self.bytes.checked_add(bytes).is_some_and(|bytes| self.grow_to(bytes))
    }

    /// Moves `bytes`, or all if there are fewer, into a reservation of their own: each of several
    /// jobs of one request takes its part of what was reserved for the whole.
    #[must_use]
    pub fn split(&mut self, bytes: usize) -> Reservation {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        Reservation { budget: self.budget.clone(), bytes }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.0.taken.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_eighth_is_for_small_parts() {
        let budget = Budget::new(SMALL * 16);
        let (mut large, mut small) = (budget.reserve(), budget.reserve());
        assert!(large.grow_to(SMALL * 14) && !large.grow_to(SMALL * 14 + 1));
        assert!(small.grow_to(SMALL) && !small.grow_to(SMALL + 1));
    }

    #[test]
    fn no_more_is_taken_than_there_is_and_all_is_given_back() {
        let budget = Budget::new(10);
        let (mut one, mut other) = (budget.reserve(), budget.reserve());
        assert!(one.grow_to(6) && other.grow_to(4) && one.grow_to(2));
        assert!(!other.grow_to(5) && !one.grow_to(usize::MAX));
        assert_eq!(budget.taken(), 10);
        drop(one);
        assert!(other.add(6) && !other.add(1) && !other.add(usize::MAX));
        drop(other);
        assert_eq!(budget.taken(), 0);
        let (mut one, mut other) = (budget.reserve(), budget.reserve());
        one.force(20);
        assert!(!other.add(1) && other.add(0));
        drop(one);
        assert!(other.add(1));
    }

    #[test]
    fn a_part_is_given_back_by_itself() {
        let budget = Budget::new(10);
        let mut whole = budget.reserve();
        assert!(whole.grow_to(8));
        let (mut one, rest) = (whole.split(3), whole.split(usize::MAX));
        assert_eq!(budget.taken(), 8);
        assert!(one.grow_to(5) && !whole.add(1));
        drop((whole, rest));
        assert_eq!(budget.taken(), 5);
        drop(one);
        assert_eq!(budget.taken(), 0);
    }
}
