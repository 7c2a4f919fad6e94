//! The engine: it takes requests, queues them, hands each to a free worker, and answers through a
//! [`Ticket`]. It starts the model's program, keeps it running, and never runs model code itself,
//! so that a crashing model cannot take it down.
//!
//! ```text
//! Engine::submit -> Scheduler -> Executor -> Link -> model process
//!        Ticket <------- events, outcome ----'
//! ```
//!
//! Requesters hold an [`Engine`], which is either the [`Embedded`] one of this process or stands for
//! a [`Queue`] elsewhere. The embedded engine owns the state of every job, in a `Scheduler` that is
//! plain data, and changes it under one lock that is never held across an await. An executor carries
//! messages between it and one worker.
//!
//! # How things end
//!
//! * A ticket that is dropped *cancels* its job; one that is detached lets it go on.
//! * The engine *abandons* a job whose requester reads too slowly: it is answered with an error
//!   while the model may still be at it.
//! * A worker that *drains* gets no more jobs, and finishes those that it has; its link is closed
//!   when it has drained.
//! * A worker is *lost* when its process is gone, for whatever `EndCause`: what it had begun fails,
//!   and the rest goes back into the queue.
//! * The engine *fails* when the model cannot be had any more: what waits, and all that follows, is
//!   answered with that error.
//! * The engine is *shut down* when the process stops and has waited long enough: it fails, and its
//!   workers are ended.

mod busy_poll;
mod engine;
#[cfg(fuzzing)]
pub mod fuzzing;
mod housekeeping;
mod job;
mod link;
mod metrics;
mod model;
#[cfg(feature = "reload")]
mod reload;
mod scheduler;
pub mod settings;
mod signals;
mod worker;

pub use engine::Engine;
pub use engine::embedded::{Announcement, Embedded, JobLimits};
pub use engine::queue::{Queue, Submitted};
pub use engine::revision::{Broken, Revision};
pub use engine::state::State;
pub use job::budget::{Budget, Reservation};
pub use job::event::Event;
pub use job::id::{JobId, JobKey};
pub use job::request::{Request, Timing};
pub use job::ticket::{Jobs, Passing, Responder, Ticket};
pub use link::Link;
pub use link::board::{Printed, Stream};
pub use link::codec::FrameDecoder;
pub use link::memory_file::BodyBuffer;
pub use link::message::{Batching, FromWorker, PROTOCOL, Ready, ToWorker};
pub use link::worker_side::WorkerSide;
pub use model::{About, CustomMode, Model};
#[cfg(feature = "reload")]
pub use reload::ProgramFiles;
pub use signals::ignore_unwanted;
pub use worker::ending::Exit;
pub use worker::executor::serve_attached;
pub use worker::output::{LineForm, Output, PrintedLine};
pub use worker::process::{LINK_VARIABLE, Program};
pub use worker::reaper::WORKER_VARIABLE;
pub use worker::rlimits::{raise_open_files, save_addresses};
pub use worker::supervisor::Supervisor;
