//! A request on its way: what goes in, what comes out, and the memory that it takes up meanwhile.

pub(crate) mod budget;
mod channel;
pub(crate) mod event;
pub(crate) mod id;
mod pieces;
pub(crate) mod request;
pub(crate) mod ticket;
