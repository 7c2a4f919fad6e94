//! Tickets, which requesters hold while their jobs are queued and run, and what answers them.

use std::sync::Arc;

use ai_integration_contract::{Data, Error, Outcome};

use crate::job::budget::Reservation;
use crate::job::channel::Channel;
use crate::job::event::Event;
use crate::job::id::JobId;

/// The queue that a ticket's job is in.
pub trait Jobs: Send + Sync + std::fmt::Debug {
    /// Gives a job up: nobody waits for it any more.
    fn cancel(&self, id: JobId);

    /// Counts the jobs that are to be started before this one; `None` once it is about to be, or
    /// where that is not known.
    fn position(&self, id: JobId) -> Option<usize>;
}

/// A submitted job. Dropping the ticket gives the job up: it leaves the queue, or the model is told
/// that nobody waits any more. [`Ticket::detach`] lets it go on instead.
#[derive(Debug)]
pub struct Ticket {
    id: JobId,
    jobs: Arc<dyn Jobs>,
    channel: Arc<Channel>,
    is_detached: bool,
}

/// The other end of a [`Ticket`], held by whoever has the job done. Dropping it without an answer
/// tells the requester that the server stopped.
#[derive(Debug)]
pub struct Responder(Arc<Channel>);

/// A piece of an answer that waits for room in its requester's window.
#[derive(Debug)]
#[must_use = "the piece is passed on only while `pass_on` is awaited"]
pub struct Passing {
    channel: Arc<Channel>,
    content_type: Option<String>,
    data: Data,
}

impl Ticket {
    /// A ticket for the job `id` in the queue `jobs`, and what answers it. The requester
    /// `is_followed` when it wants to hear of everything; `inputs` is the memory that the job's
    /// inputs take up.
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

    /// Counts the jobs that are to be started before this one; `None` once it is about to be.
    #[must_use]
    pub fn position(&self) -> Option<usize> {
        self.jobs.position(self.id)
    }

    /// Waits for the next event: a piece of the answer, and whatever else happens to a job that is
    /// followed. `None` when no more will come; [`Ticket::outcome`] has the end then, and the whole
    /// answer if it did not come in pieces. A requester that has begun to read events has to go
    /// on, since the model waits for it.
    pub async fn event(&mut self) -> Option<Event> {
        self.channel.event().await
    }

    /// Waits for the end. Pieces of the answer that were not read as events are put together in
    /// the outcome.
    ///
    /// # Errors
    /// The job was given up: it took too long, its worker was lost, or the server stopped.
    pub async fn outcome(self) -> Result<Outcome, Error> {
        self.channel.outcome().await
    }

    /// Lets the job go on without a requester: nobody hears of its outcome.
    pub fn detach(mut self) {
        self.is_detached = true;
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.channel.leave() && !self.is_detached {
            self.jobs.cancel(self.id);
        }
    }
}

impl Responder {
    /// Tells whether the requester wants to hear of everything that happens to the job.
    #[must_use]
    pub fn is_followed(&self) -> bool {
        self.0.is_followed()
    }

    /// Tells of an event that may be missed: it is left out where the requester has not read
    /// earlier ones yet.
    pub fn offer(&self, event: Event) {
        self.0.offer(event);
    }

    /// Passes a piece of the answer on. What comes back is to be waited for before the next piece:
    /// the requester's window is full.
    pub fn chunk(&self, content_type: Option<String>, data: Data) -> Option<Passing> {
        match self.0.chunk(content_type, data) {
            Err(Event::Chunk { content_type, data }) => {
                Some(Passing { channel: self.0.clone(), content_type, data })
            }
            _ => None,
        }
    }

    /// Puts the pieces that were not read as events into the outcome, as the requester would find
    /// it.
    pub(crate) fn complete(&self, outcome: Outcome) -> Result<Outcome, Error> {
        self.0.complete(outcome)
    }

    /// Ends the job for its requester.
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
    /// Waits until the piece has been passed on. False when the requester reads too slowly.
    pub async fn pass_on(self) -> bool {
        self.channel.pass_on(self.content_type, self.data).await
    }
}
