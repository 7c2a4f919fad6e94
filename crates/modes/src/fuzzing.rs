//! The entry points of the fuzz targets. They are compiled only for fuzzing.

pub use crate::http::fuzzing::{
    egress, events, grpc, guard, images, json, media, multipart, tensors,
};

/// Reads a pickle.
pub fn pickle(bytes: &[u8]) {
    let _ = crate::pickle::decode(bytes);
}
