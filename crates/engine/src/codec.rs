//! Frames: how messages are cut out of, and put onto, a byte stream. See
//! `docs/worker-protocol.md` for the layout.

use bytes::{Buf, Bytes, BytesMut};

/// The greatest length of a header in bytes.
pub const MAX_HEADER: usize = 1 << 20;
/// The greatest length of a body in bytes.
pub const MAX_BODY: usize = 1 << 30;
/// Two big-endian lengths of four bytes each.
const PREFIX: usize = 8;
/// Segments up to this size are copied behind the header, so that a small frame is one piece.
const INLINE: usize = 16 * 1024;

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
}

impl FrameDecoder {
    /// Where arriving bytes are to be appended.
    pub fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// The next whole frame, `None` when more bytes are needed.
    pub(crate) fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
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
            let missing = whole - self.buffer.len();
            self.buffer.reserve(missing.min(self.buffer.len().max(4 << 20)));
            return Ok(None);
        }
        self.buffer.advance(PREFIX);
        let header = self.buffer.split_to(header_length).freeze();
        let body = self.buffer.split_to(body_length).freeze();
        Ok(Some(Frame { header, body }))
    }
}

/// A frame ready to be written: its pieces in order.
#[derive(Clone, Debug)]
pub(crate) struct Encoded {
    pub(crate) pieces: Vec<Bytes>,
}

impl Encoded {
    /// Puts a header and the segments of its body into a frame.
    pub(crate) fn new(
        header: &impl serde::Serialize,
        segments: &[Bytes],
    ) -> Result<Self, FrameError> {
        let body_length: usize = segments.iter().map(Bytes::len).sum();
        if body_length > MAX_BODY {
            return Err(FrameError::BodyLength(body_length));
        }
        let mut head = vec![0; PREFIX];
        serde_json::to_writer(&mut head, header)
            .map_err(|error| FrameError::Header(error.to_string()))?;
        let header_length = head.len() - PREFIX;
        if header_length > MAX_HEADER {
            return Err(FrameError::HeaderLength(header_length));
        }
        let length = |length: usize| u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
        head[..4].copy_from_slice(&length(header_length));
        head[4..PREFIX].copy_from_slice(&length(body_length));
        if body_length <= INLINE {
            for segment in segments {
                head.extend_from_slice(segment);
            }
            return Ok(Encoded { pieces: vec![head.into()] });
        }
        let mut pieces = Vec::with_capacity(segments.len() + 1);
        pieces.push(head.into());
        pieces.extend(segments.iter().filter(|segment| !segment.is_empty()).cloned());
        Ok(Encoded { pieces })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn concat(encoded: &Encoded) -> Vec<u8> {
        encoded.pieces.iter().flat_map(|piece| piece.iter().copied()).collect()
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
                let segments = [Bytes::copy_from_slice(halves.0), Bytes::copy_from_slice(halves.1)];
                stream.extend(concat(&Encoded::new(&serde_json::json!({}), &segments).unwrap()));
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
