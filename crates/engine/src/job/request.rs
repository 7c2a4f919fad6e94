//! A request to a model, as requesters make it.

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
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Request {
    /// The model's inputs.
    pub inputs: Inputs,
    /// The time until the answer; `None` for the engine's own limit.
    pub timeout: Option<Duration>,
    /// The job's name, for a queue that keeps jobs. The embedded engine keeps none.
    pub key: Option<JobKey>,
    /// True for a requester that wants to hear of everything that happens to the job.
    pub is_followed: bool,
    /// The place where the job's times are written down.
    pub timing: Option<Arc<Timing>>,
    /// The memory that the inputs take up.
    pub reservation: Option<Reservation>,
    /// True or false once it is known that the inputs fit a frame, or do not.
    fits: Option<bool>,
}

/// Bytes of inputs from which they are looked through on another thread.
const LARGE: usize = 1 << 20;

/// Timestamps of a job's life, for tracing. What has not happened yet has no time.
#[derive(Debug, Default)]
pub struct Timing {
    /// The time when it was put into the queue.
    pub submitted: OnceLock<SystemTime>,
    /// The time when it was handed to a worker, the first one if the worker never began with it.
    pub handed_out: OnceLock<SystemTime>,
    /// The time when it was answered.
    pub ended: OnceLock<SystemTime>,
}

impl Request {
    /// A request for one outcome.
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

    /// Tells whether it takes time to look through the inputs.
    pub(crate) fn is_large(&self) -> bool {
        self.inputs.values().map(|value| value.extent(LARGE)).sum::<usize>() >= LARGE
    }

    /// Finds out on another thread whether the inputs fit a frame.
    pub(crate) async fn measured(mut self) -> Result<Self, Error> {
        let measured = spawn_blocking(move || {
            self.fits = Some(inputs::fit(&self.inputs));
            self
        });
        let stopping = |_| Error::new(Kind::ShuttingDown, "the server is stopping");
        measured.await.map_err(stopping)
    }

    /// Tells whether the inputs fit a frame.
    pub(crate) fn fits(&self) -> bool {
        self.fits.unwrap_or_else(|| inputs::fit(&self.inputs))
    }

    /// Limits the time until the answer, below the engine's own limit.
    #[must_use]
    pub fn timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.timeout = timeout.into();
        self
    }

    /// Names the job.
    #[must_use]
    pub fn key(mut self, key: JobKey) -> Self {
        self.key = Some(key);
        self
    }

    /// Asks for everything that happens to the job: its start, progress and log lines besides the
    /// pieces of the answer. The ticket's events have to be read then.
    #[must_use]
    pub fn follow(mut self) -> Self {
        self.is_followed = true;
        self
    }

    /// Has the job's times written down.
    #[must_use]
    pub fn timing(mut self, timing: impl Into<Option<Arc<Timing>>>) -> Self {
        self.timing = timing.into();
        self
    }

    /// Holds the memory that the inputs take up, until the job has ended and its ticket is gone.
    #[must_use]
    pub fn reservation(mut self, reservation: Reservation) -> Self {
        self.reservation = Some(reservation);
        self
    }
}
