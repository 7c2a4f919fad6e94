//! The policy of batches: their maximum size, and the time for which a batch waits for further
//! jobs.

use tokio::time::Instant;

use super::pace::Arrivals;
use crate::link::message::Batching;

/// The rules of the model for batches, and the observations that decide how long a batch waits.
#[derive(Debug, Default)]
pub(super) struct BatchPolicy {
    batching: Option<Batching>,
    arrivals: Arrivals,
    /// The size of the latest batch. The next one is likely to have the same size.
    latest: usize,
    /// The number of requests that are being received.
    announced: usize,
}

impl BatchPolicy {
    /// Sets the model's rules; `None` if it takes jobs one by one.
    pub(super) fn set(&mut self, batching: Option<Batching>) {
        self.batching = batching;
    }

    /// Counts a request that is being received. Returns true if a batch may wait for it; then
    /// [`BatchPolicy::arrived`] must follow.
    pub(super) fn announce(&mut self) -> bool {
        self.announced += usize::from(self.batching.is_some());
        self.batching.is_some()
    }

    /// Counts an announced request as received or given up.
    pub(super) fn arrived(&mut self) {
        self.announced -= 1;
    }

    /// Records that a job was submitted.
    pub(super) fn submitted(&mut self, now: Instant) {
        if self.batching.is_some() {
            self.arrivals.record(now);
        }
    }

    /// Records that a batch of this size was handed out.
    pub(super) fn handed_out(&mut self, size: usize) {
        self.latest = size;
    }

    /// Returns the maximum size of a batch.
    pub(super) fn max_size(&self) -> usize {
        self.batching.as_ref().map_or(1, |batching| batching.max_size.max(1))
    }

    /// Returns the time until which a batch of `size` jobs may wait for more, if its oldest job was
    /// submitted at `oldest`. `None` if no further jobs are expected.
    pub(super) fn wait_until(&self, size: usize, oldest: Instant) -> Option<Instant> {
        let max_wait = self.batching.as_ref()?.max_wait();
        if self.announced == 0 && size >= self.latest {
            return None;
        }
        let quiet = self.arrivals.quiet(self.announced, max_wait)?;
        Some(quiet.min(oldest + max_wait))
    }
}
