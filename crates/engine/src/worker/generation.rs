//! Workers that serve and are replaced together.

use std::sync::Arc;
use std::time::Duration;

use ai_integration_contract::Error;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// Workers that were started together: one for each slot, started again as they end.
#[derive(Debug)]
pub(super) struct Generation {
    /// Cancelled when it is not to serve, or everything stops.
    pub(super) drain: CancellationToken,
    /// True once its workers may take jobs.
    pub(super) admitted: watch::Sender<bool>,
    /// Workers that have become ready before they were admitted.
    pub(super) ready: watch::Sender<usize>,
    /// The reason why it cannot be admitted.
    pub(super) broken: watch::Sender<Option<Error>>,
}

/// The place of a worker, in which it is started again as it ends.
#[derive(Clone, Debug)]
pub(super) struct Seat {
    pub(super) generation: Arc<Generation>,
    /// Cancelled when another takes over.
    pub(super) drain: CancellationToken,
}

/// One life of a worker that asks to be replaced.
#[derive(Clone, Debug)]
pub(super) struct Life {
    pub(super) slot: usize,
    /// Cancelled when its process is gone, or others have taken over.
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

    /// A place for one of its workers.
    pub(super) fn seat(self: &Arc<Self>) -> Seat {
        Seat { generation: self.clone(), drain: self.drain.child_token() }
    }

    pub(super) fn is_admitted(&self) -> bool {
        *self.admitted.borrow()
    }

    /// Called by each worker that is ready: waits until all are.
    pub(super) async fn admission(&self) {
        if !self.is_admitted() {
            self.ready.send_modify(|ready| *ready += 1);
        }
        let _ = self.admitted.subscribe().wait_for(|admitted| *admitted).await;
    }
}

impl Seat {
    /// Lets time pass; false when the worker has to end instead.
    pub(super) async fn pause(&self, time: Duration) -> bool {
        tokio::select! {
            () = sleep(time) => true,
            () = self.drain.cancelled() => false,
        }
    }
}
