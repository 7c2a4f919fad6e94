//! The messages of the inference service, generated from `proto/inference.proto`.

#![expect(unreachable_pub, reason = "this is how prost writes messages")]

/// The descriptors of the service, for reflection.
pub(crate) const DESCRIPTORS: &[u8] =
    include_bytes!(concat!(env!("OUT_DIR"), "/inference.descriptors"));

include!(concat!(env!("OUT_DIR"), "/inference.rs"));
