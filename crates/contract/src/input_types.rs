//! The types that an input can have, one file for each.
//!
//! To add a type, write its file beside the others, and add a line to the table below.

use crate::input_type::InputType;

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
    date::Date,
    datetime::DateTime,
    audio::Audio,
    video::Video,
    file::File,
    json::AnyJson,
}

mod samples;
mod unknown;

/// Finds the type of this name.
pub(crate) fn find(name: &str) -> Option<&'static dyn InputType> {
    INPUT_TYPES.iter().copied().find(|input_type| input_type.name() == name)
}

/// Returns the type that replaces an unknown type, so that old programs run.
pub(crate) fn fallback() -> &'static dyn InputType {
    &unknown::Unknown
}
