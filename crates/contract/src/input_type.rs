//! The types that an input may be declared as, one file each.
//!
//! To add one: write its file beside the others and name it in the table below.

use serde_json::Value as Json;

use crate::{Field, Shape, Value};

/// A type of the inputs schema: its name there, its form, and a sample of it.
pub trait InputType: Sync + std::fmt::Debug {
    /// The name in the schema's `type`.
    fn name(&self) -> &'static str;

    /// The form which front ends know.
    fn shape(&self) -> Shape;

    /// A valid value for a self-test of a field that names no example, default or choice.
    fn sample(&self, field: &Field) -> Value;
}

macro_rules! input_types {
    ($($module:ident :: $name:ident),+ $(,)?) => {
        $(mod $module;)+
        /// Every type, in the order of the documentation.
        pub const INPUT_TYPES: &[&dyn InputType] = &[$(&$module::$name),+];
    };
}

input_types! {
    image::Image,
    text::Text,
    number::Number,
    integer::Integer,
    boolean::Boolean,
    choice::Choice,
    audio::Audio,
    video::Video,
    file::File,
    json::AnyJson,
}

/// The type of that name, if there is one.
pub(crate) fn find(name: &str) -> Option<&'static dyn InputType> {
    INPUT_TYPES.iter().copied().find(|input_type| input_type.name() == name)
}

/// What an input of an unknown type is served as, so that old programs run.
pub(crate) fn fallback() -> &'static dyn InputType {
    &text::Text
}

/// A number inside the field's range: its middle, or the bound that it has.
fn sample_number(field: &Field) -> f64 {
    match (field.min, field.max) {
        (Some(min), Some(max)) => f64::midpoint(min, max),
        (Some(bound), None) | (None, Some(bound)) => bound,
        (None, None) => 1.0,
    }
}

fn json_number(number: f64) -> Value {
    Value::Json(Json::from(number))
}
