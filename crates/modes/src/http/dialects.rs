//! The dialects.

pub(crate) mod classic;
pub(crate) mod native;
pub(crate) mod native_events;
pub(crate) mod openapi;
