//! Frames: how messages are cut out of, and put onto, a byte stream. See
//! `docs/worker-protocol.md` for the layout.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// The greatest length of a header in bytes.
pub const MAX_HEADER: usize = 1 << 20;
/// The greatest length of a body in bytes.
pub const MAX_BODY: usize = 1 << 30;
/// Two big-endian lengths of four bytes each.
const PREFIX: usize = 8;
/// Bodies up to this size are copied behind the header, so that a small frame is one piece.
pub(crate) const INLINE: usize = 16 * 1024;

/// A memory file, open for as long as somebody has it.
pub(crate) type MemoryFile = Arc<OwnedFd>;

/// A frame that breaks the protocol. Its link cannot be used any further.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The header's length is outside its limits.
    #[error("a header of {0} bytes; from 2 to {MAX_HEADER} are allowed")]
    HeaderLength(usize),
    /// The body's length is over its limit.
    #[error("a body of {0} bytes; up to {MAX_BODY} are allowed")]
    BodyLength(usize),
    /// The header is not one of the messages.
    #[error("a header that is not a message: {0}")]
    Header(String),
    /// The body is not what the header says.
    #[error("a body that is not what its header says: {0}")]
    Body(String),
}

/// One frame as read: the header's JSON and the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) header: Bytes,
    pub(crate) body: Bytes,
}

/// Cuts frames out of bytes that arrive in any pieces.
#[derive(Debug, Default)]
pub struct FrameDecoder {
    buffer: BytesMut,
    missing: usize,
}

impl FrameDecoder {
    /// Where arriving bytes are to be appended.
    pub fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// How many bytes the frame that has begun to arrive still lacks; 0 when that is not known.
    pub(crate) fn missing(&self) -> usize {
        self.missing
    }

    /// The next whole frame, `None` when more bytes are needed.
    pub(crate) fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        self.missing = 0;
        let Some((prefix, _)) = self.buffer.split_first_chunk::<PREFIX>() else {
            self.buffer.reserve(INLINE);
            return Ok(None);
        };
        let [h0, h1, h2, h3, b0, b1, b2, b3] = *prefix;
        let header_length = u32::from_be_bytes([h0, h1, h2, h3]) as usize;
        let body_length = u32::from_be_bytes([b0, b1, b2, b3]) as usize;
        if !(2..=MAX_HEADER).contains(&header_length) {
            return Err(FrameError::HeaderLength(header_length));
        }
        if body_length > MAX_BODY {
            return Err(FrameError::BodyLength(body_length));
        }
        let whole = PREFIX + header_length + body_length;
        if self.buffer.len() < whole {
            // The lengths are the sender's word: memory is taken as the bytes come, in steps that
            // keep the number of copies small.
            self.missing = whole - self.buffer.len();
            self.buffer.reserve(self.missing.min(self.buffer.len().max(4 << 20)));
            return Ok(None);
        }
        self.buffer.advance(PREFIX);
        let header = self.buffer.split_to(header_length).freeze();
        let body = self.buffer.split_to(body_length).freeze();
        Ok(Some(Frame { header, body }))
    }
}

/// A part of a frame's body.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Segment<'a> {
    Text(&'a str),
    Bytes(&'a Bytes),
}

impl Segment<'_> {
    pub(crate) fn as_slice(&self) -> &[u8] {
        match self {
            Segment::Text(text) => text.as_bytes(),
            Segment::Bytes(bytes) => bytes,
        }
    }

    fn to_bytes(self) -> Bytes {
        match self {
            Segment::Text(text) => Bytes::copy_from_slice(text.as_bytes()),
            Segment::Bytes(bytes) => bytes.clone(),
        }
    }
}

/// Something to be written in one go.
#[derive(Debug)]
pub(crate) enum Piece {
    Bytes(Bytes),
    /// Bytes whose first one carries a descriptor.
    WithFile(Bytes, MemoryFile),
}

/// Frames on their way out. Small ones are put together, so that one write takes them all.
#[derive(Debug, Default)]
pub(crate) struct FrameEncoder {
    pieces: VecDeque<Piece>,
    small: BytesMut,
    /// Whether the other side takes large bodies as memory files.
    pub(crate) shares: bool,
}

impl FrameEncoder {
    /// Puts a header and the segments of its body into a frame, which `file` goes with.
    pub(crate) fn frame(
        &mut self,
        header: &impl serde::Serialize,
        segments: &[Segment<'_>],
        file: Option<MemoryFile>,
    ) -> Result<(), FrameError> {
        let length: usize = segments.iter().map(|segment| segment.as_slice().len()).sum();
        if length > MAX_BODY {
            return Err(FrameError::BodyLength(length));
        }
        if file.is_some() {
            self.collect();
        }
        self.head(header, length)?;
        if let Some(file) = file {
            self.pieces.push_back(Piece::WithFile(self.small.split().freeze(), file));
        }
        if length <= INLINE {
            for segment in segments {
                self.small.extend_from_slice(segment.as_slice());
            }
        } else {
            self.collect();
            let large = segments.iter().filter(|segment| !segment.as_slice().is_empty());
            self.pieces.extend(large.map(|segment| Piece::Bytes(segment.to_bytes())));
        }
        Ok(())
    }

    fn head(&mut self, header: &impl serde::Serialize, body: usize) -> Result<(), FrameError> {
        let start = self.small.len();
        self.small.put_bytes(0, PREFIX);
        let written = serde_json::to_writer((&mut self.small).writer(), header);
        let length = self.small.len() - start - PREFIX;
        let refused = match written {
            Err(error) => Some(FrameError::Header(error.to_string())),
            Ok(()) => (length > MAX_HEADER).then_some(FrameError::HeaderLength(length)),
        };
        if let Some(error) = refused {
            self.small.truncate(start);
            return Err(error);
        }
        let bytes = |length: usize| u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
        self.small[start..start + 4].copy_from_slice(&bytes(length));
        self.small[start + 4..start + PREFIX].copy_from_slice(&bytes(body));
        Ok(())
    }

    fn collect(&mut self) {
        if !self.small.is_empty() {
            self.pieces.push_back(Piece::Bytes(self.small.split().freeze()));
        }
    }

    /// Everything that is to be written, in order. What was written is to be taken out.
    pub(crate) fn pieces(&mut self) -> &mut VecDeque<Piece> {
        self.collect();
        &mut self.pieces
    }

    /// Forgets what was to be written.
    pub(crate) fn clear(&mut self) {
        self.pieces.clear();
        self.small.clear();
    }

    /// Whether there is nothing to be written.
    pub(crate) fn is_empty(&self) -> bool {
        self.pieces.is_empty() && self.small.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encoded(segments: &[Segment<'_>]) -> Vec<u8> {
        let mut encoder = FrameEncoder::default();
        encoder.frame(&serde_json::json!({}), segments, None).unwrap();
        let pieces = std::mem::take(encoder.pieces());
        let bytes = pieces.into_iter().flat_map(|piece| match piece {
            Piece::Bytes(bytes) | Piece::WithFile(bytes, _) => bytes,
        });
        bytes.collect()
    }

    proptest! {
        #[test]
        fn frames_survive_any_cutting(
            bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40_000), 1..4),
            step in 1_usize..50_000,
        ) {
            let mut stream = Vec::new();
            for body in &bodies {
                let halves = body.split_at(body.len() / 2);
                let halves = (Bytes::copy_from_slice(halves.0), Bytes::copy_from_slice(halves.1));
                stream.extend(encoded(&[Segment::Bytes(&halves.0), Segment::Bytes(&halves.1)]));
            }
            let mut decoder = FrameDecoder::default();
            let mut seen = Vec::new();
            for piece in stream.chunks(step) {
                decoder.buffer().extend_from_slice(piece);
                while let Some(frame) = decoder.next_frame().unwrap() {
                    seen.push(frame.body.to_vec());
                }
            }
            prop_assert_eq!(seen, bodies);
        }

        #[test]
        fn any_bytes_are_a_frame_an_error_or_not_enough(
            bytes in prop::collection::vec(any::<u8>(), 0..200)
        ) {
            let mut decoder = FrameDecoder::default();
            decoder.buffer().extend_from_slice(&bytes);
            while let Ok(Some(_)) = decoder.next_frame() {}
            prop_assert!(decoder.buffer().capacity() < 32 << 20);
        }
    }

    #[test]
    fn lengths_over_the_limits_are_refused_before_anything_is_read() {
        for (prefix, error) in [
            ([0, 0, 0, 1, 0, 0, 0, 0], FrameError::HeaderLength(1)),
            ([0, 0x10, 0, 1, 0, 0, 0, 0], FrameError::HeaderLength(MAX_HEADER + 1)),
            ([0, 0, 0, 2, 0x40, 0, 0, 1], FrameError::BodyLength(MAX_BODY + 1)),
        ] {
            let mut decoder = FrameDecoder::default();
            decoder.buffer().extend_from_slice(&prefix);
            assert_eq!(decoder.next_frame(), Err(error));
        }
    }
}
