//! The wire form of inputs: the header has an entry for each, in their order, and the body their
//! segments one after another, in the order of the entries.
//!
//! An entry is a list: the input's name, its [`InputKind`], and the length in bytes of its segment,
//! or its value where that is short. A fourth element says where the segment begins in memory that
//! both sides share; such a segment is not in the body.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::json;
use crate::value::{Inputs, Value};

use super::frame::{FrameError, MAX_BODY, MAX_HEADER, Segment};

/// The way in which an input travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InputKind {
    /// A segment of bytes.
    Bytes,
    /// A segment of text in UTF-8.
    Text,
    /// A segment of JSON text: a list, an object, a string or a long number.
    Json,
    /// A JSON value in the entry itself: a short number, a boolean or `null`.
    Value,
}

/// An input in the header of a message on its way out.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(untagged)]
pub enum Entry<'a> {
    /// With the value itself.
    Value(&'a str, InputKind, &'a Json),
    /// With the length of its segment in the body.
    Inline(&'a str, InputKind, usize),
    /// With its length, and where in the memory that both sides share it begins.
    InMemory(&'a str, InputKind, usize, usize),
}

/// An input in the header of a message that has come. All segments are in the body.
#[derive(Clone, Debug, Deserialize)]
pub struct ReceivedEntry(String, InputKind, Json);

/// Inputs on their way out. The segments borrow from the inputs, but for JSON text.
#[derive(Clone, Debug)]
pub struct Split<'a> {
    /// The entries of the header.
    pub entries: Vec<Entry<'a>>,
    /// The segments of the body, one for each entry that has one.
    pub segments: Vec<Segment<'a>>,
}

/// The most characters of a number in an entry.
const SHORT: usize = 32;

/// Splits inputs into the entries of the header and the segments of the body.
#[must_use]
pub fn split(inputs: &Inputs) -> Split<'_> {
    let mut segments = Vec::with_capacity(inputs.len());
    let mut entries = Vec::with_capacity(inputs.len());
    for (name, value) in inputs {
        let (kind, segment) = match value {
            Value::Bytes(bytes) => (InputKind::Bytes, Segment::Bytes(bytes)),
            Value::Text(text) => (InputKind::Text, Segment::Text(text)),
            Value::Json(json) if is_short(json) => {
                entries.push(Entry::Value(name, InputKind::Value, json));
                continue;
            }
            Value::Json(json) => (InputKind::Json, Segment::Json(json.to_string().into())),
        };
        entries.push(Entry::Inline(name, kind, segment.as_slice().len()));
        segments.push(segment);
    }
    Split { entries, segments }
}

fn is_short(json: &Json) -> bool {
    match json {
        Json::Null | Json::Bool(_) => true,
        Json::Number(number) => number.as_str().len() <= SHORT,
        Json::String(_) | Json::Array(_) | Json::Object(_) => false,
    }
}

/// Puts inputs together again.
pub fn join(entries: Vec<ReceivedEntry>, mut body: Bytes) -> Result<Inputs, FrameError> {
    let broken = |error: &dyn std::fmt::Display| FrameError::Body(error.to_string());
    let mut inputs = Inputs::with_capacity(entries.len());
    for ReceivedEntry(name, kind, rest) in entries {
        let mut segment = || {
            let length = rest.as_u64().and_then(|length| usize::try_from(length).ok());
            match length.filter(|length| *length <= body.len()) {
                Some(length) => Ok(body.split_to(length)),
                None => Err(FrameError::Body(format!("no segment of {rest} bytes"))),
            }
        };
        let value = match kind {
            InputKind::Bytes => Value::Bytes(segment()?),
            InputKind::Text => {
                let text = String::from_utf8(segment()?.into());
                Value::Text(text.map_err(|error| broken(&error))?)
            }
            InputKind::Json => {
                let parsed = json::parse(&segment()?);
                Value::Json(parsed.map_err(|error| broken(&error))?)
            }
            InputKind::Value => Value::Json(rest),
        };
        inputs.insert(name, value);
    }
    if !body.is_empty() {
        return Err(FrameError::Body(format!("{} bytes too many", body.len())));
    }
    Ok(inputs)
}

/// Returns whether inputs fit a frame, at the most that they may need there.
#[must_use]
pub fn fit(inputs: &Inputs) -> bool {
    // A byte of a name takes six when it has to be escaped; kind, value and commas are short.
    let header: usize = inputs.keys().map(|name| name.len() * 6 + 64).sum();
    let body = inputs.values().map(|value| match value {
        Value::Text(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        Value::Json(json) => length(json),
    });
    header <= MAX_HEADER - 128 && body.sum::<usize>() <= MAX_BODY
}

/// Counts the bytes that a value takes up as text.
fn length(json: &Json) -> usize {
    struct Counter(usize);

    impl std::io::Write for Counter {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    let mut counter = Counter(0);
    serde_json::to_writer(&mut counter, json).map_or(MAX_BODY + 1, |()| counter.0)
}
