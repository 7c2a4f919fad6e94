//! A queue elsewhere, behind which workers of other processes run the model.

use std::fmt::Debug;
use std::pin::Pin;
use std::sync::Arc;

use ai_integration_contract::Error;
use tokio::sync::watch;

use crate::engine::state::State;
use crate::job::request::Request;
use crate::job::ticket::Ticket;
use crate::model::Model;

/// A queue elsewhere.
pub trait Queue: Debug + Send + Sync {
    /// Puts a request into the queue. The queue keeps the ticket's
    /// [`Responder`](crate::Responder) and answers through it, also when the request's time is over.
    ///
    /// # Errors
    /// The queue cannot be reached, or does not take the request.
    fn submit(&self, request: Request) -> Submitted<'_>;

    /// The model behind the queue, once it is known.
    fn model(&self) -> watch::Receiver<Option<Arc<Model>>>;

    /// The state: whether the queue takes requests and somebody works on them.
    fn state(&self) -> watch::Receiver<State>;

    /// Ends what this process still waits for: open tickets are answered with an error.
    fn shut_down(&self);
}

/// A request on its way into a queue.
pub type Submitted<'a> = Pin<Box<dyn Future<Output = Result<Ticket, Error>> + Send + 'a>>;
