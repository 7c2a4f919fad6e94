//! Entry points of the fuzz targets, compiled only for them.

use ai_integration_contract::wire::MAX_BODY;

use crate::link::codec::FrameDecoder;
use crate::link::message::FromWorker;
use crate::link::message::frames::shared_length;

/// Decodes bytes, 7 at a time, as frames and messages of a worker.
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
