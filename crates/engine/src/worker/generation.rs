//! Generations: workers that serve and are replaced together.

use std::sync::Arc;
use std::time::Duration;

use ai_integration_contract::Error;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::scheduler::worker::WorkerId;

/// Workers that were started together, one in each slot, and are restarted when they end.
#[derive(Debug)]
pub(super) struct Generation {
    /// Cancelled when the generation must not serve, or the server stops.
    pub(super) drain: CancellationToken,
    /// True once the workers may take jobs.
    pub(super) admitted: watch::Sender<bool>,
    /// The number of workers that became ready before the generation was admitted.
    pub(super) ready: watch::Sender<usize>,
    /// The reason why the generation cannot be admitted.
    pub(super) broken: watch::Sender<Option<Error>>,
}

/// The place of a worker in its generation, which it keeps when it is restarted.
#[derive(Clone, Debug)]
pub(super) struct Seat {
    pub(super) generation: Arc<Generation>,
    /// Cancelled when another worker takes over.
    pub(super) drain: CancellationToken,
}

/// One life of a worker, from the start of its process to its end.
#[derive(Clone, Debug)]
pub(super) struct Life {
    pub(super) worker: WorkerId,
    pub(super) slot: usize,
    pub(super) seat: Seat,
    /// Cancelled when the process has ended, or another worker has taken over.
    pub(super) over: CancellationToken,
}

impl Generation {
    pub(super) fn new(stop: &CancellationToken, is_admitted: bool) -> Self {
        Generation {
            drain: stop.child_token(),
            admitted: watch::channel(is_admitted).0,
            ready: watch::channel(0).0,
            broken: watch::channel(None).0,
        }
    }

    /// Makes the place of one worker.
    pub(super) fn seat(self: &Arc<Self>) -> Seat {
        Seat { generation: self.clone(), drain: self.drain.child_token() }
    }

    pub(super) fn is_admitted(&self) -> bool {
        *self.admitted.borrow()
    }

    /// Reports that a worker is ready, and waits until the generation is admitted.
    pub(super) async fn admission(&self) {
        if !self.is_admitted() {
            self.ready.send_modify(|ready| *ready += 1);
        }
        let _ = self.admitted.subscribe().wait_for(|admitted| *admitted).await;
    }
}

impl Seat {
    /// Waits for a time. Returns false at once if another worker takes over.
    pub(super) async fn pause(&self, time: Duration) -> bool {
        tokio::select! {
            () = sleep(time) => true,
            () = self.drain.cancelled() => false,
        }
    }
}
