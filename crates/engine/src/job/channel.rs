//! The way from a job to its ticket: events, and in the end the outcome.
//!
//! A requester that reads events has a window of [`WINDOW`] bytes: once it is full the model waits,
//! though not for ever. Pieces of the answer to a requester that does not read events are put
//! together here, and hold nobody up.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use ai_integration_contract::{Data, Error, Kind, Outcome};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use crate::job::budget::Reservation;
use crate::job::event::Event;
use crate::job::pieces::Pieces;

/// The bytes of events that may wait for a requester before it holds up the model's stream.
const WINDOW: usize = 256 * 1024;
/// The events that may wait for a requester.
const MAX_EVENTS: usize = 4096;
/// The time for which a slow reader may block the model. A reader earns one millisecond back for every
/// [`EARNS`] bytes it reads, which makes 64 KiB/s.
const PATIENCE: Duration = Duration::from_secs(10);
/// See [`PATIENCE`].
const EARNS: usize = 64;

/// The channel of one job.
#[derive(Debug)]
pub(crate) struct Channel {
    /// True for a requester that wants to hear of everything.
    is_followed: bool,
    state: Mutex<State>,
    /// Notified when the window has room again.
    freed: Notify,
    /// The memory that the inputs take up, for as long as the job or its requester lasts.
    _inputs: Option<Reservation>,
}

#[derive(Debug)]
struct State {
    /// True for a requester that reads events. For others the answer's pieces are put together.
    is_heard: bool,
    events: VecDeque<Event>,
    /// The bytes of the window that the events take up.
    filled: usize,
    pieces: Pieces,
    /// The rest of [`PATIENCE`].
    patience: Duration,
    /// True once the job has ended; `end` is there until the requester takes it.
    has_ended: bool,
    end: Option<Result<Outcome, Error>>,
    /// True once the requester is gone.
    has_left: bool,
    /// The task of a requester that waits.
    waiting: Option<Waker>,
}

impl Channel {
    /// A channel to a requester that wants to hear of everything if it follows the job.
    pub(crate) fn new(is_followed: bool, inputs: Option<Reservation>) -> Self {
        let state = State {
            is_heard: is_followed,
            events: VecDeque::new(),
            filled: 0,
            pieces: Pieces::default(),
            patience: PATIENCE,
            has_ended: false,
            end: None,
            has_left: false,
            waiting: None,
        };
        Channel { is_followed, state: Mutex::new(state), freed: Notify::new(), _inputs: inputs }
    }

    /// Tells whether the requester wants to hear of everything.
    pub(crate) fn is_followed(&self) -> bool {
        self.is_followed
    }

    /// Passes an event on to a requester that follows the job, unless the window is full: there is
    /// always more to come.
    pub(crate) fn offer(&self, event: Event) {
        if self.is_followed {
            let mut state = self.state();
            if state.push(event).is_ok() {
                arrive(state);
            }
        }
    }

    /// Passes a piece of the answer on; gives it back when the window is full.
    pub(crate) fn chunk(&self, content_type: Option<String>, data: Data) -> Result<(), Event> {
        let earned = earned(&data);
        let mut state = self.state();
        state.chunk(content_type, data)?;
        state.patience = (state.patience + earned).min(PATIENCE);
        arrive(state);
        Ok(())
    }

    /// Passes a piece of the answer on as soon as the window has room. False when that takes too
    /// long, now or together with the pieces before.
    pub(crate) async fn pass_on(&self, content_type: Option<String>, data: Data) -> bool {
        let begun = Instant::now();
        let earned = earned(&data);
        let patience = self.state().patience;
        let passed_on = async {
            let mut piece = (content_type, data);
            loop {
                let passed_on = self.state().chunk(piece.0, piece.1);
                let Err(Event::Chunk { content_type, data }) = passed_on else { break };
                piece = (content_type, data);
                self.freed.notified().await;
            }
        };
        if timeout(patience, passed_on).await.is_err() {
            return false;
        }
        let left = patience.saturating_sub(begun.elapsed()) + earned;
        let mut state = self.state();
        state.patience = left.min(PATIENCE);
        arrive(state);
        true
    }

    /// Puts the pieces that nobody has read into the outcome.
    pub(crate) fn complete(&self, outcome: Outcome) -> Result<Outcome, Error> {
        self.state().pieces.complete(outcome)
    }

    /// Ends the job for its requester.
    pub(crate) fn end(&self, end: Result<Outcome, Error>) {
        let mut state = self.state();
        state.has_ended = true;
        state.end = Some(end);
        arrive(state);
    }

    /// Ends the job if nothing else has: the responder is gone.
    pub(crate) fn end_unanswered(&self) {
        let has_ended = self.state().has_ended;
        if !has_ended {
            let gone = "the server stopped before the model answered";
            self.end(Err(Error::new(Kind::ShuttingDown, gone)));
        }
    }

    /// The next event; `None` when no more will come. A requester that has called this reads
    /// events from then on.
    pub(crate) async fn event(&self) -> Option<Event> {
        poll_fn(|context| self.poll_event(context)).await
    }

    fn poll_event(&self, context: &Context<'_>) -> Poll<Option<Event>> {
        let mut state = self.state();
        state.is_heard = true;
        if let Some((content_type, data)) = state.pieces.take() {
            return Poll::Ready(Some(Event::Chunk { content_type, data }));
        }
        if let Some(event) = state.events.pop_front() {
            state.filled -= event.size().min(WINDOW);
            self.freed.notify_one();
            return Poll::Ready(Some(event));
        }
        if state.has_ended {
            return Poll::Ready(None);
        }
        state.waiting = Some(context.waker().clone());
        Poll::Pending
    }

    /// The end. A requester that waits for it reads no more events, and holds nobody up.
    pub(crate) async fn outcome(&self) -> Result<Outcome, Error> {
        poll_fn(|context| {
            let mut state = self.state();
            state.stop_listening();
            if let Some(end) = state.end.take() {
                return Poll::Ready(end.and_then(|outcome| state.pieces.complete(outcome)));
            }
            self.freed.notify_one();
            state.waiting = Some(context.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// Lets the requester leave, and keeps nothing for it. Returns whether the job goes on without
    /// one.
    pub(crate) fn leave(&self) -> bool {
        let mut state = self.state();
        state.has_left = true;
        state.events = VecDeque::new();
        state.pieces = Pieces::default();
        state.end = None;
        self.freed.notify_one();
        !state.has_ended
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn chunk(&mut self, content_type: Option<String>, data: Data) -> Result<(), Event> {
        if self.has_left {
            return Ok(());
        }
        if self.is_heard {
            return self.push(Event::Chunk { content_type, data });
        }
        self.pieces.append(content_type, &data);
        Ok(())
    }

    fn push(&mut self, event: Event) -> Result<(), Event> {
        if self.has_left {
            return Ok(());
        }
        let size = event.size().min(WINDOW);
        if self.filled + size > WINDOW || self.events.len() == MAX_EVENTS {
            return Err(event);
        }
        self.filled += size;
        self.events.push_back(event);
        Ok(())
    }

    fn stop_listening(&mut self) {
        self.is_heard = false;
        self.filled = 0;
        for event in self.events.drain(..) {
            if let Event::Chunk { content_type, data } = event {
                self.pieces.append(content_type, &data);
            }
        }
    }
}

/// Wakes a requester that waits, once the lock is given back.
fn arrive(mut state: MutexGuard<'_, State>) {
    let waiting = state.waiting.take();
    drop(state);
    if let Some(waiting) = waiting {
        waiting.wake();
    }
}

/// The patience that a reader earns by reading this.
fn earned(data: &Data) -> Duration {
    Duration::from_millis((data.len() / EARNS) as u64)
}

#[cfg(test)]
mod tests;
