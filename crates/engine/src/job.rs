//! A request on its way through the engine.

pub(crate) mod budget;
pub(crate) mod event;
pub(crate) mod ticket;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use ai_integration_contract::{Data, Error, Inputs, Kind, Outcome};
use bytes::BytesMut;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::{Instant, timeout};

use self::event::Event;
use crate::link::codec::MAX_BODY;
use crate::metrics::Metrics;

/// What may wait for a follower before it holds the model's stream up: bytes, and events.
const BUFFER: usize = 256 * 1024;
const EVENTS: usize = 4096;
/// How long a follower may leave the model waiting: at once, and on the whole. Each millisecond is
/// given back for so many bytes that he took, at 64 KiB a second.
const PATIENCE: Duration = Duration::from_secs(10);
const BYTES: usize = 64;

/// The number of a job, unique within an engine and increasing.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(transparent)]
pub struct JobId(pub u64);

/// A job: what the model is asked, and where the answer goes. Whoever holds it answers it or
/// passes it on; dropping it tells the requester that the engine is gone.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) inputs: Arc<Inputs>,
    reply: oneshot::Sender<Reply>,
    listener: Listener,
    submitted: Instant,
    timing: Option<Arc<Timing>>,
    metrics: Arc<Metrics>,
}

/// When a job got where, for whoever asks. What has not happened yet has no time.
#[derive(Debug, Default)]
pub struct Timing {
    /// It was put into the queue.
    pub submitted: OnceLock<SystemTime>,
    /// It was handed to a worker, for the first time if the worker never began with it.
    pub handed_out: OnceLock<SystemTime>,
    /// It was answered.
    pub ended: OnceLock<SystemTime>,
}

/// How a requester wants what the model says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// When it is complete: pieces of the answer are put together.
    Whole,
    /// As it comes, if it comes in pieces.
    Streamed,
    /// With everything else that happens meanwhile.
    Followed,
}

/// Who hears of what happens before the end.
#[derive(Debug)]
enum Listener {
    /// Nobody; pieces of the answer are put together.
    Assembly(Assembly),
    /// The requester, from the first piece on.
    Streamer,
    /// The requester.
    Follower(Follower),
}

/// What a requester is told first.
#[derive(Debug)]
pub(crate) enum Reply {
    Outcome(Result<Outcome, Error>),
    /// The answer comes in pieces; a further reply is the end.
    Stream(mpsc::Receiver<Heard>, oneshot::Receiver<Reply>),
}

/// The way to a requester who follows his job.
#[derive(Clone, Debug)]
pub(crate) struct Follower {
    events: mpsc::Sender<Heard>,
    /// Bytes that may still be sent before the follower has read some.
    room: Arc<Semaphore>,
    /// Milliseconds that are left of [`PATIENCE`].
    patience: Arc<AtomicU64>,
}

/// An event on its way to the follower, with the room that it takes there.
pub(crate) type Heard = (Event, Option<OwnedSemaphorePermit>);

/// The requester's ends of a job.
#[derive(Debug)]
pub(crate) struct Requester {
    pub(crate) reply: oneshot::Receiver<Reply>,
    pub(crate) events: Option<mpsc::Receiver<Heard>>,
}

impl Job {
    pub(crate) fn new(
        inputs: Inputs,
        delivery: Delivery,
        submitted: Instant,
        timing: Option<Arc<Timing>>,
        metrics: Arc<Metrics>,
    ) -> (Self, Requester) {
        let (reply, answer) = oneshot::channel();
        let (listener, events) = match delivery {
            Delivery::Whole => (Listener::Assembly(Assembly::default()), None),
            Delivery::Streamed => (Listener::Streamer, None),
            Delivery::Followed => {
                let (follower, events) = Follower::new();
                (Listener::Follower(follower), Some(events))
            }
        };
        let inputs = Arc::new(inputs);
        let job = Job { inputs, reply, listener, submitted, timing, metrics };
        job.stamp(|timing| &timing.submitted);
        (job, Requester { reply: answer, events })
    }

    /// Ends the job.
    pub(crate) fn answer(self, outcome: Result<Outcome, Error>) {
        self.stamp(|timing| &timing.ended);
        let outcome = match self.listener {
            Listener::Assembly(assembly) => outcome.and_then(|outcome| assembly.complete(outcome)),
            Listener::Streamer | Listener::Follower(_) => outcome,
        };
        self.metrics.ended(&outcome, self.submitted.elapsed());
        // A requester who has left needs no answer.
        let _ = self.reply.send(Reply::Outcome(outcome));
    }

    /// A worker has got it.
    pub(crate) fn handed_out(&self, now: Instant) {
        self.metrics.handed_out(now - self.submitted);
        self.stamp(|timing| &timing.handed_out);
    }

    fn stamp(&self, which: impl FnOnce(&Timing) -> &OnceLock<SystemTime>) {
        if let Some(timing) = &self.timing {
            let _ = which(timing).set(SystemTime::now());
        }
    }

    /// Whether the requester wants to know of everything.
    pub(crate) fn is_followed(&self) -> bool {
        matches!(self.listener, Listener::Follower(_))
    }

    /// Tells what may be missed: there is always more to come.
    pub(crate) fn offer(&self, event: Event) {
        if let Listener::Follower(follower) = &self.listener {
            let text = match &event {
                Event::Log(text) | Event::Progress { message: Some(text), .. } => text.len(),
                _ => 0,
            };
            let room = follower.room.clone();
            if let Ok(room) = room.try_acquire_many_owned(u32::try_from(text).unwrap_or(u32::MAX)) {
                let _ = follower.events.try_send((event, Some(room)));
            }
        }
    }

    /// Takes a piece of the answer; gives it back when it is to be passed on to a follower, which
    /// may take time.
    pub(crate) fn chunk(
        &mut self,
        content_type: Option<String>,
        data: Data,
    ) -> Option<(Follower, Option<String>, Data)> {
        if matches!(self.listener, Listener::Streamer) {
            let (follower, events) = Follower::new();
            let (reply, end) = oneshot::channel();
            let first = std::mem::replace(&mut self.reply, reply);
            let _ = first.send(Reply::Stream(events, end));
            self.listener = Listener::Follower(follower);
        }
        match &mut self.listener {
            Listener::Assembly(assembly) => {
                assembly.append(content_type, &data);
                None
            }
            Listener::Follower(follower) => Some((follower.clone(), content_type, data)),
            Listener::Streamer => None,
        }
    }
}

impl Follower {
    fn new() -> (Self, mpsc::Receiver<Heard>) {
        let (events, receiver) = mpsc::channel(EVENTS);
        let room = Arc::new(Semaphore::new(BUFFER));
        let patience = Arc::new(AtomicU64::new(millis(PATIENCE)));
        (Follower { events, room, patience }, receiver)
    }

    /// Passes a piece of the answer on, as soon as there is room for it. False when that takes too
    /// long, now or together with the pieces before.
    pub(crate) async fn chunk(&self, content_type: Option<String>, data: Data) -> bool {
        let begun = Instant::now();
        let length = data.len();
        let patience = self.patience.load(Ordering::Relaxed);
        let passed_on = self.pass_on(content_type, data);
        if timeout(Duration::from_millis(patience), passed_on).await.is_err() {
            return false;
        }
        let left = patience.saturating_sub(millis(begun.elapsed()));
        let earned = u64::try_from(length / BYTES).unwrap_or(u64::MAX);
        let left = left.saturating_add(earned).min(millis(PATIENCE));
        self.patience.store(left, Ordering::Relaxed);
        true
    }

    async fn pass_on(&self, content_type: Option<String>, data: Data) {
        let size = u32::try_from(data.len().clamp(1, BUFFER)).unwrap_or(1);
        // A follower who has left needs to hear no more.
        let gone = self.events.closed();
        let passed_on = async {
            let room = self.room.clone().acquire_many_owned(size).await.ok();
            let _ = self.events.send((Event::Chunk { content_type, data }, room)).await;
        };
        tokio::select! {
            () = passed_on => {}
            () = gone => {}
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The pieces of a streamed answer whose requester does not follow it.
#[derive(Debug, Default)]
struct Assembly {
    content_type: Option<String>,
    bytes: BytesMut,
    is_bytes: bool,
    chunks: usize,
}

impl Assembly {
    fn append(&mut self, content_type: Option<String>, data: &Data) {
        if self.chunks == 0 {
            self.content_type = content_type;
        }
        self.chunks += 1;
        let piece = match data {
            Data::None => return,
            Data::Text(text) => text.as_bytes(),
            Data::Bytes(bytes) => {
                self.is_bytes = true;
                bytes
            }
        };
        // One byte over the limit is kept, to be told apart from a full one.
        let room = (MAX_BODY + 1).saturating_sub(self.bytes.len());
        self.bytes.extend_from_slice(&piece[..piece.len().min(room)]);
    }

    /// The outcome with the pieces as its data, if there were any.
    fn complete(self, mut outcome: Outcome) -> Result<Outcome, Error> {
        if self.chunks == 0 {
            return Ok(outcome);
        }
        if self.bytes.len() > MAX_BODY {
            let message = format!("the model's answer is larger than {MAX_BODY} bytes");
            return Err(Error::new(Kind::TooLarge, message));
        }
        outcome.content_type = outcome.content_type.or(self.content_type);
        outcome.data = match String::from_utf8(self.bytes.into()) {
            Ok(text) if !self.is_bytes => Data::Text(text),
            Ok(text) => Data::Bytes(text.into()),
            Err(error) => Data::Bytes(error.into_bytes().into()),
        };
        Ok(outcome)
    }
}
