//! The engine: it takes requests, queues them, hands each to a free worker, and answers through a
//! [`Ticket`]. It starts the model's program, keeps it running, and never runs model code itself,
//! so that a crashing model cannot take it down.
//!
//! ```text
//! Engine::submit -> queue -> Dispatcher -> Executor -> Link -> model process
//!        Ticket <------------- outcome, events --------'
//! ```
//!
//! The dispatcher owns the queue and decides who works on what; an executor owns the jobs of one
//! worker until they end or go back to the queue. They talk through channels and share no lock.

mod codec;
mod engine;
mod executor;
mod job;
mod link;
mod message;
mod model;
mod scheduler;
pub mod settings;
mod supervisor;
mod ticket;
mod worker_end;

pub use codec::{FrameDecoder, FrameError, MAX_BODY, MAX_HEADER};
pub use engine::{Engine, State};
pub use executor::serve_attached;
pub use job::JobId;
pub use link::Link;
pub use message::{FromWorker, PROTOCOL, Ready, ToWorker};
pub use model::{CustomMode, Model};
pub use supervisor::{Exit, LINK_VARIABLE, Output, Program, Supervisor};
pub use ticket::{Event, Ticket};
pub use worker_end::WorkerEnd;
