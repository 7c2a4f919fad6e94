//! Staying awake between two requests that come close upon each other. Going to sleep and being
//! woken takes tens of microseconds on a virtual machine, more than all the work on a small
//! request. So a busy engine looks around for a moment before it sleeps: as long as that pays, and
//! never where it would take the only processor from the model.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::task::yield_now;
use tokio::time::sleep;

use crate::{heap, shared};

/// How long to look around.
const MOMENT: Duration = Duration::from_micros(100);
/// How sure one can be that it pays.
const SURE: u32 = 16;
/// While it does not pay, it is tried once in so many times.
const TRIAL: u64 = 32;
/// How often memory that is not needed any more is let go. Beside this timer, one that is due later
/// costs the runtime no system call, and what servers wait for at most is due later.
const BEAT: Duration = Duration::from_secs(10);

/// Notices that something happens.
#[derive(Clone, Debug, Default)]
pub(crate) struct Vigil(Arc<Watched>);

#[derive(Debug, Default)]
struct Watched {
    happenings: AtomicU64,
    happened: Notify,
}

impl Vigil {
    /// Something has happened; more may follow at once.
    pub(crate) fn note(&self) {
        self.0.happenings.fetch_add(1, Ordering::Relaxed);
        self.0.happened.notify_one();
    }

    /// Begins to look around. Needs a runtime to run on.
    pub(crate) fn keep(&self) {
        tokio::spawn(async {
            loop {
                sleep(BEAT).await;
                shared::trim();
                heap::trim();
            }
        });
        if std::thread::available_parallelism().is_ok_and(|processors| processors.get() > 1) {
            tokio::spawn(self.clone().look_around());
        }
    }

    async fn look_around(self) {
        let happenings = || self.0.happenings.load(Ordering::Relaxed);
        let mut confidence = SURE;
        loop {
            self.0.happened.notified().await;
            let seen = happenings();
            if confidence < SURE / 2 && !seen.is_multiple_of(TRIAL) {
                continue;
            }
            let until = Instant::now() + MOMENT;
            while happenings() == seen && Instant::now() < until {
                // The model and the clients, whose work this waits for, may need this processor.
                std::thread::yield_now();
                yield_now().await;
            }
            confidence = if happenings() == seen {
                confidence.saturating_sub(1)
            } else {
                (confidence + 1).min(SURE)
            };
        }
    }
}
