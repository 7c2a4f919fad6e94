//! The channel from a job to its ticket, which carries events and then the outcome.
//!
//! A requester that reads events has a window of [`WINDOW`] bytes. Once the window is full the
//! model is blocked, for a limited time. For a requester that does not read events the chunks are
//! joined here, and never block the model.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use ai_integration_contract::{Data, Error, Kind, Outcome};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use crate::job::budget::Reservation;
use crate::job::chunks::Chunks;
use crate::job::event::Event;

/// The size of buffered events, in bytes, at which the model is blocked.
const WINDOW: usize = 256 * 1024;
/// The number of buffered events at which the model is blocked.
const MAX_EVENTS: usize = 4096;
/// The time for which a slow reader may block the model. For every [`BYTES_PER_MILLISECOND`] that
/// it reads, a reader earns one millisecond back.
const MAX_BLOCKED: Duration = Duration::from_secs(10);
/// The speed at which a reader never loses time: 64 bytes per millisecond, which is 64 kB/s.
const BYTES_PER_MILLISECOND: usize = 64;

/// The channel of one job.
#[derive(Debug)]
pub(crate) struct Channel {
    /// True if the requester follows the job: it also gets the job's start, progress and log lines.
    is_followed: bool,
    state: Mutex<State>,
    /// Notified when the window has room again.
    freed: Notify,
    /// The memory of the inputs, reserved until both the job has ended and the ticket is dropped.
    _inputs: Option<Reservation>,
}

#[derive(Debug)]
struct State {
    /// True if the requester reads events. Otherwise chunks are joined.
    reads_events: bool,
    events: VecDeque<Event>,
    /// The number of bytes of the window that `events` take up.
    filled: usize,
    chunks: Chunks,
    /// The rest of [`MAX_BLOCKED`].
    blocking_left: Duration,
    /// True once the job has ended. The requester takes `end` out later.
    has_ended: bool,
    end: Option<Result<Outcome, Error>>,
    /// True once the ticket is dropped.
    has_left: bool,
    /// The requester's task, if it waits.
    waiting: Option<Waker>,
}

impl Channel {
    /// Makes a channel to a requester. `is_followed` is true if it follows the job.
    pub(crate) fn new(is_followed: bool, inputs: Option<Reservation>) -> Self {
        let state = State {
            reads_events: is_followed,
            events: VecDeque::new(),
            filled: 0,
            chunks: Chunks::default(),
            blocking_left: MAX_BLOCKED,
            has_ended: false,
            end: None,
            has_left: false,
            waiting: None,
        };
        Channel { is_followed, state: Mutex::new(state), freed: Notify::new(), _inputs: inputs }
    }

    /// Returns true if the requester follows the job.
    pub(crate) fn is_followed(&self) -> bool {
        self.is_followed
    }

    /// Passes an event on to a requester that follows the job. If the window is full, the event is
    /// dropped: it is progress or a log line, and later ones follow.
    pub(crate) fn offer(&self, event: Event) {
        if self.is_followed {
            let mut state = self.state();
            if state.push(event).is_ok() {
                wake(state);
            }
        }
    }

    /// Passes a chunk on. If the window is full, the error is that chunk.
    pub(crate) fn chunk(&self, content_type: Option<String>, data: Data) -> Result<(), Event> {
        let earned = earned(&data);
        let mut state = self.state();
        state.chunk(content_type, data)?;
        state.blocking_left = (state.blocking_left + earned).min(MAX_BLOCKED);
        wake(state);
        Ok(())
    }

    /// Passes a chunk on as soon as the window has room. Returns false if the requester has used up
    /// [`MAX_BLOCKED`].
    pub(crate) async fn pass_on(&self, content_type: Option<String>, data: Data) -> bool {
        let begun = Instant::now();
        let earned = earned(&data);
        let blocking_left = self.state().blocking_left;
        let passed_on = async {
            let mut chunk = (content_type, data);
            loop {
                let passed_on = self.state().chunk(chunk.0, chunk.1);
                let Err(Event::Chunk { content_type, data }) = passed_on else { break };
                chunk = (content_type, data);
                self.freed.notified().await;
            }
        };
        if timeout(blocking_left, passed_on).await.is_err() {
            return false;
        }
        let left = blocking_left.saturating_sub(begun.elapsed()) + earned;
        let mut state = self.state();
        state.blocking_left = left.min(MAX_BLOCKED);
        wake(state);
        true
    }

    /// Puts the chunks that were not read as events into the outcome.
    pub(crate) fn complete(&self, outcome: Outcome) -> Result<Outcome, Error> {
        self.state().chunks.complete(outcome)
    }

    /// Ends the job with its outcome or an error.
    pub(crate) fn end(&self, end: Result<Outcome, Error>) {
        let mut state = self.state();
        state.has_ended = true;
        state.end = Some(end);
        wake(state);
    }

    /// Ends the job with an error if it has not ended yet, because its responder was dropped.
    pub(crate) fn end_unanswered(&self) {
        let has_ended = self.state().has_ended;
        if !has_ended {
            let gone = "the server stopped before the model answered";
            self.end(Err(Error::new(Kind::ShuttingDown, gone)));
        }
    }

    /// Waits for the next event; `None` if there are no more events. A requester that has called
    /// this must go on reading, or the model is blocked.
    pub(crate) async fn event(&self) -> Option<Event> {
        poll_fn(|context| self.poll_event(context)).await
    }

    fn poll_event(&self, context: &Context<'_>) -> Poll<Option<Event>> {
        let mut state = self.state();
        state.reads_events = true;
        if let Some((content_type, data)) = state.chunks.take() {
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

    /// Waits for the outcome. A requester that does so reads no more events, and never blocks the
    /// model.
    pub(crate) async fn outcome(&self) -> Result<Outcome, Error> {
        poll_fn(|context| {
            let mut state = self.state();
            state.stop_reading_events();
            if let Some(end) = state.end.take() {
                return Poll::Ready(end.and_then(|outcome| state.chunks.complete(outcome)));
            }
            self.freed.notify_one();
            state.waiting = Some(context.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// Marks the ticket as dropped, and frees everything that waits for it. Returns true if the job
    /// has not ended yet.
    pub(crate) fn leave(&self) -> bool {
        let mut state = self.state();
        state.has_left = true;
        state.events = VecDeque::new();
        state.chunks = Chunks::default();
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
        if self.reads_events {
            return self.push(Event::Chunk { content_type, data });
        }
        self.chunks.append(content_type, &data);
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

    fn stop_reading_events(&mut self) {
        self.reads_events = false;
        self.filled = 0;
        for event in self.events.drain(..) {
            if let Event::Chunk { content_type, data } = event {
                self.chunks.append(content_type, &data);
            }
        }
    }
}

/// Wakes the requester, after it has released the lock.
fn wake(mut state: MutexGuard<'_, State>) {
    let waiting = state.waiting.take();
    drop(state);
    if let Some(waiting) = waiting {
        waiting.wake();
    }
}

/// Returns the time of [`MAX_BLOCKED`] that a reader earns back by reading `data`.
fn earned(data: &Data) -> Duration {
    Duration::from_millis((data.len() / BYTES_PER_MILLISECOND) as u64)
}

#[cfg(test)]
mod tests;
