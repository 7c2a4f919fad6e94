//! What a requester holds while a job is queued and runs.

use ai_integration_contract::{Error, Kind, Outcome};

use crate::engine::Engine;
use crate::job::budget::Reservation;
use crate::job::event::Event;
use crate::job::{JobId, Reply, Requester};

/// What comes of a job that was submitted to be streamed.
#[derive(Debug)]
pub enum Answer {
    /// The whole answer.
    Whole(Outcome),
    /// Its pieces as events; and then [`Ticket::outcome`] tells the end, without data.
    Stream(Ticket),
}

/// A submitted job. Dropping the ticket gives the job up: it leaves the queue, or the model is told
/// that nobody waits any more.
#[derive(Debug)]
pub struct Ticket {
    pub(crate) id: JobId,
    pub(crate) engine: Engine,
    pub(crate) requester: Requester,
    /// Whether the outcome has come.
    pub(crate) has_ended: bool,
    /// The memory that its inputs take up.
    pub(crate) hold: Option<Reservation>,
}

impl Ticket {
    /// The job's number.
    #[must_use]
    pub fn id(&self) -> JobId {
        self.id
    }

    /// How many jobs are to be started before this one; `None` once it is about to be.
    #[must_use]
    pub fn position(&self) -> Option<usize> {
        self.engine.position(self.id)
    }

    /// Reservations on to a part of a budget for as long as the ticket lasts.
    pub fn attach(&mut self, hold: Reservation) {
        self.hold = Some(hold);
    }

    /// The next event of a followed job; `None` when no more will come, because the job has ended
    /// or is not followed.
    pub async fn event(&mut self) -> Option<Event> {
        let (event, _room) = self.requester.events.as_mut()?.recv().await?;
        Some(event)
    }

    /// Waits for the end. Chunks of a job that was submitted for its whole answer are put together
    /// in the outcome; whoever streams or follows it has had them as events.
    pub async fn outcome(mut self) -> Result<Outcome, Error> {
        // A follower who stops listening must not hold the model up.
        self.requester.events = None;
        loop {
            match self.reply().await? {
                Reply::Outcome(outcome) => return outcome,
                Reply::Stream(_, end) => self.requester.reply = end,
            }
        }
    }

    /// Waits for the answer to a job that was submitted to be streamed, or for its beginning.
    pub async fn answer(mut self) -> Result<Answer, Error> {
        match self.reply().await? {
            Reply::Outcome(outcome) => outcome.map(Answer::Whole),
            Reply::Stream(events, end) => {
                self.requester = Requester { reply: end, events: Some(events) };
                Ok(Answer::Stream(self))
            }
        }
    }

    async fn reply(&mut self) -> Result<Reply, Error> {
        let reply = (&mut self.requester.reply).await;
        self.has_ended = !matches!(reply, Ok(Reply::Stream(..)));
        let gone = "the server stopped before the model answered";
        reply.map_err(|_| Error::new(Kind::ShuttingDown, gone))
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.has_ended {
            self.engine.cancel(self.id);
        }
    }
}
