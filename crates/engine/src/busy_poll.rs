//! Staying awake between two requests that come close upon each other. Going to sleep and being
//! woken takes tens of microseconds on a virtual machine, more than all the work on a small
//! request. So a busy engine looks around for a moment before it sleeps: as long as that pays, and
//! never where it would take the only processor from the model.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::task::yield_now;

/// The time for which the engine polls before it sleeps.
const SPIN: Duration = Duration::from_micros(100);
/// The upper bound of the confidence that polling pays.
const CONFIDENT: u32 = 16;
/// While polling does not pay, it is tried once in this many times.
const TRIAL: u64 = 32;

/// Keeps the runtime awake for a moment after each event.
#[derive(Clone, Debug, Default)]
pub(crate) struct BusyPoll(Arc<Activity>);

#[derive(Debug, Default)]
struct Activity {
    events: AtomicU64,
    woken: Notify,
}

impl BusyPoll {
    /// Something has happened; more may follow at once.
    pub(crate) fn wake(&self) {
        self.0.events.fetch_add(1, Ordering::Relaxed);
        self.0.woken.notify_one();
    }

    /// Begins to poll, where there is a second processor for it. Needs a runtime to run on.
    pub(crate) fn start(&self) {
        if std::thread::available_parallelism().is_ok_and(|processors| processors.get() > 1) {
            tokio::spawn(self.clone().poll());
        }
    }

    async fn poll(self) {
        let events = || self.0.events.load(Ordering::Relaxed);
        let mut confidence = CONFIDENT;
        loop {
            self.0.woken.notified().await;
            let seen = events();
            if confidence < CONFIDENT / 2 && !seen.is_multiple_of(TRIAL) {
                continue;
            }
            let until = Instant::now() + SPIN;
            while events() == seen && Instant::now() < until {
                // The model and the clients, whose work this waits for, may need this processor.
                std::thread::yield_now();
                yield_now().await;
            }
            confidence = if events() == seen {
                confidence.saturating_sub(1)
            } else {
                (confidence + 1).min(CONFIDENT)
            };
        }
    }
}
