//! Tickets, which requesters hold while their jobs wait and run, and responders, which end the
//! jobs.

use std::sync::Arc;

use ai_integration_contract::{Data, Error, Outcome};

use crate::job::budget::Reservation;
use crate::job::channel::{Channel, Exceeded, Reading};
use crate::job::event::Event;
use crate::job::id::JobId;

/// The jobs of a queue, as the tickets use them.
pub trait Jobs: Send + Sync + std::fmt::Debug {
    /// Cancels a job: its ticket was dropped.
    fn cancel(&self, id: JobId);

    /// Returns the number of jobs that will be started before this one. `None` if this job is being
    /// started, has been started, or if the number is not known.
    fn position(&self, id: JobId) -> Option<usize>;

    /// Reports the progress of a requester in reading chunks, for which a concurrent worker waits.
    /// Queues without such workers ignore it.
    fn reading(&self, _id: JobId, _reading: Reading) {}
}

/// A requester's handle on its job. Dropping the ticket cancels the job, while [`Ticket::detach`]
/// lets it go on.
///
/// A ticket with its [`Responder`], as a [`Queue`](crate::Queue) makes them:
///
/// ```
/// use std::sync::Arc;
///
/// use ai_integration_contract::Outcome;
/// use ai_integration_engine::{Event, JobId, Jobs, Ticket};
///
/// #[derive(Debug)]
/// struct OneJob;
///
/// impl Jobs for OneJob {
///     fn cancel(&self, id: JobId) {
///         println!("nobody waits for job {} any more", id.0);
///     }
///
///     fn position(&self, _id: JobId) -> Option<usize> {
///         None
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let is_followed = true;
/// let (mut ticket, responder) = Ticket::new(JobId(1), Arc::new(OneJob), is_followed, None);
///
/// responder.offer(Event::Started);
/// assert!(responder.chunk(None, "hello".into()).is_none(), "the window has room");
/// responder.answer(Ok(Outcome { success: true, ..Outcome::default() }));
///
/// assert_eq!(ticket.event().await, Some(Event::Started));
/// let chunk = Event::Chunk { content_type: None, data: "hello".into() };
/// assert_eq!(ticket.event().await, Some(chunk));
/// assert_eq!(ticket.event().await, None);
/// assert!(ticket.outcome().await?.success);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Ticket {
    id: JobId,
    jobs: Arc<dyn Jobs>,
    channel: Arc<Channel>,
    is_detached: bool,
}

/// The other end of a [`Ticket`], which the code that runs the job holds. If it is dropped without
/// an outcome, the requester gets the error that the server stopped.
#[derive(Debug)]
pub struct Responder(Arc<Channel>);

/// A chunk that waits for room in its requester's window.
#[derive(Debug)]
#[must_use = "the chunk is passed on only while `pass_on` is awaited"]
pub struct Passing {
    channel: Arc<Channel>,
    content_type: Option<String>,
    data: Data,
}

impl Ticket {
    /// Makes a ticket for the job `id` of the queue `jobs`, with its responder. `is_followed` is
    /// that of the request, and `inputs` is the memory that is reserved for its inputs.
    #[must_use]
    pub fn new(
        id: JobId,
        jobs: Arc<dyn Jobs>,
        is_followed: bool,
        inputs: Option<Reservation>,
    ) -> (Self, Responder) {
        let channel = Arc::new(Channel::new(is_followed, inputs));
        let ticket = Ticket { id, jobs, channel: channel.clone(), is_detached: false };
        (ticket, Responder(channel))
    }

    /// Returns the number of jobs that will be started before this one. `None` if this job is being
    /// started, has been started, or if the number is not known.
    #[must_use]
    pub fn position(&self) -> Option<usize> {
        self.jobs.position(self.id)
    }

    /// Waits for the next event. Without [`Request::follow`](crate::Request::follow) all events are
    /// chunks. `None` means that there are no more events. Then [`Ticket::outcome`] returns the
    /// outcome, without the chunks that were read as events. A requester that has begun to read
    /// events must go on, or the model is blocked.
    pub async fn event(&mut self) -> Option<Event> {
        let event = self.channel.event().await;
        self.report(self.channel.reading());
        event
    }

    /// Waits for the next event that is not a chunk: the start, progress or a log line of a job that
    /// is followed. `None` means that there are no more events. Then [`Ticket::outcome`] returns the
    /// outcome with all chunks, joined. The model is never blocked by a requester that calls this.
    pub async fn event_beside_chunks(&mut self) -> Option<Event> {
        let event = self.channel.event_beside_chunks().await;
        self.report(self.channel.reading());
        event
    }

    /// Waits for the outcome. It contains the chunks that were not read as events, joined.
    ///
    /// # Errors
    /// The job has no outcome: it took too long, its worker was lost, or the server stopped.
    pub async fn outcome(self) -> Result<Outcome, Error> {
        self.report(self.channel.stop_reading_events());
        self.channel.outcome().await
    }

    /// Reports the progress in reading, if a concurrent worker waits for that.
    fn report(&self, reading: Option<Reading>) {
        if let Some(reading) = reading {
            self.jobs.reading(self.id, reading);
        }
    }

    /// Lets the job go on without a requester. Its outcome is discarded.
    pub fn detach(mut self) {
        self.is_detached = true;
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.channel.leave() {
            return;
        }
        if self.is_detached {
            self.report(self.channel.reading());
        } else {
            self.jobs.cancel(self.id);
        }
    }
}

impl Responder {
    /// Returns true if the requester follows the job.
    #[must_use]
    pub fn is_followed(&self) -> bool {
        self.0.is_followed()
    }

    /// Passes an event on to a requester that follows the job. The event is dropped if the
    /// requester's window is full.
    pub fn offer(&self, event: Event) {
        self.0.offer(event);
    }

    /// Passes a chunk on. If the requester's window is full, the chunk is returned as a
    /// [`Passing`], which must be awaited before the next chunk.
    pub fn chunk(&self, content_type: Option<String>, data: Data) -> Option<Passing> {
        match self.0.chunk(content_type, data) {
            Err(Event::Chunk { content_type, data }) => {
                Some(Passing { channel: self.0.clone(), content_type, data })
            }
            _ => None,
        }
    }

    /// Passes on a chunk of a concurrent worker. Returns the number of bytes that the worker may
    /// send in addition, if it is time to report that.
    pub(crate) fn chunk_in_window(
        &self,
        content_type: Option<String>,
        data: Data,
    ) -> Result<Option<usize>, Exceeded> {
        self.0.chunk_in_window(content_type, data)
    }

    /// Puts the chunks that were not read as events into the outcome, as [`Ticket::outcome`] will
    /// return it.
    pub(crate) fn complete(&self, outcome: Outcome) -> Result<Outcome, Error> {
        self.0.complete(outcome)
    }

    /// Ends the job with its outcome or an error.
    pub fn answer(self, end: Result<Outcome, Error>) {
        self.0.end(end);
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        self.0.end_unanswered();
    }
}

impl Passing {
    /// Waits until the chunk has been passed on. Returns false if the requester reads too slowly.
    pub async fn pass_on(self) -> bool {
        self.channel.pass_on(self.content_type, self.data).await
    }
}
