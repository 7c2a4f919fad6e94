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
//!
//! # Numbers
//!
//! An integer is one of any length: [`Inputs::integer`] is an error where it does not fit. So that none
//! is rounded on the way, `serde_json` is built with its feature `arbitrary_precision`, in the whole
//! program: there an `f64` in a type of the model's own that is `untagged`, or has `flatten` or a `tag`,
//! cannot be read from JSON.
//!
//! # Features
//!
//! All of them are on by default.
//!
//! | feature | brings |
//! |---|---|
//! | `http` | the mode `http`: the API, the web page, metrics |
//! | `tls` | a certificate of the server's own, and with it HTTP/2; brings `http` |
//! | `otel` | traces, sent to a collector by OpenTelemetry's protocol; brings `http` |
//! | `url-inputs` | files that a request gives as addresses; brings `http` |
//! | `pickle` | the mode `test_inputs_pickled_dict` |
//! | `terminal` | progress bars on the command line, and colours in its help |
//!
//! With `default-features = false` a model needs about a third of the crates. It still has the modes
//! `command_line`, `test_inputs_dict_json`, `test_single_image` and `test_model_integration`, and
//! the command `ai-integration run` serves it in every mode, as it does any program: the model is
//! then its worker, and no feature of the model's counts. A `MODE` that was left out is refused with
//! the name of the feature that brings it, and a setting that was left out as any name that is none.

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

pub use inputs::{Inputs, OutOfRange};
pub use job::{Batches, Cancelled, Job, Jobs};
pub use model::Model;
