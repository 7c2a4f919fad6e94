//! The engine: it takes requests, queues them, hands each to a free worker, and answers through a
//! [`Ticket`]. It starts the model's program, keeps it running, and never runs model code itself,
//! so that a crashing model cannot take it down.
//!
//! ```text
//! Engine::submit -> Scheduler -> Executor -> Link -> model process
//!        Ticket <------- outcome, events ----'
//! ```
//!
//! The [`Engine`] owns the state of every job, in a `Scheduler` that is plain data, and changes it
//! under one lock that is never held across an await. An executor carries messages between it and
//! one worker.

mod budget;
mod codec;
mod engine;
mod executor;
#[cfg(fuzzing)]
pub mod fuzzing;
mod heap;
mod job;
mod link;
mod message;
pub mod metrics;
mod model;
mod rlimits;
mod scheduler;
pub mod settings;
mod shared;
mod supervisor;
mod ticket;
mod vigil;
mod worker_end;

pub use budget::{Budget, Hold};
pub use codec::{FrameDecoder, FrameError, MAX_BODY, MAX_HEADER};
pub use engine::{Announcement, Engine, Limits, State};
pub use executor::serve_attached;
pub use job::{Delivery, JobId, Timing};
pub use link::Link;
pub use message::{Batching, FromWorker, PROTOCOL, Ready, ToWorker};
pub use model::{About, CustomMode, Model};
pub use rlimits::raise_open_files;
pub use shared::BodyBuffer;
pub use supervisor::{Exit, LINK_VARIABLE, Output, Program, Supervisor, WORKER_VARIABLE};
pub use ticket::{Answer, Event, Ticket};
pub use worker_end::WorkerEnd;
