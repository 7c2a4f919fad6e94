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
//! # Inputs as a struct
//!
//! A struct that derives [`Deserialize`](serde::Deserialize) and
//! [`JsonSchema`](https://docs.rs/schemars) says which inputs there are, and each job reads like one of
//! it. In `Cargo.toml` this needs `serde` with its feature `derive`, and `schemars` 1.
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
//!     /// The most words of the answer
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
//! [`inputs_schema`] has a table of what becomes of a field. A request of which no such struct can be
//! read is refused before it gets to the loop, over HTTP with status 422.
//!
//! Of inputs by name, [`Inputs::get_as`] reads one as any type: `job.get_as::<Option<u8>>("level")`.
//! [`Job::refuse`] answers with its error.
//!
//! # Processes
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
//! | `schema` | inputs as a struct, with the crate `schemars`: `Model::of`, `inputs_schema` |
//! | `terminal` | progress bars on the command line, and colours in its help |
//!
//! With `default-features = false` a model needs about a third of the crates. It still has the modes
//! `command_line`, `test_inputs_dict_json`, `test_single_image` and `test_model_integration`, and
//! the command `ai-integration run` serves it in every mode, as it does any program: the model is
//! then its worker, and no feature of the model's counts. A `MODE` that was left out is refused with
//! the name of the feature that brings it, and a setting that was left out as any name that is none.

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

pub use ai_integration_contract::{Data, Outcome, Value};
pub use ai_integration_modes::ExitStatus;
pub use serde_json::json;

pub use files::{Audio, File, Image, Video};
pub use inputs::Inputs;
pub use invalid_input::InvalidInput;
pub use job::{Batches, Cancelled, Job, Jobs};
pub use model::Model;
#[cfg(feature = "schema")]
pub use schema::inputs_schema;
