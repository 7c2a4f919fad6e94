//! What the fuzz targets call; only there when they are built.

use ai_integration_contract::wire::MAX_BODY;

use crate::link::codec::FrameDecoder;
use crate::link::message::{FromWorker, shared_length};

/// Reads frames from bytes that come in pieces, as a worker may send them.
pub fn frames(bytes: &[u8]) {
    let mut decoder = FrameDecoder::default();
    for piece in bytes.chunks(7) {
        decoder.buffer().extend_from_slice(piece);
        loop {
            match decoder.next_frame() {
                Ok(Some(frame)) => {
                    if let Ok(Some(length)) = shared_length(&frame) {
                        assert!(length <= MAX_BODY);
                    }
                    drop(FromWorker::decode(&frame));
                }
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
}
