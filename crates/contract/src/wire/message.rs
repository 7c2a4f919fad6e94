//! Self-contained messages, as a queue carries them: the inputs of a request, and its outcome or
//! error.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use crate::error::{Error, FieldError, Kind};
use crate::outcome::Outcome;
use crate::value::Inputs;

use super::data::{self, DataKind};
use super::frame::{FrameError, PREFIX, Segment, VERSION, put_head, read_lengths};
use super::inputs::{self, Entry, ReceivedEntry};

/// A value that can travel as one frame. The memory for reading it is limited by the bytes that
/// arrived, not by the lengths that they announce.
pub trait Message: Sized {
    /// Writes the message.
    ///
    /// # Errors
    /// Returns an error if the message is too large for a frame.
    fn to_bytes(&self) -> Result<Bytes, FrameError>;

    /// Reads a message, which must take up all `bytes`. Values of bytes are slices of them.
    ///
    /// # Errors
    /// Returns an error if the bytes are cut off, are not a frame, have a later version, or are
    /// another message.
    fn from_bytes(bytes: Bytes) -> Result<Self, FrameError>;
}

/// The inputs of a request.
impl Message for Inputs {
    fn to_bytes(&self) -> Result<Bytes, FrameError> {
        let inputs::Split { entries, segments } = inputs::split(self);
        let version = if inputs::has_list(self) { LISTS } else { FIRST };
        seal(version, INPUTS, &SentInputs { inputs: &entries }, &segments)
    }

    fn from_bytes(bytes: Bytes) -> Result<Self, FrameError> {
        let (header, body) = open(bytes)?;
        match kind(&header)? {
            INPUTS => inputs::join(read::<ReceivedInputs>(&header)?.inputs, body),
            other => Err(unexpected(other)),
        }
    }
}

/// The outcome of a request, or the error instead of one.
impl Message for Result<Outcome, Error> {
    fn to_bytes(&self) -> Result<Bytes, FrameError> {
        match self {
            Ok(outcome) => {
                let data::Split { kind, parts, segments } = data::split(&outcome.data);
                // Readers of version 1 do not know the kind JSON, and accept it as text.
                let kind =
                    kind.map(|kind| if kind == DataKind::Json { DataKind::Text } else { kind });
                let header = OutcomeHeader {
                    success: outcome.success,
                    content_type: outcome.content_type.as_deref().map(Cow::from),
                    data: kind,
                    parts,
                    error: outcome.error.as_deref().map(Cow::from),
                };
                let version = if header.parts.is_none() { FIRST } else { LISTS };
                seal(version, OUTCOME, &header, &segments)
            }
            Err(error) => seal(FIRST, ERROR, &ErrorHeader::of(error), &[]),
        }
    }

    fn from_bytes(bytes: Bytes) -> Result<Self, FrameError> {
        let (header, body) = open(bytes)?;
        match kind(&header)? {
            OUTCOME => read::<OutcomeHeader<'_>>(&header)?.outcome(body).map(Ok),
            ERROR if body.is_empty() => Ok(Err(read::<ErrorHeader<'_>>(&header)?.error())),
            ERROR => Err(FrameError::Body(format!("{} bytes with an error", body.len()))),
            other => Err(unexpected(other)),
        }
    }
}

/// The first version.
const FIRST: u32 = 1;
/// The version that added lists with bytes.
const LISTS: u32 = 2;

const INPUTS: &str = "inputs";
const OUTCOME: &str = "outcome";
const ERROR: &str = "error";

/// The members that every header begins with.
#[derive(Serialize)]
struct Sent<'a, T> {
    version: u32,
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(flatten)]
    rest: &'a T,
}

#[derive(Deserialize)]
struct Received<'a> {
    version: u32,
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
}

#[derive(Serialize)]
struct SentInputs<'a> {
    inputs: &'a [Entry<'a>],
}

#[derive(Deserialize)]
struct ReceivedInputs {
    inputs: Vec<ReceivedEntry>,
}

#[derive(Serialize, Deserialize)]
struct OutcomeHeader<'a> {
    success: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    content_type: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    data: Option<DataKind>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    parts: Option<Vec<usize>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<Cow<'a, str>>,
}

impl OutcomeHeader<'_> {
    fn outcome(self, body: Bytes) -> Result<Outcome, FrameError> {
        Ok(Outcome {
            success: self.success,
            content_type: self.content_type.map(Cow::into_owned),
            data: data::join(self.data, self.parts, body)?,
            error: self.error.map(Cow::into_owned),
            is_printed: false,
        })
    }
}

#[derive(Serialize, Deserialize)]
struct ErrorHeader<'a> {
    code: Cow<'a, str>,
    message: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fields: Option<Cow<'a, [FieldError]>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    output: Option<Cow<'a, [String]>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retry_after: Option<u64>,
}

impl<'a> ErrorHeader<'a> {
    fn of(error: &'a Error) -> Self {
        ErrorHeader {
            code: error.kind.code().into(),
            message: (&*error.message).into(),
            fields: some(&error.fields),
            output: some(&error.output),
            retry_after: error.retry_after,
        }
    }

    fn error(self) -> Error {
        let known = Kind::ALL.iter().copied().find(|kind| kind.code() == self.code);
        Error {
            kind: known.unwrap_or(Kind::ModelFailed),
            message: self.message.into_owned().into(),
            fields: self.fields.unwrap_or_default().into_owned(),
            output: self.output.unwrap_or_default().into_owned(),
            retry_after: self.retry_after,
        }
    }
}

fn some<T: Clone>(list: &[T]) -> Option<Cow<'_, [T]>> {
    (!list.is_empty()).then_some(Cow::Borrowed(list))
}

/// Puts a message into a frame.
fn seal(
    version: u32,
    kind: &str,
    header: &impl Serialize,
    segments: &[Segment<'_>],
) -> Result<Bytes, FrameError> {
    let body = segments.iter().map(|segment| segment.as_slice().len()).sum();
    let mut out = BytesMut::new();
    put_head(&mut out, &Sent { version, kind, rest: header }, body)?;
    out.reserve(body);
    for segment in segments {
        out.extend_from_slice(segment.as_slice());
    }
    Ok(out.freeze())
}

/// Splits a frame into header and body.
fn open(mut bytes: Bytes) -> Result<(Bytes, Bytes), FrameError> {
    let given = bytes.len();
    let Some(prefix) = bytes.first_chunk() else {
        return Err(FrameError::Length { given, expected: PREFIX });
    };
    let (header, body) = read_lengths(*prefix)?;
    let expected = PREFIX + header + body;
    if given != expected {
        return Err(FrameError::Length { given, expected });
    }
    let body = bytes.split_off(PREFIX + header);
    Ok((bytes.split_off(PREFIX), body))
}

/// Reads the type of a message, if its version is known.
fn kind(header: &[u8]) -> Result<&'static str, FrameError> {
    let received = read::<Received<'_>>(header)?;
    if !(1..=VERSION).contains(&received.version) {
        return Err(FrameError::Version(received.version));
    }
    let known = [INPUTS, OUTCOME, ERROR].into_iter().find(|kind| *kind == received.kind);
    known.ok_or_else(|| unexpected(&received.kind))
}

fn read<'a, T: Deserialize<'a>>(header: &'a [u8]) -> Result<T, FrameError> {
    serde_json::from_slice(header).map_err(|error| FrameError::Header(error.to_string()))
}

fn unexpected(kind: &str) -> FrameError {
    FrameError::Header(format!("its type {kind:?} does not belong here"))
}
