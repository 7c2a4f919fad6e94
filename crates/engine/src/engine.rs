//! The engine as requesters see it: requests go in, tickets come out. Whether the model runs under
//! an engine in this process or behind a queue elsewhere is not theirs to know.

pub(crate) mod embedded;
pub(crate) mod queue;
pub(crate) mod revision;
pub(crate) mod state;

use std::sync::Arc;
use std::time::Duration;

use ai_integration_contract::{Error, Outcome};
use tokio::sync::watch;

use self::embedded::{Announcement, Embedded};
use self::queue::Queue;
use self::revision::Revision;
use self::state::State;
use crate::job::request::Request;
use crate::job::ticket::Ticket;
use crate::model::Model;

/// A handle on whatever runs the model; clones are handles on the same one.
///
/// ```no_run
/// # async fn ask() -> Result<(), ai_integration_contract::Error> {
/// use ai_integration_contract::Inputs;
/// use ai_integration_engine::{Embedded, Engine, JobLimits, Request};
/// # let limits: JobLimits = unimplemented!();
///
/// let engine = Engine::from(Embedded::start(limits));
/// let outcome = engine.ask(Request::new(Inputs::new())).await?;
/// assert!(outcome.success);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Engine(Backend);

#[derive(Clone, Debug)]
enum Backend {
    Embedded(Embedded),
    Elsewhere(Arc<dyn Queue>),
}

impl From<Embedded> for Engine {
    fn from(embedded: Embedded) -> Self {
        Engine(Backend::Embedded(embedded))
    }
}

impl Engine {
    /// The engine behind a queue elsewhere.
    #[must_use]
    pub fn elsewhere(queue: Arc<dyn Queue>) -> Self {
        Engine(Backend::Elsewhere(queue))
    }

    /// Puts a request into the queue.
    ///
    /// # Errors
    /// The queue is full, the model cannot be had, or the inputs are too large.
    pub async fn submit(&self, request: Request) -> Result<Ticket, Error> {
        match &self.0 {
            Backend::Embedded(embedded) if request.is_large() => {
                embedded.submit(Box::pin(request.measured()).await?)
            }
            Backend::Embedded(embedded) => embedded.submit(request),
            Backend::Elsewhere(queue) => queue.submit(request).await,
        }
    }

    /// Submits a request and waits for its outcome.
    ///
    /// # Errors
    /// As [`Engine::submit`], and whatever keeps the model from answering: a crash, a timeout.
    pub async fn ask(&self, request: Request) -> Result<Outcome, Error> {
        self.submit(request).await?.outcome().await
    }

    /// Limits the time that a request asks for, by the engine's own; `None` for as long as it takes.
    #[must_use]
    pub fn limit(&self, timeout: Option<Duration>) -> Option<Duration> {
        match &self.0 {
            Backend::Embedded(embedded) => embedded.limit(timeout),
            Backend::Elsewhere(_) => timeout,
        }
    }

    /// Tells that a request has begun to arrive; `None` where no batch would wait for it.
    #[must_use]
    pub fn announce(&self) -> Option<Announcement> {
        match &self.0 {
            Backend::Embedded(embedded) => embedded.announce(),
            Backend::Elsewhere(_) => None,
        }
    }

    /// Waits until the model has described itself, or is known not to.
    ///
    /// # Errors
    /// The reason why the model cannot be had.
    pub async fn model(&self) -> Result<Arc<Model>, Error> {
        let (mut model, mut state) = (self.models(), self.state());
        loop {
            if let Some(model) = &*model.borrow_and_update() {
                return Ok(model.clone());
            }
            if let State::Failed(error) = &*state.borrow_and_update() {
                return Err(error.clone());
            }
            tokio::select! {
                _ = model.changed() => {}
                _ = state.changed() => {}
            }
        }
    }

    /// The model, if it has described itself already.
    #[must_use]
    pub fn model_now(&self) -> Option<Arc<Model>> {
        match &self.0 {
            Backend::Embedded(embedded) => embedded.model().borrow().clone(),
            Backend::Elsewhere(queue) => queue.model().borrow().clone(),
        }
    }

    fn models(&self) -> watch::Receiver<Option<Arc<Model>>> {
        match &self.0 {
            Backend::Embedded(embedded) => embedded.model().subscribe(),
            Backend::Elsewhere(queue) => queue.model(),
        }
    }

    /// The engine's state, now and as it changes.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<State> {
        match &self.0 {
            Backend::Embedded(embedded) => embedded.state().subscribe(),
            Backend::Elsewhere(queue) => queue.state(),
        }
    }

    /// The revision of the program, now and as it changes; `None` where it runs elsewhere.
    #[must_use]
    pub fn revision(&self) -> Option<watch::Receiver<Revision>> {
        match &self.0 {
            Backend::Embedded(embedded) => Some(embedded.revision().subscribe()),
            Backend::Elsewhere(_) => None,
        }
    }

    /// Jobs that wait for a worker, where that is known.
    #[must_use]
    pub fn queued(&self) -> usize {
        match &self.0 {
            Backend::Embedded(embedded) => embedded.load().0,
            Backend::Elsewhere(_) => 0,
        }
    }

    /// Appends the engine's metrics to `text`, in the words of OpenMetrics but without its end.
    pub fn encode_metrics(&self, text: &mut String) {
        if let Backend::Embedded(embedded) = &self.0 {
            embedded.encode_metrics(text);
        }
    }

    /// Ends everything that this process still waits for: jobs are answered with an error, and
    /// workers of this process are ended.
    pub fn shut_down(&self) {
        match &self.0 {
            Backend::Embedded(embedded) => embedded.shut_down(),
            Backend::Elsewhere(queue) => queue.shut_down(),
        }
    }
}

#[cfg(test)]
mod tests;
