//! The vocabulary that every part of ai_integration shares: what a model asks for
//! ([`InputsSchema`]), what it is given ([`Inputs`]), what it answers ([`Outcome`]), how things
//! fail ([`Error`]), and which settings exist ([`Setting`]).
//!
//! This crate does no input or output and knows no runtime, so that the rules in it can be tested
//! on their own and used from any side.

mod error;
mod input_type;
pub mod json;
mod outcome;
mod raw;
mod schema;
mod setting;
mod shape;
mod value;

pub use error::{Error, Kind};
pub use input_type::{INPUT_TYPES, InputType};
pub use outcome::{Data, Outcome};
pub use raw::{RawInputs, RawValue, decode_base64};
pub use schema::{Field, FieldError, InputsSchema, InvalidInputs};
pub use setting::{Environment, Setting, SettingError};
pub use shape::Shape;
pub use value::{Inputs, Value};
