//! Reads the inputs of a request: its head and body, the files that it gives as URLs, and the
//! headers of its pictures.

pub(crate) mod any;
pub(crate) mod body;
pub(crate) mod call;
pub(crate) mod coding;
#[cfg(feature = "url-inputs")]
pub(crate) mod egress;
pub(crate) mod envelope;
pub(crate) mod fetch;
pub(crate) mod files;
pub(crate) mod images;
pub(crate) mod instances;
pub(crate) mod intake;
pub(crate) mod media;
pub(crate) mod multipart;
pub(crate) mod request;
pub(crate) mod text;
pub(crate) mod unnamed;
pub(crate) mod urlencoded;
