//! Messages: what the two sides of a link say to each other, and how each becomes a frame. Both
//! directions live here, so that the protocol is written once.

use std::borrow::Cow;
use std::sync::Arc;

use ai_integration_contract::{Data, Inputs, Outcome, Value};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::codec::{Encoded, Frame, MAX_BODY, MAX_HEADER};
use crate::{CustomMode, FrameError, JobId};

/// The version of the protocol spoken here.
pub const PROTOCOL: u32 = 1;

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
    /// How results may be drawn.
    #[serde(default)]
    pub visualizer_config: Json,
    /// Usage modes of the program's environment.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub modes: Vec<CustomMode>,
}

/// A message from a worker.
#[derive(Clone, Debug, PartialEq)]
pub enum FromWorker {
    /// The model is loaded and asks for its first job.
    Ready(Ready),
    /// The model begins a job.
    Start(JobId),
    /// The model has ended a job.
    Result(JobId, Outcome),
    /// A piece of a job's answer.
    Chunk(JobId, Option<String>, Data),
    /// How far a job is: from 0 to 1, and what is being done.
    Progress(JobId, Option<f64>, Option<String>),
    /// A line about a job.
    Log(JobId, String),
    /// A message of a newer protocol, to be ignored.
    Unknown,
}

/// A message to a worker.
#[derive(Clone, Debug, PartialEq)]
pub enum ToWorker {
    /// Work to do.
    Job(JobId, Arc<Inputs>),
    /// Nobody waits for this job any more.
    Cancel(JobId),
    /// A message of a newer protocol, to be ignored.
    Unknown,
}

/// What a body holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum DataKind {
    Text,
    Bytes,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum WorkerHeader<'a> {
    Ready(Ready),
    Start {
        id: JobId,
    },
    Result {
        id: JobId,
        #[serde(default)]
        success: bool,
        #[serde(default)]
        content_type: Option<Cow<'a, str>>,
        #[serde(default)]
        data: Option<DataKind>,
        #[serde(default)]
        error: Option<Cow<'a, str>>,
    },
    Chunk {
        id: JobId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        content_type: Option<Cow<'a, str>>,
        data: DataKind,
    },
    Progress {
        id: JobId,
        #[serde(default)]
        fraction: Option<f64>,
        #[serde(default)]
        message: Option<Cow<'a, str>>,
    },
    Log {
        id: JobId,
        message: Cow<'a, str>,
    },
    #[serde(other)]
    Unknown,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum EngineHeader<'a> {
    Job {
        id: JobId,
        inputs: Vec<(Cow<'a, str>, InputKind, Json)>,
    },
    Cancel {
        id: JobId,
    },
    #[serde(other)]
    Unknown,
}

/// How an input travels.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum InputKind {
    Bytes,
    Text,
    Json,
    Value,
}

fn split_data(data: &Data) -> (Option<DataKind>, Bytes) {
    match data {
        Data::None => (None, Bytes::new()),
        Data::Text(text) => (Some(DataKind::Text), Bytes::copy_from_slice(text.as_bytes())),
        Data::Bytes(bytes) => (Some(DataKind::Bytes), bytes.clone()),
    }
}

fn join_data(kind: Option<DataKind>, body: Bytes) -> Result<Data, FrameError> {
    match kind {
        Some(DataKind::Bytes) => Ok(Data::Bytes(body)),
        Some(DataKind::Text) => Ok(Data::Text(utf8(body)?)),
        None if body.is_empty() => Ok(Data::None),
        None => Err(FrameError::Body(format!("{} bytes where there should be none", body.len()))),
    }
}

fn utf8(bytes: Bytes) -> Result<String, FrameError> {
    String::from_utf8(bytes.into()).map_err(|error| FrameError::Body(error.to_string()))
}

fn header<'a, T: Deserialize<'a>>(frame: &'a Frame) -> Result<T, FrameError> {
    serde_json::from_slice(&frame.header).map_err(|error| FrameError::Header(error.to_string()))
}

impl FromWorker {
    pub(crate) fn decode(frame: &Frame) -> Result<Self, FrameError> {
        let message = match header(frame)? {
            WorkerHeader::Ready(ready) => FromWorker::Ready(ready),
            WorkerHeader::Start { id } => FromWorker::Start(id),
            WorkerHeader::Result { id, success, content_type, data, error } => {
                let outcome = Outcome {
                    success,
                    content_type: content_type.map(Cow::into_owned),
                    error: error.map(Cow::into_owned),
                    data: join_data(data, frame.body.clone())?,
                };
                FromWorker::Result(id, outcome)
            }
            WorkerHeader::Chunk { id, content_type, data } => FromWorker::Chunk(
                id,
                content_type.map(Cow::into_owned),
                join_data(Some(data), frame.body.clone())?,
            ),
            WorkerHeader::Progress { id, fraction, message } => FromWorker::Progress(
                id,
                fraction.map(|fraction| fraction.clamp(0.0, 1.0)),
                message.map(Cow::into_owned),
            ),
            WorkerHeader::Log { id, message } => FromWorker::Log(id, message.into_owned()),
            WorkerHeader::Unknown => FromWorker::Unknown,
        };
        Ok(message)
    }

    pub(crate) fn encode(&self) -> Result<Encoded, FrameError> {
        let borrow = |text: &Option<String>| text.clone().map(Cow::Owned);
        let (header, body) = match self {
            FromWorker::Ready(ready) => (WorkerHeader::Ready(ready.clone()), Bytes::new()),
            FromWorker::Start(id) => (WorkerHeader::Start { id: *id }, Bytes::new()),
            FromWorker::Result(id, outcome) => {
                let (data, body) = split_data(&outcome.data);
                let header = WorkerHeader::Result {
                    id: *id,
                    success: outcome.success,
                    content_type: borrow(&outcome.content_type),
                    data,
                    error: borrow(&outcome.error),
                };
                (header, body)
            }
            FromWorker::Chunk(id, content_type, data) => {
                let (kind, body) = split_data(data);
                let data = kind.unwrap_or(DataKind::Bytes);
                (WorkerHeader::Chunk { id: *id, content_type: borrow(content_type), data }, body)
            }
            FromWorker::Progress(id, fraction, message) => {
                let header = WorkerHeader::Progress {
                    id: *id,
                    fraction: *fraction,
                    message: borrow(message),
                };
                (header, Bytes::new())
            }
            FromWorker::Log(id, message) => {
                (WorkerHeader::Log { id: *id, message: message.as_str().into() }, Bytes::new())
            }
            FromWorker::Unknown => (WorkerHeader::Unknown, Bytes::new()),
        };
        Encoded::new(&header, &[body])
    }
}

/// Whether a job of these inputs fits a frame, at the most that it may need there: what does not
/// would end the link.
pub(crate) fn fits_frame(inputs: &Inputs) -> bool {
    // A byte of a name takes six when it has to be escaped; kind, value and commas are short.
    let header: usize = inputs.keys().map(|name| name.len() * 6 + 64).sum();
    let body = inputs.values().map(|value| match value {
        Value::Text(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        // Came in with a body or a file that is bounded far below.
        Value::Json(_) => 0,
    });
    header <= MAX_HEADER - 64 && body.sum::<usize>() <= MAX_BODY
}

impl ToWorker {
    pub(crate) fn encode(&self) -> Result<Encoded, FrameError> {
        match self {
            ToWorker::Job(id, inputs) => {
                let mut segments = Vec::new();
                let mut entries = Vec::with_capacity(inputs.len());
                for (name, value) in inputs.iter() {
                    let mut segment = |bytes: Bytes| {
                        let length = Json::from(bytes.len());
                        segments.push(bytes);
                        length
                    };
                    let (kind, rest) = match value {
                        Value::Bytes(bytes) => (InputKind::Bytes, segment(bytes.clone())),
                        Value::Text(text) => {
                            (InputKind::Text, segment(Bytes::copy_from_slice(text.as_bytes())))
                        }
                        Value::Json(
                            json @ (Json::Array(_) | Json::Object(_) | Json::String(_)),
                        ) => (InputKind::Json, segment(json.to_string().into())),
                        Value::Json(scalar) => (InputKind::Value, scalar.clone()),
                    };
                    entries.push((Cow::Borrowed(name.as_str()), kind, rest));
                }
                Encoded::new(&EngineHeader::Job { id: *id, inputs: entries }, &segments)
            }
            ToWorker::Cancel(id) => Encoded::new(&EngineHeader::Cancel { id: *id }, &[]),
            ToWorker::Unknown => Encoded::new(&EngineHeader::Unknown, &[]),
        }
    }

    pub(crate) fn decode(frame: &Frame) -> Result<Self, FrameError> {
        let mut body = frame.body.clone();
        let (id, entries) = match header(frame)? {
            EngineHeader::Job { id, inputs } => (id, inputs),
            EngineHeader::Cancel { id } => return Ok(ToWorker::Cancel(id)),
            EngineHeader::Unknown => return Ok(ToWorker::Unknown),
        };
        let mut inputs = Inputs::with_capacity(entries.len());
        for (name, kind, rest) in entries {
            let mut segment = || {
                let length = rest.as_u64().and_then(|length| usize::try_from(length).ok());
                match length.filter(|length| *length <= body.len()) {
                    Some(length) => Ok(body.split_to(length)),
                    None => Err(FrameError::Body(format!("no segment of {rest} bytes"))),
                }
            };
            let value = match kind {
                InputKind::Bytes => Value::Bytes(segment()?),
                InputKind::Text => Value::Text(utf8(segment()?)?),
                InputKind::Json => {
                    let parsed = serde_json::from_slice(&segment()?);
                    Value::Json(parsed.map_err(|error| FrameError::Body(error.to_string()))?)
                }
                InputKind::Value => Value::Json(rest),
            };
            inputs.insert(name.into_owned(), value);
        }
        if !body.is_empty() {
            return Err(FrameError::Body(format!("{} bytes too many", body.len())));
        }
        Ok(ToWorker::Job(id, Arc::new(inputs)))
    }
}

#[cfg(test)]
mod tests;
