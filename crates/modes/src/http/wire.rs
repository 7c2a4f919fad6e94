//! Connections, TLS, and the checks that every request passes before it reaches its handler.

pub(crate) mod addresses;
pub(crate) mod connection;
pub(crate) mod drain;
pub(crate) mod edge;
pub(crate) mod framing;
pub(crate) mod guard;
pub(crate) mod half_close;
mod places;
pub(crate) mod reset;
pub(crate) mod server;
#[cfg(feature = "tls")]
pub(crate) mod tls;
#[cfg(not(feature = "tls"))]
#[path = "wire/no_tls.rs"]
pub(crate) mod tls;
#[cfg(any(feature = "otel", feature = "runpod", feature = "url-inputs"))]
pub(crate) mod trust;
