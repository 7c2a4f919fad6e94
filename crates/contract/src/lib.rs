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
//! This crate does no input or output and has no runtime, so its rules can be tested alone and used
//! from everywhere.

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
mod raw;
mod schema;
pub mod setting;
mod shape;
mod value;
pub mod wire;

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
pub use raw::{RawInputs, RawValue, decode_base64};
pub use schema::{Hints, InputsSchema};
pub use setting::{Environment, Setting, SettingError};
pub use shape::{Refusal, Shape};
pub use value::{Inputs, Value};
