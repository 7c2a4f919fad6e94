//! Encodes messages as frames, and decodes them. Both directions are in this file, so that the
//! protocol is defined in one place.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use ai_integration_contract::wire::data::{self, DataKind};
use ai_integration_contract::wire::inputs::{self, Entry, ReceivedEntry};
use ai_integration_contract::wire::{FrameError, MAX_BODY};
use ai_integration_contract::{Data, FieldError, Outcome};
use bytes::Bytes;
use memchr::memmem::Finder;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::{FromWorker, ToWorker};
use crate::job::id::JobId;
use crate::link::board::Printed;
use crate::link::codec::{Frame, FrameEncoder};
use crate::link::memory_file::Placement;

/// The header of every message of a worker except `ready`.
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
    /// The inputs that the worker could not read, in the result of a job that it refuses.
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

/// The type that every header has, with the other fields.
#[derive(Serialize, Deserialize)]
struct Tagged<'a, T> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(flatten)]
    rest: T,
}

/// The fields of a header of which only the type is read.
#[derive(Deserialize)]
struct Nothing {}

/// The header of a message of the engine, as a worker reads it.
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
    Window {
        id: JobId,
        bytes: usize,
    },
    #[serde(other)]
    Unknown,
}

/// The header of `job`, as the engine writes it.
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
    /// True if a memory file comes with the frame.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    shared: bool,
}

/// The header of `cancel`, as the engine writes it.
#[derive(Serialize)]
struct CancelHeader {
    #[serde(rename = "type")]
    kind: &'static str,
    id: JobId,
}

/// The header of `window`, as the engine writes it.
#[derive(Serialize)]
struct WindowHeader {
    #[serde(rename = "type")]
    kind: &'static str,
    id: JobId,
    bytes: usize,
}

/// Reads the header of a frame.
fn header<'a, T: Deserialize<'a>>(frame: &'a Frame) -> Result<T, FrameError> {
    // To check the whole header for valid UTF-8 is faster than to check each string.
    let text = std::str::from_utf8(&frame.header);
    let text = text.map_err(|error| FrameError::Header(error.to_string()))?;
    serde_json::from_str(text).map_err(|error| FrameError::Header(error.to_string()))
}

/// The field of a header that says that its body is in a memory file.
#[derive(Deserialize)]
struct BodyPlace {
    #[serde(default)]
    shared: Option<usize>,
}

/// Returns the length of a frame's body if that is in a memory file.
pub(crate) fn shared_length(frame: &Frame) -> Result<Option<usize>, FrameError> {
    static MARK: LazyLock<Finder<'_>> = LazyLock::new(|| Finder::new("\"shared\""));
    // Few headers have the field, and a search costs less than reading each header twice.
    if MARK.find(&frame.header).is_none() {
        return Ok(None);
    }
    let Some(length) = header::<BodyPlace>(frame)?.shared else { return Ok(None) };
    if length > MAX_BODY {
        return Err(FrameError::BodyLength(length));
    }
    if !frame.body.is_empty() {
        return Err(FrameError::Body("it is in a memory file, and in the frame too".to_owned()));
    }
    Ok(Some(length))
}

impl WorkerHeader<'_> {
    /// Returns the message with this header, whose body is in `frame`.
    fn message(self, frame: &Frame) -> Result<FromWorker, FrameError> {
        let WorkerHeader { content_type, data, message, .. } = self;
        let id = || self.id.ok_or_else(|| FrameError::Header("it has no `id`".to_owned()));
        let body = || data::join(data, self.parts, frame.body.clone());
        Ok(match &*self.kind {
            "ready" => FromWorker::Ready(header(frame)?),
            "start" => FromWorker::Start(id()?, self.printed),
            "result" => {
                let success = self.success.unwrap_or_default();
                let (error, is_printed) = (self.error, self.is_printed);
                let outcome = Outcome { success, content_type, error, data: body()?, is_printed };
                if !success && !self.fields.is_empty() {
                    FromWorker::InvalidInputs(id()?, self.fields)
                } else if self.of_batch && !success {
                    FromWorker::BatchFailed(id()?, outcome)
                } else {
                    FromWorker::Result(id()?, outcome)
                }
            }
            "chunk" if data == Some(DataKind::List) => {
                return Err(FrameError::Header("a chunk cannot be a list".to_owned()));
            }
            "chunk" => FromWorker::Chunk(id()?, content_type, body()?),
            "progress" => {
                let fraction = self.fraction.map(|fraction| fraction.clamp(0.0, 1.0));
                FromWorker::Progress(id()?, fraction, message)
            }
            "log" => FromWorker::Log(id()?, message.unwrap_or_default()),
            "pause" => FromWorker::Pause,
            "resume" => FromWorker::Resume,
            "leave" => FromWorker::Leave,
            "replace" => FromWorker::Replace(message.unwrap_or_default()),
            _ => FromWorker::Unknown,
        })
    }
}

impl FromWorker {
    /// Reads a message from a frame.
    pub(crate) fn decode(frame: &Frame) -> Result<Self, FrameError> {
        let error = match header::<WorkerHeader<'_>>(frame) {
            Ok(header) => return header.message(frame),
            Err(error) => error,
        };
        // The fields of a message of a newer protocol may have other types.
        match &*header::<Tagged<'_, Nothing>>(frame)?.kind {
            "ready" | "start" | "result" | "chunk" | "progress" | "log" | "replace" => Err(error),
            _ => Ok(FromWorker::Unknown),
        }
    }

    /// Appends the message to `out` as a frame.
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
    /// Appends the message to `out` as a frame. If bytes are returned, the caller must keep them
    /// until the worker has finished the job, because the worker reads the job's large inputs from
    /// their memory.
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
            ToWorker::Window { id, bytes } => {
                out.frame(&WindowHeader { kind: "window", id: *id, bytes: *bytes }, &[], None)
            }
            ToWorker::Unknown => {
                out.frame(&Tagged { kind: "unknown".into(), rest: Json::Null }, &[], None)
            }
        }
        .map(|()| None)
    }

    /// Reads a message from a frame.
    pub(crate) fn decode(frame: &Frame) -> Result<Self, FrameError> {
        Ok(match header(frame)? {
            EngineHeader::Job { id, inputs, more, tell_start } => {
                let inputs = inputs::join(inputs, frame.body.clone())?;
                ToWorker::Job { id, inputs: Arc::new(inputs), more, tell_start }
            }
            EngineHeader::Cancel { id } => ToWorker::Cancel(id),
            EngineHeader::Window { id, bytes } => ToWorker::Window { id, bytes },
            EngineHeader::Unknown => ToWorker::Unknown,
        })
    }
}
