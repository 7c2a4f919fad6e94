//! What the fuzz targets call; only there when they are built.

pub use crate::http::fuzzing::{egress, guard, images, json, multipart};

/// Reads a pickle.
pub fn pickle(bytes: &[u8]) {
    let _ = crate::pickle::decode(bytes);
}
