//! Jobs: the request that makes one, the ticket with its events and outcome, and the memory budget.

pub(crate) mod budget;
mod channel;
mod chunks;
pub(crate) mod event;
pub(crate) mod id;
pub(crate) mod request;
pub(crate) mod ticket;
