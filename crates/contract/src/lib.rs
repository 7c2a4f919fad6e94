//! The vocabulary that every part of ai_integration shares: what a model asks for
//! ([`InputsSchema`]), what it is given ([`Inputs`]), what it answers ([`Outcome`]), how things
//! fail ([`Error`]), how that travels ([`wire`]), and which settings exist ([`Setting`]).
//!
//! This crate does no input or output and knows no runtime, so that the rules in it can be tested
//! on their own and used from any side.

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
