//! The wire form of a result's data: the header names its kind, and the body is the data.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::outcome::Data;

use super::frame::{FrameError, Segment};

/// The kind of data that a body holds; none where there is no data, and then the body is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DataKind {
    /// Text in UTF-8.
    Text,
    /// JSON text in UTF-8 that was written from a value.
    Json,
    /// Any bytes.
    Bytes,
}

/// Splits data into what the header says of it and the body.
#[must_use]
pub fn split(data: &Data) -> (Option<DataKind>, Option<Segment<'_>>) {
    match data {
        Data::None => (None, None),
        Data::Text(text) => (Some(DataKind::Text), Some(Segment::Text(text))),
        Data::Json(text) => (Some(DataKind::Json), Some(Segment::Text(text))),
        Data::Bytes(bytes) => (Some(DataKind::Bytes), Some(Segment::Bytes(bytes))),
    }
}

/// Puts data together again.
pub fn join(kind: Option<DataKind>, body: Bytes) -> Result<Data, FrameError> {
    match kind {
        Some(DataKind::Bytes) => Ok(Data::Bytes(body)),
        Some(DataKind::Text) => text(body).map(Data::Text),
        Some(DataKind::Json) => text(body).map(Data::Json),
        None if body.is_empty() => Ok(Data::None),
        None => Err(FrameError::Body(format!("{} bytes where there should be none", body.len()))),
    }
}

fn text(body: Bytes) -> Result<String, FrameError> {
    String::from_utf8(body.into()).map_err(|error| FrameError::Body(error.to_string()))
}
