//! The engine of ai_integration. It queues requests, hands each one to a free worker, and returns
//! the result through a [`Ticket`]. It starts the model processes, and restarts them when they end.
//! It never runs model code itself, so a model that crashes cannot take the engine down.
//!
//! ```text
//! Engine::submit -> Scheduler -> Executor -> Link -> model process
//!        Ticket <------- events, outcome ----'
//! ```
//!
//! # Where to begin
//!
//! To use the crate, begin with the example below. To change it, read the parts in this order. The
//! module doc of each says what is in its folder:
//!
//! 1. `job`: a [`Request`] carries the inputs. Its [`Ticket`] yields [`Event`]s and then the
//!    outcome. The code that runs the job holds the [`Responder`]. A [`Budget`] limits the memory
//!    of all requests together.
//! 2. `engine`: requesters hold an [`Engine`]. Behind it is the [`Embedded`] engine of this
//!    process, or a remote [`Queue`].
//! 3. `scheduler`: it decides which worker gets which job. It is plain data without a clock; the
//!    embedded engine changes it under one lock that is never held across an await.
//! 4. `link`: a [`Link`] is the engine's end of the connection to a worker, and a [`WorkerSide`]
//!    the model's end. They exchange [`ToWorker`] and [`FromWorker`] messages, which
//!    `docs/worker-protocol.md` describes.
//! 5. `worker`: an executor carries messages between the engine and one worker. The [`Supervisor`]
//!    starts the model processes of a [`Program`], restarts them, and replaces them on request.
//! 6. `reload` (with the feature of that name): it reloads the program when its files change.
//! 7. [`settings`]: the environment variables that this crate reads.
//!
//! # Example
//!
//! An engine whose model runs on a thread of the same process. In production the model runs in a
//! process of its own, which a [`Supervisor`] starts.
//!
//! ```
//! use std::time::Duration;
//!
//! use ai_integration_contract::{Inputs, Outcome, Value};
//! use ai_integration_engine::{
//!     Embedded, Engine, FromWorker, JobLimits, Link, Ready, Request, ToWorker, serve_attached,
//! };
//! use serde_json::json;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let embedded = Embedded::start(JobLimits {
//!     queue: 16,
//!     timeout: Some(Duration::from_secs(10)),
//!     grace: Duration::from_secs(1),
//!     prefetch: true,
//!     retry: true,
//! });
//!
//! let (link, mut worker) = Link::in_process();
//! tokio::spawn(serve_attached(embedded.clone(), link));
//! std::thread::spawn(move || -> std::io::Result<()> {
//!     worker.send(FromWorker::Ready(Ready::new(json!({"text": {"type": "text"}}))))?;
//!     while let Some(message) = worker.receive()? {
//!         if let ToWorker::Job { id, inputs, .. } = message {
//!             let text = inputs["text"].as_text().unwrap_or_default();
//!             worker.send(FromWorker::Start(id, None))?;
//!             worker.send(FromWorker::Result(id, Outcome::text(text.to_uppercase())))?;
//!         }
//!     }
//!     Ok(())
//! });
//!
//! let engine = Engine::from(embedded);
//! let inputs = Inputs::from_iter([("text".to_owned(), Value::Text("hello".to_owned()))]);
//! let outcome = engine.ask(Request::new(inputs)).await?;
//! assert_eq!(outcome, Outcome::text("HELLO"));
//! engine.shut_down();
//! # Ok(())
//! # }
//! ```
//!
//! # How jobs, workers and the engine end
//!
//! * A ticket that is dropped *cancels* its job. A ticket that is detached does not.
//! * The engine *abandons* a job if its requester reads too slowly. The requester gets an error,
//!   even if the model still works on the job.
//! * A worker that *drains* gets no more jobs and finishes those that it has. Then the engine
//!   closes its link.
//! * A worker is *lost* when its process has ended, for any `EndCause`. The jobs that it had
//!   started fail, and the others go back into the queue.
//! * The engine *fails* if the program cannot be started any more. Every job that waits, and every
//!   later request, gets the same error.
//! * The engine is *shut down* when the server stops and its shutdown timeout has passed. It fails,
//!   and kills its workers.

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
pub use engine::queue::{Queue, Submission};
pub use engine::revision::{Broken, Revision};
pub use engine::state::State;
pub use job::budget::{Budget, Reservation};
pub use job::channel::Reading;
pub use job::event::Event;
pub use job::id::{JobId, JobKey};
pub use job::request::{Request, Timing};
pub use job::ticket::{Jobs, Passing, Responder, Ticket};
pub use link::Link;
pub use link::board::{Printed, Stream};
pub use link::memory_file::BodyBuffer;
pub use link::message::{Batching, FromWorker, MOST_CONCURRENT, PROTOCOL, Ready, ToWorker, WINDOW};
pub use link::worker_side::{WorkerSender, WorkerSide};
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
