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

mod busy_poll;
mod engine;
#[cfg(fuzzing)]
pub mod fuzzing;
mod housekeeping;
mod job;
mod link;
mod metrics;
mod model;
mod scheduler;
pub mod settings;
mod worker;

pub use engine::Engine;
pub use engine::embedded::{Announcement, Embedded, JobLimits};
pub use engine::queue::{Queue, Submitted};
pub use engine::state::State;
pub use job::budget::{Budget, Reservation};
pub use job::event::Event;
pub use job::id::{JobId, JobKey};
pub use job::request::{Request, Timing};
pub use job::ticket::{Jobs, Passing, Responder, Ticket};
pub use link::Link;
pub use link::codec::FrameDecoder;
pub use link::memory_file::BodyBuffer;
pub use link::message::{Batching, FromWorker, PROTOCOL, Ready, ToWorker};
pub use link::worker_side::WorkerSide;
pub use model::{About, CustomMode, Model};
pub use worker::ending::Exit;
pub use worker::executor::serve_attached;
pub use worker::output::Output;
pub use worker::process::{LINK_VARIABLE, Program};
pub use worker::reaper::WORKER_VARIABLE;
pub use worker::rlimits::raise_open_files;
pub use worker::supervisor::Supervisor;
