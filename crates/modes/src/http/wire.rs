//! The wire: connections, TLS, and what every request passes before and after its handler.

pub(crate) mod addresses;
pub(crate) mod connection;
pub(crate) mod drain;
pub(crate) mod edge;
pub(crate) mod guard;
pub(crate) mod server;
pub(crate) mod tls;
