//! Write a model as one small loop, and let `MODE` decide how it is used: from a command line,
//! through pipes, as an HTTP API with a web page, as a self-test.
//!
//! ```no_run
//! use ai_integration::{Model, Outcome, json};
//!
//! for job in Model::new(json!({"text": {"type": "text"}})).jobs() {
//!     let shouted = job.text("text").to_uppercase();
//!     job.send(Outcome::text(shouted));
//! }
//! ```
//!
//! The program starts itself again as a worker, so that a crash of the model is answered with an
//! error and takes nothing else down. Load the model after [`Model::jobs`] has been called: the
//! process that supervises never gets there.

pub mod environment;
mod inputs;
mod job;
pub mod launch;
mod link;
mod logging;
mod model;
pub mod settings;

pub use ai_integration_contract::{Data, Outcome, Value};
pub use ai_integration_modes::ExitStatus;
pub use serde_json::json;

pub use inputs::Inputs;
pub use job::{Batches, Cancelled, Job, Jobs};
pub use model::Model;
