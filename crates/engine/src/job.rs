//! A request on its way through the engine.

use std::sync::Arc;

use ai_integration_contract::{Error, Inputs, Outcome};
use tokio::sync::{mpsc, oneshot};

use crate::Event;

/// The number of a job, unique within an engine and increasing.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(transparent)]
pub struct JobId(pub u64);

/// A job: what the model is asked, and where the answer goes. Whoever holds it answers it or
/// passes it on; dropping it tells the requester that the engine is gone.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) id: JobId,
    pub(crate) inputs: Arc<Inputs>,
    pub(crate) outcome: oneshot::Sender<Result<Outcome, Error>>,
    /// Workers that ended while they had this job and had not begun it.
    pub(crate) losses: u32,
    /// Present when the requester follows the job while it runs.
    pub(crate) events: Option<mpsc::Sender<Event>>,
}

impl Job {
    /// Whether somebody still waits for the answer.
    pub(crate) fn is_wanted(&self) -> bool {
        !self.outcome.is_closed()
    }

    /// Ends the job.
    pub(crate) fn answer(self, outcome: Result<Outcome, Error>) {
        // A requester who has left needs no answer.
        let _ = self.outcome.send(outcome);
    }
}
