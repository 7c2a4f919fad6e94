//! The inputs of a request: reading its head and body, fetching what it names, and looking at
//! pictures before a model does.

pub(crate) mod body;
pub(crate) mod call;
pub(crate) mod coding;
#[cfg(feature = "url-inputs")]
pub(crate) mod egress;
pub(crate) mod fetch;
pub(crate) mod images;
pub(crate) mod intake;
pub(crate) mod multipart;
pub(crate) mod request;
pub(crate) mod urlencoded;
