//! Runs a model in Rust on a command line, through pipes, or as an HTTP API with a web page. The
//! model is one loop; the environment variable `MODE` chooses how the model is used.
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
//! # Inputs as a struct
//!
//! A struct that derives [`Deserialize`](serde::Deserialize) and
//! [`JsonSchema`](https://docs.rs/schemars) declares the inputs, and each job dereferences to that
//! struct. Add `serde` with its feature `derive`, and `schemars` 1, to `Cargo.toml`.
//!
//! ```no_run
//! use ai_integration::{Image, Model, Outcome};
//! use schemars::JsonSchema;
//! use serde::Deserialize;
//!
//! #[derive(Deserialize, JsonSchema)]
//! struct Describe {
//!     /// The picture to look at
//!     #[schemars(extend("formats" = ["png", "jpeg"]))]
//!     image: Image,
//!     /// The maximum number of words in the result
//!     #[serde(default = "twenty")]
//!     #[schemars(range(min = 1, max = 50))]
//!     words: u32,
//!     style: Option<Style>,
//!     tags: Vec<String>,
//! }
//!
//! #[derive(Deserialize, JsonSchema)]
//! #[serde(rename_all = "lowercase")]
//! enum Style {
//!     Plain,
//!     Verse,
//! }
//!
//! fn twenty() -> u32 {
//!     20
//! }
//!
//! for job in Model::of::<Describe>().jobs() {
//!     let form = if let Some(Style::Verse) = job.style { "a verse" } else { "a line" };
//!     let answer = format!("{form} of {} words on {} bytes", job.words, job.image.len());
//!     job.send(Outcome::text(answer));
//! }
//! ```
//!
//! [`inputs_schema`] has a table of the types and attributes. If the struct cannot be read from a
//! request, the request is refused before it reaches the loop, over HTTP with status 422.
//!
//! # Inputs by name
//!
//! Without a struct, a job has a method for each type, such as [`Inputs::text`] and
//! [`Inputs::bytes`]. [`Inputs::get_as`] reads an input as any type that serde can deserialize:
//! `job.get_as::<Option<u8>>("level")`. Pass its error to [`Job::refuse`].
//!
//! # Results
//!
//! An [`Outcome`] is the result of a job: text, JSON, a file, several files, or a failure.
//! [`Job::send`] sends it. Before that, [`Job::send_chunk`] can send the result in chunks, and
//! [`Job::progress`] reports how much is done.
//!
//! # Many requests at a time
//!
//! [`Model::concurrency`] is for models that wait, such as for another service.
//! [`Concurrent::run_async`] runs an asynchronous function for several requests at a time.
//! [`Concurrent::run`] calls a function for each of them on its own thread.
//!
//! # Processes
//!
//! The program starts itself again as a worker, so a crash of the model ends one request and not the
//! server. Load the model after the call of [`Model::jobs`], because this call returns only in the
//! worker.
//!
//! # Numbers
//!
//! An input of the type integer can have any length; [`Inputs::integer`] returns an error if it does
//! not fit an `i64`. To keep all digits, this crate builds `serde_json` with its feature
//! `arbitrary_precision`. That applies to the whole program and has one drawback: an `f64` cannot be
//! read from JSON inside a type that is `untagged`, or has `flatten` or a `tag`.
//!
//! # Features
//!
//! All features are on by default.
//!
//! | feature | adds |
//! |---|---|
//! | `http` | the mode `http`: the API, the web page, metrics; the mode `mcp` for agents |
//! | `grpc` | the Open Inference Protocol over gRPC; turns on `http` |
//! | `lambda` | the mode `lambda`: a function of AWS Lambda; turns on `http` |
//! | `tls` | TLS by the server itself, and HTTP/2 over it; turns on `http` |
//! | `otel` | traces to a collector of OpenTelemetry; turns on `http` |
//! | `url-inputs` | files that a request gives as URLs; turns on `http` |
//! | `pickle` | the mode `test_inputs_pickled_dict` |
//! | `runpod` | the mode `runpod`, for the queues of `RunPod`; turns on `http` |
//! | `schema` | inputs as a struct, by the crate `schemars`: `Model::of`, `inputs_schema` |
//! | `terminal` | progress bars on the command line, and colours in its help |
//!
//! With `default-features = false` a model needs about a third of the crates. Four modes remain:
//! `command_line`, `test_inputs_dict_json`, `test_single_image` and `test_model_integration`. The
//! command `ai-integration run` still runs the model in every mode, because the command has all
//! features and the model is only its worker. Without the command, the error for another `MODE` names
//! the missing feature, and the settings of missing features are unknown.

mod concurrent;
pub mod environment;
mod files;
mod inputs;
mod invalid_input;
mod job;
pub mod launch;
mod link;
mod logging;
mod model;
#[cfg(feature = "schema")]
mod schema;
pub mod settings;

pub use ai_integration_contract::{Data, Outcome, Task, Value};
pub use ai_integration_modes::ExitStatus;
pub use serde_json::json;

pub use concurrent::tasks::AsyncJob;
pub use concurrent::threads::ThreadJob;
pub use files::{Audio, File, Image, Video};
pub use inputs::Inputs;
pub use invalid_input::InvalidInput;
pub use job::{Batches, Cancelled, Job, Jobs};
pub use model::{Concurrent, Model};
#[cfg(feature = "schema")]
pub use schema::inputs_schema;
