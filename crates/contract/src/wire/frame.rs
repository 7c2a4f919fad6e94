//! A frame: two lengths, a JSON header and a body of raw bytes.

use bytes::{BufMut, Bytes, BytesMut};
use serde::Serialize;

/// The current version of self-contained messages. A message names the lowest version that covers
/// its content.
pub const VERSION: u32 = 2;
/// The maximum length of a header in bytes.
pub const MAX_HEADER: usize = 1 << 20;
/// The maximum length of a body in bytes.
pub const MAX_BODY: usize = 1 << 30;
/// The length in bytes before the header: two lengths of four bytes each.
pub const PREFIX: usize = 8;

/// A frame that does not have the wire form. After such a frame a link cannot be used any more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The header's length is outside its limits.
    #[error("a header of {0} bytes; from 2 to {MAX_HEADER} are allowed")]
    HeaderLength(usize),
    /// The body's length is over its limit.
    #[error("a body of {0} bytes; up to {MAX_BODY} are allowed")]
    BodyLength(usize),
    /// The header is not that of a known message.
    #[error("a header that is not a message: {0}")]
    Header(String),
    /// The body does not match the header.
    #[error("a body that does not match its header: {0}")]
    Body(String),
    /// The bytes end before or after the frame's end.
    #[error("{given} bytes for a frame of {expected}")]
    Length {
        /// The number of bytes that were given.
        given: usize,
        /// The number of bytes that the frame needs.
        expected: usize,
    },
    /// The message has an unknown version.
    #[error("a message of version {0}; from 1 to {VERSION} can be read")]
    Version(u32),
}

/// A part of a frame's body.
#[derive(Clone, Debug)]
pub enum Segment<'a> {
    /// Text. It is copied when it must be kept.
    Text(&'a str),
    /// Bytes. They are shared when they must be kept.
    Bytes(&'a Bytes),
    /// JSON text that was written for the frame.
    Json(Bytes),
}

impl Segment<'_> {
    /// Returns the segment's bytes.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        match self {
            Segment::Text(text) => text.as_bytes(),
            Segment::Bytes(bytes) => bytes,
            Segment::Json(json) => json,
        }
    }

    /// Returns the segment's bytes in a form that can be kept. Only text is copied.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        match self {
            Segment::Text(text) => Bytes::copy_from_slice(text.as_bytes()),
            Segment::Bytes(bytes) => Bytes::clone(bytes),
            Segment::Json(json) => json.clone(),
        }
    }
}

/// Appends a frame's lengths and header. The body of this length must follow. On an error `out` is
/// unchanged.
pub fn put_head(
    out: &mut BytesMut,
    header: &impl Serialize,
    body: usize,
) -> Result<(), FrameError> {
    if body > MAX_BODY {
        return Err(FrameError::BodyLength(body));
    }
    let start = out.len();
    out.put_bytes(0, PREFIX);
    let written = serde_json::to_writer((&mut *out).writer(), header);
    let length = out.len() - start - PREFIX;
    let refused = match written {
        Err(error) => Some(FrameError::Header(error.to_string())),
        Ok(()) => (length > MAX_HEADER).then_some(FrameError::HeaderLength(length)),
    };
    if let Some(error) = refused {
        out.truncate(start);
        return Err(error);
    }
    let bytes = |length: usize| u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
    out[start..start + 4].copy_from_slice(&bytes(length));
    out[start + 4..start + PREFIX].copy_from_slice(&bytes(body));
    Ok(())
}

/// Reads the lengths of a frame's header and body. The sender may be wrong about them.
pub fn read_lengths(prefix: [u8; PREFIX]) -> Result<(usize, usize), FrameError> {
    let [h0, h1, h2, h3, b0, b1, b2, b3] = prefix;
    let header = u32::from_be_bytes([h0, h1, h2, h3]) as usize;
    let body = u32::from_be_bytes([b0, b1, b2, b3]) as usize;
    if !(2..=MAX_HEADER).contains(&header) {
        return Err(FrameError::HeaderLength(header));
    }
    if body > MAX_BODY {
        return Err(FrameError::BodyLength(body));
    }
    Ok((header, body))
}
