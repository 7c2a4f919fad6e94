//! The codec of frames: it decodes them from a byte stream, and encodes them into one. Their layout
//! is in `docs/worker-protocol.md`.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use ai_integration_contract::wire::{FrameError, PREFIX, Segment, put_head, read_lengths};
use bytes::{Buf, Bytes, BytesMut};

/// Bodies up to this size are copied behind the header, so that a small frame is written at once.
pub(crate) const INLINE: usize = 16 * 1024;

/// A memory file, which is closed when the last handle is dropped.
pub(crate) type MemoryFile = Arc<OwnedFd>;

/// A frame that was read: the header's JSON and the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) header: Bytes,
    pub(crate) body: Bytes,
}

/// Decodes frames from a byte stream, whose bytes may arrive in parts of any size.
#[derive(Debug, Default)]
pub(crate) struct FrameDecoder {
    buffer: BytesMut,
    missing: usize,
}

impl FrameDecoder {
    /// Returns the buffer to which received bytes must be appended.
    pub(crate) fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// Returns the number of bytes that the present frame still lacks; 0 if that is not known.
    pub(crate) fn missing(&self) -> usize {
        self.missing
    }

    /// Returns the next complete frame, `None` if more bytes are needed.
    pub(crate) fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        self.missing = 0;
        let Some((prefix, _)) = self.buffer.split_first_chunk::<PREFIX>() else {
            self.buffer.reserve(INLINE);
            return Ok(None);
        };
        let (header_length, body_length) = read_lengths(*prefix)?;
        let whole = PREFIX + header_length + body_length;
        if self.buffer.len() < whole {
            // A sender may claim any length, so memory is allocated as the bytes arrive. The steps
            // are large to keep the number of copies small.
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

/// Bytes that are written with one system call.
#[derive(Debug)]
pub(crate) enum Piece {
    Bytes(Bytes),
    /// Bytes with a descriptor, which travels with the first one.
    WithFile(Bytes, MemoryFile),
}

/// Frames to be written. Small ones are joined, so that one system call writes them all.
#[derive(Debug, Default)]
pub(crate) struct FrameEncoder {
    pieces: VecDeque<Piece>,
    small: BytesMut,
    /// True if the other side takes large bodies as memory files.
    pub(crate) shares: bool,
}

impl FrameEncoder {
    /// Appends a frame of this header and the segments of its body, with `file` if there is one.
    pub(crate) fn frame(
        &mut self,
        header: &impl serde::Serialize,
        segments: &[Segment<'_>],
        file: Option<MemoryFile>,
    ) -> Result<(), FrameError> {
        let length: usize = segments.iter().map(|segment| segment.as_slice().len()).sum();
        if file.is_some() {
            self.collect();
        }
        put_head(&mut self.small, header, length)?;
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

    fn collect(&mut self) {
        if !self.small.is_empty() {
            self.pieces.push_back(Piece::Bytes(self.small.split().freeze()));
        }
    }

    /// Returns everything that must be written, in order. The caller removes what it has written.
    pub(crate) fn pieces(&mut self) -> &mut VecDeque<Piece> {
        self.collect();
        &mut self.pieces
    }

    /// Appends the frames of another encoder.
    pub(crate) fn append(&mut self, mut other: FrameEncoder) {
        self.collect();
        self.pieces.append(other.pieces());
    }

    /// Discards everything that has not been written.
    pub(crate) fn clear(&mut self) {
        self.pieces.clear();
        self.small.clear();
    }

    /// Returns true if there is nothing to write.
    pub(crate) fn is_empty(&self) -> bool {
        self.pieces.is_empty() && self.small.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ai_integration_contract::wire::{MAX_BODY, MAX_HEADER};
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
        fn frames_are_decoded_however_their_bytes_arrive(
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
            for part in stream.chunks(step) {
                decoder.buffer().extend_from_slice(part);
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
