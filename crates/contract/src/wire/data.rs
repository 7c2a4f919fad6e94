//! The wire form of a result's data: the header names its kind, and the body is the data.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::outcome::{Data, MAX_LIST};

use super::frame::{FrameError, Segment};

/// The kind of the data in a body. Without data there is no kind, and the body is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DataKind {
    /// Text in UTF-8.
    Text,
    /// JSON text in UTF-8 that a library wrote from a value.
    Json,
    /// Any bytes.
    Bytes,
    /// The members of a list, one after another.
    List,
}

/// Data to send: the members of the header that describe it, and the body.
#[derive(Clone, Debug, Default)]
pub struct Split<'a> {
    /// The kind of the data.
    pub kind: Option<DataKind>,
    /// The lengths of a list's members in bytes.
    pub parts: Option<Vec<usize>>,
    /// The body.
    pub segments: Vec<Segment<'a>>,
}

/// Splits data into the members of the header and the body.
#[must_use]
pub fn split(data: &Data) -> Split<'_> {
    let whole = |kind, segment| Split { kind: Some(kind), parts: None, segments: vec![segment] };
    match data {
        Data::None => Split::default(),
        Data::Text(text) => whole(DataKind::Text, Segment::Text(text)),
        Data::Json(text) => whole(DataKind::Json, Segment::Text(text)),
        Data::Bytes(bytes) => whole(DataKind::Bytes, Segment::Bytes(bytes)),
        Data::List(list) => Split {
            kind: Some(DataKind::List),
            parts: Some(list.iter().map(Bytes::len).collect()),
            segments: list.iter().map(Segment::Bytes).collect(),
        },
    }
}

/// Joins data from a message. `parts` is used for a list only.
pub fn join(
    kind: Option<DataKind>,
    parts: Option<Vec<usize>>,
    body: Bytes,
) -> Result<Data, FrameError> {
    match kind {
        Some(DataKind::Bytes) => Ok(Data::Bytes(body)),
        Some(DataKind::Text) => text(body).map(Data::Text),
        Some(DataKind::Json) => text(body).map(Data::Json),
        Some(DataKind::List) => cut(&parts.unwrap_or_default(), body),
        None if body.is_empty() => Ok(Data::None),
        None => Err(FrameError::Body(format!("{} bytes where there should be none", body.len()))),
    }
}

fn text(body: Bytes) -> Result<String, FrameError> {
    String::from_utf8(body.into()).map_err(|error| FrameError::Body(error.to_string()))
}

/// Splits a body into the members of a list.
fn cut(parts: &[usize], mut body: Bytes) -> Result<Data, FrameError> {
    if !(2..=MAX_LIST).contains(&parts.len()) {
        let message = format!("a list of {} parts; it has from 2 to {MAX_LIST}", parts.len());
        return Err(FrameError::Header(message));
    }
    let given = body.len();
    let expected = parts.iter().try_fold(0_usize, |sum, length| sum.checked_add(*length));
    if expected != Some(given) {
        return Err(FrameError::Body(format!("{given} bytes, which is not the sum of its parts")));
    }
    Ok(Data::List(parts.iter().map(|length| body.split_to(*length)).collect()))
}
