//! The engine as requesters see it: they submit requests and get tickets. They cannot tell whether
//! the model runs under an engine of this process or behind a remote queue.

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

/// A handle to the engine, whether it is the [`Embedded`] engine of this process or a remote
/// [`Queue`]. Clones are handles to the same engine.
///
/// ```
/// use ai_integration_contract::Inputs;
/// use ai_integration_engine::{Embedded, Engine, Event, JobLimits, Request};
/// # use ai_integration_contract::{Data, Outcome};
/// # use ai_integration_engine::{FromWorker, Link, Ready, ToWorker, serve_attached};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let limits = JobLimits {
/// #     queue: 16,
/// #     timeout: None,
/// #     grace: std::time::Duration::ZERO,
/// #     prefetch: true,
/// #     retry: true,
/// # };
/// let embedded = Embedded::start(limits);
/// // The front page of this crate shows how a worker joins the engine.
/// # let (link, mut worker) = Link::in_process();
/// # tokio::spawn(serve_attached(embedded.clone(), link));
/// # std::thread::spawn(move || {
/// #     worker.send(FromWorker::Ready(Ready::new(serde_json::json!({})))).unwrap();
/// #     while let Ok(Some(ToWorker::Job { id, .. })) = worker.receive() {
/// #         worker.send(FromWorker::Start(id, None)).unwrap();
/// #         worker.send(FromWorker::Chunk(id, None, Data::Text("hello".to_owned()))).unwrap();
/// #         let success = Outcome { success: true, ..Outcome::default() };
/// #         worker.send(FromWorker::Result(id, success)).unwrap();
/// #     }
/// # });
/// let engine = Engine::from(embedded);
///
/// // A requester that wants the result as a whole:
/// assert_eq!(engine.ask(Request::new(Inputs::new())).await?.data, "hello".into());
///
/// // A requester that wants each chunk of the result as soon as the model sends it:
/// let mut ticket = engine.submit(Request::new(Inputs::new())).await?;
/// while let Some(event) = ticket.event().await {
///     if let Event::Chunk { data, .. } = event {
///         println!("{data:?}");
///     }
/// }
/// assert!(ticket.outcome().await?.success);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Engine(Backend);

#[derive(Clone, Debug)]
enum Backend {
    Embedded(Embedded),
    Remote(Arc<dyn Queue>),
}

impl From<Embedded> for Engine {
    fn from(embedded: Embedded) -> Self {
        Engine(Backend::Embedded(embedded))
    }
}

impl Engine {
    /// Makes an engine whose jobs go into a remote queue.
    #[must_use]
    pub fn remote(queue: Arc<dyn Queue>) -> Self {
        Engine(Backend::Remote(queue))
    }

    /// Puts a request into the queue.
    ///
    /// # Errors
    /// The queue is full, the engine has failed, or the inputs are too large.
    pub async fn submit(&self, request: Request) -> Result<Ticket, Error> {
        match &self.0 {
            Backend::Embedded(embedded) if request.is_large() => {
                embedded.submit(Box::pin(request.measured()).await?)
            }
            Backend::Embedded(embedded) => embedded.submit(request),
            Backend::Remote(queue) => queue.submit(request).await,
        }
    }

    /// Submits a request and waits for its outcome.
    ///
    /// # Errors
    /// The errors of [`Engine::submit`], and those of [`Ticket::outcome`], such as a crash or a
    /// timeout.
    pub async fn ask(&self, request: Request) -> Result<Outcome, Error> {
        self.submit(request).await?.outcome().await
    }

    /// Returns the timeout of a request that asks for `timeout`: the smaller one of `timeout` and
    /// the engine's own timeout. `None` stands for no limit.
    #[must_use]
    pub fn limit(&self, timeout: Option<Duration>) -> Option<Duration> {
        match &self.0 {
            Backend::Embedded(embedded) => embedded.limit(timeout),
            Backend::Remote(_) => timeout,
        }
    }

    /// Announces a request that is being received, so that a batch may wait for it. Returns `None`
    /// if the model does not take batches.
    #[must_use]
    pub fn announce(&self) -> Option<Announcement> {
        match &self.0 {
            Backend::Embedded(embedded) => embedded.announce(),
            Backend::Remote(_) => None,
        }
    }

    /// Waits until the model has described itself, or the engine has failed.
    ///
    /// # Errors
    /// The reason why the engine has failed.
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

    /// Returns the model, if it has described itself already.
    #[must_use]
    pub fn model_now(&self) -> Option<Arc<Model>> {
        match &self.0 {
            Backend::Embedded(embedded) => embedded.model().borrow().clone(),
            Backend::Remote(queue) => queue.model().borrow().clone(),
        }
    }

    fn models(&self) -> watch::Receiver<Option<Arc<Model>>> {
        match &self.0 {
            Backend::Embedded(embedded) => embedded.model().subscribe(),
            Backend::Remote(queue) => queue.model(),
        }
    }

    /// Returns the engine's state, with notifications of its changes.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<State> {
        match &self.0 {
            Backend::Embedded(embedded) => embedded.state().subscribe(),
            Backend::Remote(queue) => queue.state(),
        }
    }

    /// Returns the revision of the program, with notifications of its changes; `None` for a remote
    /// queue.
    #[must_use]
    pub fn revision(&self) -> Option<watch::Receiver<Revision>> {
        match &self.0 {
            Backend::Embedded(embedded) => Some(embedded.revision().subscribe()),
            Backend::Remote(_) => None,
        }
    }

    /// Returns the number of jobs that wait for a worker; 0 for a remote queue.
    #[must_use]
    pub fn queued(&self) -> usize {
        match &self.0 {
            Backend::Embedded(embedded) => embedded.load().0,
            Backend::Remote(_) => 0,
        }
    }

    /// Returns the number of jobs that the ready workers run at the same time, for requesters that take
    /// no more jobs than that; `usize::MAX` for a remote queue.
    #[must_use]
    pub fn places(&self) -> usize {
        match &self.0 {
            Backend::Embedded(embedded) => embedded.places(),
            Backend::Remote(_) => usize::MAX,
        }
    }

    /// Appends the engine's metrics to `text`, in the OpenMetrics format without the final `# EOF`.
    pub fn encode_metrics(&self, text: &mut String) {
        if let Backend::Embedded(embedded) = &self.0 {
            embedded.encode_metrics(text);
        }
    }

    /// Ends all jobs that this process waits for with an error, and kills the workers of this
    /// process.
    pub fn shut_down(&self) {
        match &self.0 {
            Backend::Embedded(embedded) => embedded.shut_down(),
            Backend::Remote(queue) => queue.shut_down(),
        }
    }
}

#[cfg(test)]
mod tests;
