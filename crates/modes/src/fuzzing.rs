//! The entry points of the fuzz targets. They are compiled only for fuzzing.

pub use crate::http::fuzzing::{
    answers, conversations, egress, events, grpc, guard, images, instances, json, lines, media,
    multipart, tensors,
};
pub use crate::mcp::fuzzing::messages as mcp;

/// Reads a pickle.
pub fn pickle(bytes: &[u8]) {
    let _ = crate::pickle::decode(bytes);
}
