//! Memory that requests may take up together.
//!
//! A body takes its part as it comes, and until it is whole the part may be taken away again: when there
//! is no room for another one, bodies that come slowly give way (`ledger`).

mod ledger;

use std::future::poll_fn;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use self::ledger::{Asker, Ledger, TINY};

/// The time for which a body waits for room, and how often it looks whether there is some.
const PATIENCE: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_millis(20);
/// The time after which a body that waits takes the part of one that began later and waits as well:
/// somebody has to go on.
const PRESSING: Duration = Duration::from_millis(200);

/// A number of bytes of which requests take their part, for as long as they last.
#[derive(Clone, Debug)]
pub struct Budget(Arc<Mutex<Ledger>>);

/// A part of a [`Budget`], given back when it is dropped.
#[derive(Debug)]
pub struct Reservation {
    budget: Budget,
    holder: Option<IpAddr>,
    bytes: usize,
    /// The number under which the ledger has it, while the bytes are still coming.
    incoming: Option<u64>,
}

impl Budget {
    /// A budget of `most` bytes.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Budget(Arc::new(Mutex::new(Ledger::new(most))))
    }

    /// The bytes that are taken.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.ledger().taken()
    }

    /// Tells whether a part of `bytes` is possible at all, when nobody else has any.
    #[must_use]
    pub fn allows(&self, bytes: usize) -> bool {
        self.ledger().allows(bytes)
    }

    /// A reservation of no bytes yet. With a `holder`, all that he holds counts together.
    #[must_use]
    pub fn reserve(&self, holder: Option<IpAddr>) -> Reservation {
        Reservation { budget: self.clone(), holder, bytes: 0, incoming: None }
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reservation {
    /// Grows to `bytes`, if there are as many left or others give way; whether it has at least so many
    /// now.
    pub fn grow_to(&mut self, bytes: usize) -> bool {
        self.grow_after(Duration::ZERO, bytes)
    }

    /// Grows by `bytes`, if there are as many left or others give way.
    pub fn add(&mut self, bytes: usize) -> bool {
        self.bytes.checked_add(bytes).is_some_and(|bytes| self.grow_to(bytes))
    }

    /// Grows to `bytes`, for which it waits a little; whether it has at least so many now.
    pub async fn grow(&mut self, bytes: usize) -> bool {
        // The future of a wait is large, and few wait.
        self.grow_to(bytes) || Box::pin(self.wait_to_grow(bytes)).await
    }

    async fn wait_to_grow(&mut self, bytes: usize) -> bool {
        if self.has_given_way() || !self.budget.allows(bytes) {
            return false;
        }
        let Some(_waiting) = self.wait() else { return false };
        let begun = Instant::now();
        loop {
            sleep(LOOK).await;
            let waited = begun.elapsed();
            if self.grow_after(waited, bytes) {
                return true;
            }
            if waited >= PATIENCE || self.has_given_way() {
                return false;
            }
        }
    }

    /// Grows by `bytes`, for which it waits a little.
    pub async fn grow_by(&mut self, bytes: usize) -> bool {
        match self.bytes.checked_add(bytes) {
            Some(bytes) => self.grow(bytes).await,
            None => false,
        }
    }

    /// Grows by `bytes`, whether there are as many left or not: they are in use already.
    pub fn force(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_add(bytes);
        self.budget.ledger().take(self.holder, bytes);
    }

    /// Notes that what it is for is still coming: until [`Reservation::settle`] it may have to give way.
    pub fn receive(&mut self) {
        if self.incoming.is_none() {
            self.incoming = Some(self.budget.ledger().begin(self.holder, self.bytes));
        }
    }

    /// Notes that all has come, which is `bytes` or fewer. False where it has given way before.
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

    /// Waits until it has given way. What it was for has to be dropped then.
    pub async fn gives_way(&self) {
        poll_fn(|context| self.poll_gives_way(context)).await;
    }

    /// Tells whether it has given way, and wakes the task when it does.
    pub fn poll_gives_way(&self, context: &mut Context<'_>) -> Poll<()> {
        let Some(number) = self.incoming else { return Poll::Pending };
        if self.budget.ledger().watch(number, context.waker()) {
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    }

    /// Moves `bytes`, or all if there are fewer, into a reservation of their own: each of several
    /// jobs of one request takes its part of what was reserved for the whole.
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
            // So little that is whole already is not worth an account of its holder.
            is_noted: bytes > TINY || self.bytes > 0 || self.incoming.is_some(),
            is_pressing: waited >= PRESSING,
        };
        let has_grown = self.budget.ledger().ask(&asker);
        if has_grown {
            self.bytes = bytes;
            self.holder = self.holder.filter(|_| asker.is_noted);
        }
        has_grown
    }

    fn has_given_way(&self) -> bool {
        self.incoming.is_some_and(|number| !self.budget.ledger().has(number))
    }

    /// Takes a place among those that wait; `None` where too many do.
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
        // What has given way has given back its bytes.
        if self.incoming.is_none_or(|number| ledger.end(number)) {
            ledger.give_back(self.holder, self.bytes);
        }
    }
}

/// A place among those that wait for room.
struct Waiting {
    budget: Budget,
    number: Option<u64>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.budget.ledger().wait_no_more(self.number);
    }
}

#[cfg(test)]
mod tests;
