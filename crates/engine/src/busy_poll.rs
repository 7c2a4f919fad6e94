//! Busy polling between requests that arrive shortly after each other. On a virtual machine it
//! takes tens of microseconds to fall asleep and to wake up, which is more than all the work on a
//! small request. So a busy engine polls for up to 100 microseconds before it sleeps. It does so
//! only while polling helps, and never on a machine with a single processor, which the model needs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::task::yield_now;

/// The time for which the engine polls before it sleeps.
const SPIN: Duration = Duration::from_micros(100);
/// The upper bound of the confidence, which counts successes: it rises by one if an event arrives
/// while the engine polls, and falls by one if none does.
const CONFIDENT: u32 = 16;
/// While the confidence is low, the engine polls only after one event of this many.
const TRIAL: u64 = 32;

/// Keeps the runtime awake for up to [`SPIN`] after each event.
#[derive(Clone, Debug, Default)]
pub(crate) struct BusyPoll(Arc<Activity>);

#[derive(Debug, Default)]
struct Activity {
    events: AtomicU64,
    woken: Notify,
}

impl BusyPoll {
    /// Records an event, after which the runtime stays awake.
    pub(crate) fn wake(&self) {
        self.0.events.fetch_add(1, Ordering::Relaxed);
        self.0.woken.notify_one();
    }

    /// Starts the polling task if there is a second processor. Must be called inside a tokio
    /// runtime.
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
                // The model or a client on this machine may need the processor to produce the next
                // event.
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
