//! The request that a requester submits.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use ai_integration_contract::wire::inputs;
use ai_integration_contract::{Error, Inputs, Kind};
use tokio::task::spawn_blocking;

use crate::job::budget::Reservation;
use crate::job::id::JobKey;

/// A request to a model.
///
/// ```
/// # use std::time::Duration;
/// use ai_integration_contract::{Inputs, Value};
/// use ai_integration_engine::Request;
///
/// let inputs = Inputs::from_iter([("text".to_owned(), Value::Text("a question".to_owned()))]);
/// let request = Request::new(inputs).timeout(Duration::from_secs(10)).follow();
/// assert_eq!(request.timeout, Some(Duration::from_secs(10)));
/// assert!(request.is_followed);
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Request {
    /// The model's inputs.
    pub inputs: Inputs,
    /// The longest time until the outcome; `None` for the engine's own limit.
    pub timeout: Option<Duration>,
    /// The job's key, for a queue that stores jobs. The embedded engine ignores it.
    pub key: Option<JobKey>,
    /// True if the requester follows the job: it also gets the job's start, progress and log lines.
    pub is_followed: bool,
    /// The record of the job's timestamps.
    pub timing: Option<Arc<Timing>>,
    /// The memory that is reserved for the inputs.
    pub reservation: Option<Reservation>,
    /// The result of the check that the inputs fit a frame, if it has been made.
    fits: Option<bool>,
}

/// The least size in bytes of inputs that are checked on another thread.
const LARGE: usize = 1 << 20;

/// The timestamps of a job, for tracing. Each is unset until its event has happened.
#[derive(Debug, Default)]
pub struct Timing {
    /// The time when the job was put into the queue.
    pub submitted: OnceLock<SystemTime>,
    /// The time when the job was handed to a worker: to the first one, if it was handed to several.
    pub handed_out: OnceLock<SystemTime>,
    /// The time when the job ended.
    pub ended: OnceLock<SystemTime>,
}

impl Request {
    /// Makes a request whose requester wants the result only.
    #[must_use]
    pub fn new(inputs: Inputs) -> Self {
        Request {
            inputs,
            timeout: None,
            key: None,
            is_followed: false,
            timing: None,
            reservation: None,
            fits: None,
        }
    }

    /// Returns true if the inputs are so large that they should be checked on another thread.
    pub(crate) fn is_large(&self) -> bool {
        self.inputs.values().map(|value| value.extent(LARGE)).sum::<usize>() >= LARGE
    }

    /// Checks on another thread whether the inputs fit a frame.
    pub(crate) async fn measured(mut self) -> Result<Self, Error> {
        let measured = spawn_blocking(move || {
            self.fits = Some(inputs::fit(&self.inputs));
            self
        });
        let stopping = |_| Error::new(Kind::ShuttingDown, "the server is stopping");
        measured.await.map_err(stopping)
    }

    /// Returns true if the inputs fit a frame.
    pub(crate) fn fits(&self) -> bool {
        self.fits.unwrap_or_else(|| inputs::fit(&self.inputs))
    }

    /// Limits the time until the outcome. The engine's own limit applies if it is smaller.
    #[must_use]
    pub fn timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.timeout = timeout.into();
        self
    }

    /// Sets the key of the job.
    #[must_use]
    pub fn key(mut self, key: JobKey) -> Self {
        self.key = Some(key);
        self
    }

    /// Asks for the start, progress and log lines of the job, besides the chunks of its result. The
    /// requester must then read the ticket's events, or the model is blocked.
    #[must_use]
    pub fn follow(mut self) -> Self {
        self.is_followed = true;
        self
    }

    /// Sets the record of the job's timestamps.
    #[must_use]
    pub fn timing(mut self, timing: impl Into<Option<Arc<Timing>>>) -> Self {
        self.timing = timing.into();
        self
    }

    /// Keeps the memory of the inputs reserved until the job has ended and its ticket is dropped.
    #[must_use]
    pub fn reservation(mut self, reservation: Reservation) -> Self {
        self.reservation = Some(reservation);
        self
    }
}
