//! Jobs: requests, tickets with their events and outcomes, and the memory budget.

pub(crate) mod budget;
pub(crate) mod channel;
mod chunks;
pub(crate) mod event;
pub(crate) mod id;
pub(crate) mod request;
pub(crate) mod ticket;
