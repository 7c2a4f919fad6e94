//! A remote queue, from which workers of other processes take the jobs.

use std::fmt::Debug;
use std::pin::Pin;
use std::sync::Arc;

use ai_integration_contract::Error;
use tokio::sync::watch;

use crate::engine::state::State;
use crate::job::request::Request;
use crate::job::ticket::Ticket;
use crate::model::Model;

/// A remote queue, from which workers of other processes take the jobs.
///
/// A queue that answers each request by itself, as a test may do:
///
/// ```
/// use std::sync::Arc;
///
/// use ai_integration_contract::{Inputs, Outcome};
/// use ai_integration_engine::{
///     Engine, JobId, Jobs, Model, Queue, Request, State, Submission, Ticket,
/// };
/// use tokio::sync::watch;
///
/// #[derive(Debug)]
/// struct Greeter {
///     model: watch::Sender<Option<Arc<Model>>>,
///     state: watch::Sender<State>,
/// }
///
/// /// The jobs of a [`Greeter`], all of which have ended already.
/// #[derive(Debug)]
/// struct NoJobs;
///
/// impl Jobs for NoJobs {
///     fn cancel(&self, _id: JobId) {}
///
///     fn position(&self, _id: JobId) -> Option<usize> {
///         None
///     }
/// }
///
/// impl Queue for Greeter {
///     fn submit(&self, request: Request) -> Submission<'_> {
///         Box::pin(async move {
///             let is_followed = request.is_followed;
///             let (ticket, responder) =
///                 Ticket::new(JobId(1), Arc::new(NoJobs), is_followed, request.reservation);
///             responder.answer(Ok(Outcome::text("hello")));
///             Ok(ticket)
///         })
///     }
///
///     fn model(&self) -> watch::Receiver<Option<Arc<Model>>> {
///         self.model.subscribe()
///     }
///
///     fn state(&self) -> watch::Receiver<State> {
///         self.state.subscribe()
///     }
///
///     fn shut_down(&self) {}
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let greeter = Greeter {
///     model: watch::Sender::new(Some(Arc::default())),
///     state: watch::Sender::new(State::Ready(1)),
/// };
/// let engine = Engine::remote(Arc::new(greeter));
/// assert_eq!(engine.ask(Request::new(Inputs::new())).await?, Outcome::text("hello"));
/// # Ok(())
/// # }
/// ```
pub trait Queue: Debug + Send + Sync {
    /// Puts a request into the queue. The queue keeps the ticket's [`Responder`](crate::Responder),
    /// and ends the job through it: with the outcome, or with an error when the timeout has passed.
    ///
    /// # Errors
    /// The queue cannot be reached, or refuses the request.
    fn submit(&self, request: Request) -> Submission<'_>;

    /// Returns the model behind the queue, with a notification once it is known.
    fn model(&self) -> watch::Receiver<Option<Arc<Model>>>;

    /// Returns the state: whether the queue takes requests and workers take its jobs.
    fn state(&self) -> watch::Receiver<State>;

    /// Ends all jobs that this process waits for with an error.
    fn shut_down(&self);
}

/// A request that is being put into a queue.
pub type Submission<'a> = Pin<Box<dyn Future<Output = Result<Ticket, Error>> + Send + 'a>>;
