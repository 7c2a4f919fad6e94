//! The memory limit for all requests together.
//!
//! The reservation of a request body grows as the body is received. If there is no
//! memory for another request, a body that is not complete may have to *give way*: its reservation
//! is revoked, and its bytes are dropped. Bodies that arrive slowly give way first (`ledger`).

mod ledger;

use std::future::poll_fn;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use self::ledger::{Asker, Ledger, TINY};

/// The longest time for which a reservation waits for memory.
const MAX_WAIT: Duration = Duration::from_secs(1);
/// The time between two attempts of a reservation that waits.
const RETRY_INTERVAL: Duration = Duration::from_millis(20);
/// The time after which a waiting body may revoke the reservation of one that began later and waits
/// as well. Otherwise all of them would wait for each other.
const PREEMPT_AFTER: Duration = Duration::from_millis(200);

/// A memory limit in bytes, of which each request reserves a part for as long as it lives.
///
/// ```
/// use ai_integration_engine::Budget;
///
/// let budget = Budget::new(1000);
/// let mut reservation = budget.reserve(None);
/// assert!(reservation.grow_to(600));
/// assert!(!budget.reserve(None).grow_to(600), "only 400 bytes are left");
/// drop(reservation);
/// assert_eq!(budget.taken(), 0);
/// ```
#[derive(Clone, Debug)]
pub struct Budget(Arc<Mutex<Ledger>>);

/// A part of a [`Budget`], which gets it back when the reservation is dropped.
#[derive(Debug)]
pub struct Reservation {
    budget: Budget,
    holder: Option<IpAddr>,
    bytes: usize,
    /// The number of the entry in the ledger while the body is being received.
    incoming: Option<u64>,
}

impl Budget {
    /// Makes a budget of `most` bytes.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Budget(Arc::new(Mutex::new(Ledger::new(most))))
    }

    /// Returns the number of bytes that are reserved.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.ledger().taken()
    }

    /// Returns true if a reservation of `bytes` would be possible in an empty budget.
    #[must_use]
    pub fn allows(&self, bytes: usize) -> bool {
        self.ledger().allows(bytes)
    }

    /// Makes a reservation of 0 bytes. The reservations of the same `holder`, a client's address,
    /// count together: a client that holds more than a quarter of the budget gives way to others.
    #[must_use]
    pub fn reserve(&self, holder: Option<IpAddr>) -> Reservation {
        Reservation { budget: self.clone(), holder, bytes: 0, incoming: None }
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reservation {
    /// Grows the reservation to `bytes` if there is memory, or other requests give way. Returns
    /// true if it has at least that size now.
    pub fn grow_to(&mut self, bytes: usize) -> bool {
        self.grow_after(Duration::ZERO, bytes)
    }

    /// Grows the reservation by `bytes` if there is memory, or other requests give way. Returns
    /// true if it has grown.
    pub fn add(&mut self, bytes: usize) -> bool {
        self.bytes.checked_add(bytes).is_some_and(|bytes| self.grow_to(bytes))
    }

    /// Grows the reservation to `bytes`, and waits up to a second for memory. Returns true if it
    /// has at least that size now.
    pub async fn grow(&mut self, bytes: usize) -> bool {
        // Boxed because the future of a wait is large, and few reservations wait.
        self.grow_to(bytes) || Box::pin(self.wait_to_grow(bytes)).await
    }

    async fn wait_to_grow(&mut self, bytes: usize) -> bool {
        if self.has_given_way() || !self.budget.allows(bytes) {
            return false;
        }
        let Some(_waiting) = self.wait() else { return false };
        let begun = Instant::now();
        loop {
            sleep(RETRY_INTERVAL).await;
            let waited = begun.elapsed();
            if self.grow_after(waited, bytes) {
                return true;
            }
            if waited >= MAX_WAIT || self.has_given_way() {
                return false;
            }
        }
    }

    /// Grows the reservation by `bytes`, and waits up to a second for memory. Returns true if it
    /// has grown.
    pub async fn grow_by(&mut self, bytes: usize) -> bool {
        match self.bytes.checked_add(bytes) {
            Some(bytes) => self.grow(bytes).await,
            None => false,
        }
    }

    /// Grows the reservation by `bytes` that are in use already, even beyond the budget.
    pub fn force(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_add(bytes);
        self.budget.ledger().take(self.holder, bytes);
    }

    /// Marks the body as being received: until [`Reservation::settle`] the reservation may have to
    /// give way.
    pub fn receive(&mut self) {
        if self.incoming.is_none() {
            self.incoming = Some(self.budget.ledger().begin(self.holder, self.bytes));
        }
    }

    /// Marks the body as complete, and returns all memory beyond `bytes` to the budget. Returns
    /// false if the reservation had to give way before.
    pub fn settle(&mut self, bytes: usize) -> bool {
        let Some(number) = self.incoming else { return true };
        let mut ledger = self.budget.ledger();
        if !ledger.end(number) {
            return false;
        }
        self.incoming = None;
        let surplus = self.bytes.saturating_sub(bytes);
        self.bytes -= surplus;
        ledger.give_back(self.holder, surplus);
        true
    }

    /// Waits until the reservation has given way. The caller must drop the received bytes then.
    pub async fn gives_way(&self) {
        poll_fn(|context| self.poll_gives_way(context)).await;
    }

    /// Returns `Ready` if the reservation has given way, and otherwise wakes the task when it does.
    pub fn poll_gives_way(&self, context: &mut Context<'_>) -> Poll<()> {
        let Some(number) = self.incoming else { return Poll::Pending };
        if self.budget.ledger().watch(number, context.waker()) {
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    }

    /// Moves `bytes`, or all if there are fewer, into a new reservation. One request may become
    /// several jobs, and each of them holds its own part.
    #[must_use]
    pub fn split(&mut self, bytes: usize) -> Reservation {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        Reservation { budget: self.budget.clone(), holder: self.holder, bytes, incoming: None }
    }

    fn grow_after(&mut self, waited: Duration, bytes: usize) -> bool {
        if bytes <= self.bytes {
            return true;
        }
        let asker = Asker {
            number: self.incoming,
            holder: self.holder,
            bytes,
            more: bytes - self.bytes,
            // A small, complete body is not counted for its holder, to save the entry in the map.
            is_counted: bytes > TINY || self.bytes > 0 || self.incoming.is_some(),
            may_preempt: waited >= PREEMPT_AFTER,
        };
        let has_grown = self.budget.ledger().ask(&asker);
        if has_grown {
            self.bytes = bytes;
            self.holder = self.holder.filter(|_| asker.is_counted);
        }
        has_grown
    }

    fn has_given_way(&self) -> bool {
        self.incoming.is_some_and(|number| !self.budget.ledger().has(number))
    }

    /// Registers the reservation as waiting. Returns `None` if too many wait already.
    fn wait(&self) -> Option<Waiting> {
        let (budget, number) = (self.budget.clone(), self.incoming);
        let has_place = budget.ledger().wait(number);
        has_place.then(|| Waiting { budget, number })
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.bytes == 0 && self.incoming.is_none() {
            return;
        }
        let mut ledger = self.budget.ledger();
        // A reservation that has given way has returned its bytes already.
        if self.incoming.is_none_or(|number| ledger.end(number)) {
            ledger.give_back(self.holder, self.bytes);
        }
    }
}

/// The registration of a reservation that waits for memory, which ends when this is dropped.
struct Waiting {
    budget: Budget,
    number: Option<u64>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.budget.ledger().stop_waiting(self.number);
    }
}

#[cfg(test)]
mod tests;
