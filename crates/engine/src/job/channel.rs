//! The channel from a job to its ticket, which carries events and then the outcome.
//!
//! A requester that reads events has a window of [`WINDOW`] bytes. Once the window is full the
//! model is blocked, for a limited time. For a requester that does not read events the chunks are
//! joined here, and never block the model.
//!
//! A worker that runs one job at a time is blocked by not reading its link. A concurrent worker is
//! told how much it may send for each job, so that a slow requester does not hold up the others.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use ai_integration_contract::{Data, Error, Kind, Outcome};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use crate::job::budget::Reservation;
use crate::job::chunks::{self, Chunks};
use crate::job::event::Event;
use crate::link::message::WINDOW;

/// The number of buffered events at which the model is blocked.
const MAX_EVENTS: usize = 4096;
/// The number of buffered events from which on small chunks are joined, because the requester is
/// behind.
const BEHIND: usize = 64;
/// The length in bytes up to which chunks are joined.
const MAX_JOINED: usize = 64 * 1024;
/// The time for which a slow reader may block the model. For every [`BYTES_PER_MILLISECOND`] that
/// it reads, a reader earns one millisecond back.
const MAX_BLOCKED: Duration = Duration::from_secs(10);
/// The speed at which a reader never loses time: 64 bytes per millisecond, which is 64 kB/s.
const BYTES_PER_MILLISECOND: usize = 64;

/// The progress of a requester in reading the chunks of a concurrent worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// The requester has read this many bytes, so the worker may send as many more.
    Window(usize),
    /// The requester has blocked the job for too long, and the job must end.
    TooSlow,
}

/// A concurrent worker sent more than the window allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exceeded;

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
    /// The window as a concurrent worker knows it; `None` for other workers.
    window: Option<Window>,
    /// True once the job has ended. The requester takes `end` out later.
    has_ended: bool,
    end: Option<Result<Outcome, Error>>,
    /// True once the ticket is dropped.
    has_left: bool,
    /// The requester's task, if it waits.
    waiting: Option<Waker>,
}

/// The window of a job as its concurrent worker knows it.
#[derive(Debug, Default)]
struct Window {
    /// The number of bytes that the requester has read since the worker was allowed more.
    read: usize,
    /// The time since which the worker may send no more.
    full_since: Option<Instant>,
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
            window: None,
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

    /// Passes on a chunk of a concurrent worker. Returns the number of bytes that the worker may
    /// send in addition, if it is time to report that.
    pub(crate) fn chunk_in_window(
        &self,
        content_type: Option<String>,
        data: Data,
    ) -> Result<Option<usize>, Exceeded> {
        let earned = earned(&data);
        let mut state = self.state();
        if state.filled >= 2 * WINDOW {
            return Err(Exceeded);
        }
        let is_read = state.has_left || !state.reads_events;
        let filled = state.filled;
        let window = state.window.get_or_insert_default();
        if data.is_empty() {
            // The worker counts a chunk as at least one byte, which no reader gives back.
            window.read += 1;
        } else if is_read {
            window.read += data.len();
        } else if filled + window.read + data.len() >= WINDOW {
            window.full_since.get_or_insert_with(Instant::now);
        }
        if !is_read {
            state.append(Event::Chunk { content_type, data });
        } else if !state.has_left {
            state.chunks.append(content_type, &data);
        }
        state.blocking_left = (state.blocking_left + earned).min(MAX_BLOCKED);
        let more = match is_read.then(|| state.reading()).flatten() {
            Some(Reading::Window(bytes)) => Some(bytes),
            Some(Reading::TooSlow) | None => None,
        };
        wake(state);
        Ok(more)
    }

    /// Returns the progress of the requester in reading, if it is time to report that to a
    /// concurrent worker.
    pub(crate) fn reading(&self) -> Option<Reading> {
        self.state().reading()
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
            state.take_out(&event);
            self.freed.notify_one();
            return Poll::Ready(Some(event));
        }
        if state.has_ended {
            return Poll::Ready(None);
        }
        state.waiting = Some(context.waker().clone());
        Poll::Pending
    }

    /// Waits for the next event that is not a chunk; `None` if there are no more. Chunks are joined
    /// for the outcome, and never block the model.
    pub(crate) async fn event_beside_chunks(&self) -> Option<Event> {
        poll_fn(|context| {
            let mut state = self.state();
            state.join_chunks();
            self.freed.notify_one();
            if let Some(event) = state.events.pop_front() {
                state.take_out(&event);
                return Poll::Ready(Some(event));
            }
            if state.has_ended {
                return Poll::Ready(None);
            }
            state.waiting = Some(context.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// Joins the chunks that were not read as events, and those that follow. Returns the progress of
    /// the requester, as [`Channel::reading`] does.
    pub(crate) fn stop_reading_events(&self) -> Option<Reading> {
        let mut state = self.state();
        state.stop_reading_events();
        state.reading()
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
        let events = std::mem::take(&mut state.events);
        for event in events {
            state.take_out(&event);
        }
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
        self.append(event);
        Ok(())
    }

    /// Appends an event. If the requester is behind, a small chunk is joined with the one before.
    fn append(&mut self, event: Event) {
        let size = event.size().min(WINDOW);
        self.filled += size;
        if self.events.len() >= BEHIND
            && let Event::Chunk { data, .. } = &event
            && let Some(Event::Chunk { data: before, .. }) = self.events.back_mut()
            && before.len() + data.len() <= MAX_JOINED
            && chunks::join(before, data)
        {
            // The size of an event is at least 1.
            self.filled -= size - data.len();
            return;
        }
        self.events.push_back(event);
    }

    /// Counts an event as read.
    fn take_out(&mut self, event: &Event) {
        self.filled = self.filled.saturating_sub(event.size().min(WINDOW));
        if let (Event::Chunk { data, .. }, Some(window)) = (event, &mut self.window) {
            window.read += data.len();
        }
    }

    fn reading(&mut self) -> Option<Reading> {
        let window = self.window.as_mut().filter(|window| window.read >= WINDOW / 2)?;
        if let Some(since) = window.full_since.take() {
            self.blocking_left = self.blocking_left.saturating_sub(since.elapsed());
            if self.blocking_left.is_zero() {
                return Some(Reading::TooSlow);
            }
        }
        Some(Reading::Window(std::mem::take(&mut window.read)))
    }

    fn stop_reading_events(&mut self) {
        self.join_chunks();
        for event in std::mem::take(&mut self.events) {
            self.take_out(&event);
        }
    }

    /// Joins the chunks among the events, and those that follow. The other events stay.
    fn join_chunks(&mut self) {
        if !std::mem::take(&mut self.reads_events) {
            return;
        }
        let is_chunk = |event: &Event| matches!(event, Event::Chunk { .. });
        let (chunks, others): (VecDeque<_>, _) =
            std::mem::take(&mut self.events).into_iter().partition(is_chunk);
        self.events = others;
        for event in chunks {
            self.take_out(&event);
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
