//! The vocabulary that all parts of ai_integration share: the inputs that a model takes
//! ([`InputsSchema`]), the values that it gets ([`Inputs`]), its result ([`Outcome`]), the errors
//! ([`Error`]), their wire form ([`wire`]), and the settings ([`Setting`]).
//!
//! ```
//! use ai_integration_contract::{InputsSchema, RawInputs, RawValue};
//! use serde_json::json;
//!
//! let schema = json!({"size": {"type": "integer", "min": 1, "max": 50}});
//! let (schema, remarks) = InputsSchema::parse(&schema);
//! assert!(remarks.is_empty());
//!
//! let request = RawInputs::from([("size".to_owned(), RawValue::Text("51".to_owned()))]);
//! let error = schema.resolve(request).unwrap_err();
//! assert_eq!(error.fields[0].message, "expected an integer from 1 to 50, got \"51\"");
//! ```
//!
//! This crate does no input or output and has no runtime, so every other crate can use it, and its
//! rules can be tested alone.
//!
//! # Where to begin
//!
//! 1. [`InputsSchema::parse`] reads the schema of a model, and [`InputsSchema::resolve`] checks a
//!    request by it. Each [`Field`] of the schema describes one input.
//! 2. [`InputType`] is the trait of the types that an input can have. To add a type, add a file to
//!    `src/input_types` and a line to the table in `src/input_types.rs`.
//! 3. [`Outcome`] is the end of a request in the model: a result or a failure. [`Error`] is the
//!    reason why a request has no outcome. Its [`Kind`] has the code that clients get.
//! 4. [`Outputs`] is the author's declaration of the result's content type, schema and view.
//! 5. [`settings!`](crate::settings) declares settings, and an [`Environment`] has their values.
//! 6. [`wire`] describes these data as bytes.

mod base64_text;
mod constraints;
mod encoding;
mod error;
mod excerpt;
mod field;
mod format;
mod formats;
mod input_type;
mod input_types;
mod item_count;
pub mod json;
mod likeness;
pub mod number;
mod outcome;
mod outputs;
mod raw;
mod schema;
pub mod setting;
mod shape;
mod task;
mod value;
pub mod wire;

pub use base64_text::{decode_base64, decode_base64_into, most_decoded};
pub use constraints::Constraints;
pub use encoding::{Encoding, NotText};
pub use error::{Error, FieldError, Kind, MAX_NAMED};
pub use field::Field;
pub use format::{Format, HEIF};
pub use formats::Formats;
pub use input_type::InputType;
pub use input_types::INPUT_TYPES;
pub use item_count::ItemCount;
pub use likeness::nearest;
pub use outcome::{Data, MAX_LIST, Outcome, check_content_type, without_traceback};
pub use outputs::Outputs;
pub use raw::{RawInputs, RawValue};
pub use schema::{Hints, InputsSchema};
pub use setting::{Environment, Setting, SettingError};
pub use shape::{Refusal, Shape};
pub use task::{Task, Tasks};
pub use value::{Inputs, Value};
