//! The messages that the engine and a worker send each other. `docs/worker-protocol.md` describes
//! them.

pub(crate) mod frames;

use std::sync::Arc;
use std::time::Duration;

use ai_integration_contract::wire::FrameError;
use ai_integration_contract::{Data, FieldError, Inputs, InputsSchema, Outcome, Outputs, Tasks};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::job::id::JobId;
use crate::link::board::Printed;
use crate::model::{About, CustomMode, Model};

/// The version of the worker protocol that this crate implements.
pub const PROTOCOL: u32 = 1;

/// The maximum number of jobs that a worker runs at a time.
pub const MOST_CONCURRENT: usize = 1024;

/// The number of bytes of chunks that a job may send before its requester has read any.
pub const WINDOW: usize = 256 * 1024;

/// A message that breaks the protocol. The link is not used after it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Violation {
    #[error("the worker sent {0}")]
    Frame(#[from] FrameError),
    #[error("the worker sent {0} out of turn")]
    OutOfTurn(&'static str),
    #[error("the worker speaks version {0} of the protocol; this engine speaks version {PROTOCOL}")]
    Version(u32),
    #[error("the inputs schema has the name {0:?}; a name cannot have control characters in it")]
    InputName(String),
    #[error("{0}")]
    Task(String),
}

/// The first message of a worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ready {
    /// The version of the protocol that the worker speaks.
    pub protocol: u32,
    /// The name and version of the worker's library.
    #[serde(default)]
    pub client: String,
    /// The inputs schema as the author wrote it.
    #[serde(default)]
    pub inputs_schema: Json,
    /// The author's texts about the model.
    #[serde(default, skip_serializing_if = "About::is_empty")]
    pub about: Box<About>,
    /// The outputs as the author declared them.
    #[serde(default, skip_serializing_if = "Json::is_null")]
    pub outputs: Box<Json>,
    /// The tasks of the model: a name, a list of names, or `null` for none.
    #[serde(default, skip_serializing_if = "Json::is_null")]
    pub task: Box<Json>,
    /// Hints for programs that draw the results.
    #[serde(default)]
    pub visualizer_config: Json,
    /// The model's custom modes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub modes: Vec<CustomMode>,
    /// The batching that the model asks for; `None` if it takes jobs one by one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<Batching>,
    /// The number of jobs, or of batches, that the worker runs at a time; `None` if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<usize>,
    /// True if the worker takes large bodies as memory files.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shared_memory: bool,
    /// True if the worker keeps a board: a memory file, sent with this message, in which it records
    /// the job that it has started. It then sends `start` only for jobs with `tell_start`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub board: bool,
}

impl Ready {
    /// Makes the message of a worker with this inputs schema that uses none of the optional
    /// features.
    #[must_use]
    pub fn new(inputs_schema: Json) -> Self {
        Ready {
            protocol: PROTOCOL,
            client: String::new(),
            inputs_schema,
            about: Box::default(),
            outputs: Box::default(),
            task: Box::default(),
            visualizer_config: Json::Null,
            modes: Vec::new(),
            batch: None,
            concurrency: None,
            shared_memory: false,
            board: false,
        }
    }

    /// Returns the number of jobs, or of batches, that the worker runs at a time.
    pub(crate) fn concurrency(&self) -> usize {
        self.concurrency.unwrap_or(1).clamp(1, MOST_CONCURRENT)
    }

    /// Returns the model that the worker describes, with warnings about the parts of the
    /// description that are wrong.
    pub(crate) fn describe(self) -> (Model, Vec<String>) {
        let (schema, mut warnings) = InputsSchema::parse(&self.inputs_schema);
        if self.inputs_schema.is_null() {
            warnings.push("the model gave no inputs schema; it is taken as empty".to_owned());
        }
        let outputs = Outputs::parse(&self.outputs);
        warnings.extend(outputs.mistakes().iter().map(|mistake| format!("outputs: {mistake}")));
        let tasks = Tasks::parse(&self.task).unwrap_or_else(|mistake| {
            warnings.push(mistake);
            Tasks::default()
        });
        let Ready { about, visualizer_config, modes: custom_modes, .. } = self;
        (Model { schema, about: *about, outputs, tasks, visualizer_config, custom_modes }, warnings)
    }
}

/// The rules by which jobs are put into batches.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Batching {
    /// The maximum number of jobs in a batch.
    pub max_size: usize,
    /// The longest time in milliseconds that a job waits for further jobs of its batch.
    pub max_wait_ms: f64,
}

impl Batching {
    /// Returns `max_wait_ms` as a duration, at most one minute.
    #[must_use]
    pub fn max_wait(&self) -> Duration {
        let seconds = (self.max_wait_ms / 1000.0).clamp(0.0, 60.0);
        Duration::try_from_secs_f64(seconds).unwrap_or_default()
    }
}

/// A message from a worker.
#[derive(Clone, Debug, PartialEq)]
pub enum FromWorker {
    /// The model is loaded and asks for its first job.
    Ready(Ready),
    /// The model starts a job. A worker that keeps a board adds how much it had printed before.
    Start(JobId, Option<Printed>),
    /// The model has finished a job.
    Result(JobId, Outcome),
    /// The worker cannot read these inputs of a job. The job ends before the model has seen it.
    InvalidInputs(JobId, Vec<FieldError>),
    /// The batch of the job failed as a whole. The job may succeed alone.
    BatchFailed(JobId, Outcome),
    /// A chunk of a job's result, with the media type of the result.
    Chunk(JobId, Option<String>, Data),
    /// The progress of a job: the part that is done, from 0 to 1, and a description of the present
    /// step.
    Progress(JobId, Option<f64>, Option<String>),
    /// A log line of a job.
    Log(JobId, String),
    /// The model process may be about to end. It wants no further jobs until it sends `Resume`.
    Pause,
    /// The model process goes on, and takes jobs again.
    Resume,
    /// The model process is broken, for this reason, and asks to be replaced.
    Replace(String),
    /// The model process ends, and must not be restarted.
    Leave,
    /// A message of a newer protocol, which is ignored.
    Unknown,
}

/// A message to a worker.
#[derive(Clone, Debug, PartialEq)]
pub enum ToWorker {
    /// A job for the model.
    Job {
        /// The job's number.
        id: JobId,
        /// The inputs for the model.
        inputs: Arc<Inputs>,
        /// True if the next job belongs to the same batch.
        more: bool,
        /// True if a worker that keeps a board must nevertheless send `start` for this job.
        tell_start: bool,
    },
    /// Nobody waits for the result of this job any more.
    Cancel(JobId),
    /// The requester of a job has read so many bytes of its chunks that the worker may send this
    /// many more. Only for workers that run several jobs at a time.
    Window {
        /// The job's number.
        id: JobId,
        /// The number of bytes.
        bytes: usize,
    },
    /// A message of a newer protocol, which is ignored.
    Unknown,
}

impl ToWorker {
    /// Returns the job that the message hands over, if it does.
    pub(crate) fn job(&self) -> Option<JobId> {
        match self {
            ToWorker::Job { id, .. } => Some(*id),
            ToWorker::Cancel(_) | ToWorker::Window { .. } | ToWorker::Unknown => None,
        }
    }

    /// Estimates the size of the inputs in bytes. It stops counting within an input at `most`.
    pub(crate) fn extent(&self, most: usize) -> usize {
        let ToWorker::Job { inputs, .. } = self else { return 0 };
        inputs.values().map(|value| value.extent(most)).sum()
    }
}

#[cfg(test)]
mod tests;
