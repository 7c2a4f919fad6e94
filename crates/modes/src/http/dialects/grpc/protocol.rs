//! The messages of the inference service, generated from `proto/inference.proto`.

#![expect(
    unreachable_pub,
    clippy::enum_variant_names,
    clippy::struct_field_names,
    clippy::trivially_copy_pass_by_ref,
    reason = "this is how the protocol names fields, and how prost writes messages"
)]

/// The descriptors of the service, for reflection.
pub(crate) const DESCRIPTORS: &[u8] =
    include_bytes!(concat!(env!("OUT_DIR"), "/inference.descriptors"));

include!(concat!(env!("OUT_DIR"), "/inference.rs"));
