//! Messages: what the two sides of a link say to each other, and how each becomes a frame. Both
//! directions live here, so that the protocol is written once.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use ai_integration_contract::wire::data::{self, DataKind};
use ai_integration_contract::wire::inputs::{self, Entry, ReceivedEntry};
use ai_integration_contract::wire::{FrameError, MAX_BODY};
use ai_integration_contract::{Data, FieldError, Inputs, InputsSchema, Outcome};
use bytes::Bytes;
use memchr::memmem::Finder;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::job::id::JobId;
use crate::link::board::Printed;
use crate::link::codec::{Frame, FrameEncoder};
use crate::link::memory_file::Placement;
use crate::model::{About, CustomMode, Model};

/// The version of the protocol spoken here.
pub const PROTOCOL: u32 = 1;

/// A message that breaks the protocol; the link is not used any further.
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
}

/// The first message of a worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ready {
    /// The version that the worker speaks.
    pub protocol: u32,
    /// Name and version of its library.
    #[serde(default)]
    pub client: String,
    /// The inputs schema as the author wrote it.
    #[serde(default)]
    pub inputs_schema: Json,
    /// What the author says of the model.
    #[serde(default, skip_serializing_if = "About::is_silent")]
    pub about: Box<About>,
    /// How results may be drawn.
    #[serde(default)]
    pub visualizer_config: Json,
    /// Usage modes of the program's environment.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub modes: Vec<CustomMode>,
    /// How jobs may be put together; `None` when the model takes them one by one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<Batching>,
    /// Whether the worker takes large bodies as memory files.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shared_memory: bool,
    /// Whether the worker notes in a memory file, which comes with this message, what it has
    /// started. It then says so only where it is asked to.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub board: bool,
}

impl Ready {
    /// The model that the worker describes, and what of the description was not understood.
    pub(crate) fn describe(self) -> (Model, Vec<String>) {
        let (schema, mut warnings) = InputsSchema::parse(&self.inputs_schema);
        if self.inputs_schema.is_null() {
            warnings.push("the model gave no inputs schema; it is taken as empty".to_owned());
        }
        let Ready { about, visualizer_config, modes: custom_modes, .. } = self;
        (Model { schema, about: *about, visualizer_config, custom_modes }, warnings)
    }
}

/// How jobs are put together into batches.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Batching {
    /// The most jobs in a batch.
    pub max_size: usize,
    /// How long a job may wait, in milliseconds, for others that are on their way.
    pub max_wait_ms: f64,
}

impl Batching {
    /// `max_wait_ms` as a duration, up to a minute.
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
    /// The model begins a job. A worker that can tell says how much it had printed by then.
    Start(JobId, Option<Printed>),
    /// The model has ended a job.
    Result(JobId, Outcome),
    /// The worker cannot read these inputs of a job, which ends it before the model has seen it.
    InvalidInputs(JobId, Vec<FieldError>),
    /// The batch that the job belongs to failed as a whole; the job itself may be fine.
    BatchFailed(JobId, Outcome),
    /// A piece of a job's answer.
    Chunk(JobId, Option<String>, Data),
    /// How far a job is: from 0 to 1, and what is being done.
    Progress(JobId, Option<f64>, Option<String>),
    /// A line about a job.
    Log(JobId, String),
    /// The program is about to end, it seems: it wants no further jobs until it resumes.
    Pause,
    /// It goes on after all.
    Resume,
    /// The process is broken, for this reason, and asks for another one in its place.
    Replace(String),
    /// The program ends, and is not to be started again.
    Leave,
    /// A message of a newer protocol, to be ignored.
    Unknown,
}

/// A message to a worker.
#[derive(Clone, Debug, PartialEq)]
pub enum ToWorker {
    /// Work to do.
    Job {
        /// The job's number.
        id: JobId,
        /// What the model is asked.
        inputs: Arc<Inputs>,
        /// Whether the next job belongs to the same batch.
        more: bool,
        /// Whether a worker that keeps a board is to tell when the model begins it.
        tell_start: bool,
    },
    /// Nobody waits for this job any more.
    Cancel(JobId),
    /// A message of a newer protocol, to be ignored.
    Unknown,
}

/// Every message of a worker but `ready`.
#[derive(Default, Serialize, Deserialize)]
struct WorkerHeader<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<JobId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    success: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    content_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    data: Option<DataKind>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    parts: Option<Vec<usize>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fraction: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    /// The inputs that do not fit, where that is why there is no result.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    fields: Vec<FieldError>,
    /// True in the result of a job whose batch failed as a whole.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    of_batch: bool,
    /// True in a failure whose traceback the worker has printed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    is_printed: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    printed: Option<Printed>,
}

/// What every header has.
#[derive(Serialize, Deserialize)]
struct Tagged<'a, T> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(flatten)]
    rest: T,
}

#[derive(Deserialize)]
struct Nothing {}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum EngineHeader {
    Job {
        id: JobId,
        inputs: Vec<ReceivedEntry>,
        #[serde(default)]
        more: bool,
        #[serde(default)]
        tell_start: bool,
    },
    Cancel {
        id: JobId,
    },
    #[serde(other)]
    Unknown,
}

#[derive(Serialize)]
struct JobHeader<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    id: JobId,
    inputs: &'a [Entry<'a>],
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    more: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    tell_start: bool,
    /// Whether a memory file comes with it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    shared: bool,
}

#[derive(Serialize)]
struct CancelHeader {
    #[serde(rename = "type")]
    kind: &'static str,
    id: JobId,
}

fn header<'a, T: Deserialize<'a>>(frame: &'a Frame) -> Result<T, FrameError> {
    // Looked through for UTF-8 as a whole, which is quicker than string by string.
    let text = std::str::from_utf8(&frame.header);
    let text = text.map_err(|error| FrameError::Header(error.to_string()))?;
    serde_json::from_str(text).map_err(|error| FrameError::Header(error.to_string()))
}

/// A header that says where its body is.
#[derive(Deserialize)]
struct BodyPlace {
    #[serde(default)]
    shared: Option<usize>,
}

/// The length of a frame's body, if that is in a memory file of its own.
pub(crate) fn shared_length(frame: &Frame) -> Result<Option<usize>, FrameError> {
    static MARK: LazyLock<Finder<'_>> = LazyLock::new(|| Finder::new("\"shared\""));
    // Few frames have it, and a search costs less than reading a header twice.
    if MARK.find(&frame.header).is_none() {
        return Ok(None);
    }
    let Some(length) = header::<BodyPlace>(frame)?.shared else { return Ok(None) };
    if length > MAX_BODY {
        return Err(FrameError::BodyLength(length));
    }
    if !frame.body.is_empty() {
        return Err(FrameError::Body("a memory file, and bytes beside it".to_owned()));
    }
    Ok(Some(length))
}

impl FromWorker {
    pub(crate) fn decode(frame: &Frame) -> Result<Self, FrameError> {
        let WorkerHeader {
            kind,
            id,
            success,
            content_type,
            data,
            parts,
            error,
            fraction,
            message,
            fields,
            of_batch,
            is_printed,
            printed,
        } = match header(frame) {
            Ok(header) => header,
            Err(error) => {
                return match &*header::<Tagged<'_, Nothing>>(frame)?.kind {
                    "ready" | "start" | "result" | "chunk" | "progress" | "log" | "replace" => {
                        Err(error)
                    }
                    _ => Ok(FromWorker::Unknown),
                };
            }
        };
        let id = || id.ok_or_else(|| FrameError::Header("it has no `id`".to_owned()));
        let body = || data::join(data, parts, frame.body.clone());
        let message = match &*kind {
            "ready" => FromWorker::Ready(header(frame)?),
            "start" => FromWorker::Start(id()?, printed),
            "result" => {
                let success = success.unwrap_or_default();
                let outcome = Outcome { success, content_type, error, data: body()?, is_printed };
                if !success && !fields.is_empty() {
                    FromWorker::InvalidInputs(id()?, fields)
                } else if of_batch && !success {
                    FromWorker::BatchFailed(id()?, outcome)
                } else {
                    FromWorker::Result(id()?, outcome)
                }
            }
            "chunk" if data == Some(DataKind::List) => {
                return Err(FrameError::Header("a list as a piece of an answer".to_owned()));
            }
            "chunk" => FromWorker::Chunk(id()?, content_type, body()?),
            "progress" => {
                let fraction = fraction.map(|fraction| fraction.clamp(0.0, 1.0));
                FromWorker::Progress(id()?, fraction, message)
            }
            "log" => FromWorker::Log(id()?, message.unwrap_or_default()),
            "pause" => FromWorker::Pause,
            "resume" => FromWorker::Resume,
            "leave" => FromWorker::Leave,
            "replace" => FromWorker::Replace(message.unwrap_or_default()),
            _ => FromWorker::Unknown,
        };
        Ok(message)
    }

    pub(crate) fn encode(&self, out: &mut FrameEncoder) -> Result<(), FrameError> {
        let of = |kind: &'static str, id: &JobId| WorkerHeader {
            kind: kind.into(),
            id: Some(*id),
            ..WorkerHeader::default()
        };
        let (header, data) = match self {
            FromWorker::Ready(ready) => {
                return out.frame(&Tagged { kind: "ready".into(), rest: ready }, &[], None);
            }
            FromWorker::Start(id, printed) => {
                (WorkerHeader { printed: *printed, ..of("start", id) }, &Data::None)
            }
            FromWorker::Result(id, outcome) | FromWorker::BatchFailed(id, outcome) => {
                let header = WorkerHeader {
                    success: Some(outcome.success),
                    content_type: outcome.content_type.clone(),
                    error: outcome.error.clone(),
                    of_batch: matches!(self, FromWorker::BatchFailed(..)),
                    is_printed: outcome.is_printed,
                    ..of("result", id)
                };
                (header, &outcome.data)
            }
            FromWorker::InvalidInputs(id, fields) => {
                let header = WorkerHeader {
                    success: Some(false),
                    fields: fields.clone(),
                    ..of("result", id)
                };
                (header, &Data::None)
            }
            FromWorker::Chunk(id, content_type, data) => {
                (WorkerHeader { content_type: content_type.clone(), ..of("chunk", id) }, data)
            }
            FromWorker::Progress(id, fraction, message) => {
                let (fraction, message) = (*fraction, message.clone());
                (WorkerHeader { fraction, message, ..of("progress", id) }, &Data::None)
            }
            FromWorker::Log(id, message) => {
                (WorkerHeader { message: Some(message.clone()), ..of("log", id) }, &Data::None)
            }
            FromWorker::Replace(reason) => {
                let kind = "replace".into();
                let message = Some(reason.clone());
                (WorkerHeader { kind, message, ..WorkerHeader::default() }, &Data::None)
            }
            FromWorker::Pause | FromWorker::Resume | FromWorker::Leave | FromWorker::Unknown => {
                let kind = match self {
                    FromWorker::Pause => "pause",
                    FromWorker::Resume => "resume",
                    FromWorker::Leave => "leave",
                    _ => "unknown",
                };
                (WorkerHeader { kind: kind.into(), ..WorkerHeader::default() }, &Data::None)
            }
        };
        let data::Split { kind: data, parts, segments } = data::split(data);
        out.frame(&WorkerHeader { data, parts, ..header }, &segments, None)
    }
}

impl ToWorker {
    /// The job that the message hands over, if it does.
    pub(crate) fn job(&self) -> Option<JobId> {
        match self {
            ToWorker::Job { id, .. } => Some(*id),
            ToWorker::Cancel(_) | ToWorker::Unknown => None,
        }
    }

    /// About the bytes of the inputs. Nothing is looked at beyond `most`.
    pub(crate) fn extent(&self, most: usize) -> usize {
        let ToWorker::Job { inputs, .. } = self else { return 0 };
        inputs.values().map(|value| value.extent(most)).sum()
    }

    /// Puts the message into a frame. What comes back is to be kept until the job has ended: the
    /// worker reads the job's large inputs from that memory.
    pub(crate) fn encode(&self, out: &mut FrameEncoder) -> Result<Option<Bytes>, FrameError> {
        match self {
            ToWorker::Job { id, inputs, more, tell_start } => {
                let mut split = inputs::split(inputs);
                let placement = if out.shares { Placement::of(&split.segments) } else { None };
                if let Some(placement) = &placement {
                    split.place(&placement.offsets);
                }
                let header = JobHeader {
                    kind: "job",
                    id: *id,
                    inputs: &split.entries,
                    more: *more,
                    tell_start: *tell_start,
                    shared: placement.is_some(),
                };
                let (file, lease) =
                    placement.map(|placement| (placement.file, placement.lease)).unzip();
                out.frame(&header, &split.segments, file)?;
                return Ok(lease);
            }
            ToWorker::Cancel(id) => out.frame(&CancelHeader { kind: "cancel", id: *id }, &[], None),
            ToWorker::Unknown => {
                out.frame(&Tagged { kind: "unknown".into(), rest: Json::Null }, &[], None)
            }
        }
        .map(|()| None)
    }

    pub(crate) fn decode(frame: &Frame) -> Result<Self, FrameError> {
        Ok(match header(frame)? {
            EngineHeader::Job { id, inputs, more, tell_start } => {
                let inputs = inputs::join(inputs, frame.body.clone())?;
                ToWorker::Job { id, inputs: Arc::new(inputs), more, tell_start }
            }
            EngineHeader::Cancel { id } => ToWorker::Cancel(id),
            EngineHeader::Unknown => ToWorker::Unknown,
        })
    }
}

#[cfg(test)]
mod tests;
