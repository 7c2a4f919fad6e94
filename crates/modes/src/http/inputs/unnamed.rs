//! Finds the input that a value without a name is for.

use ai_integration_contract::{Field, InputsSchema, Shape};
use serde_json::{Map, Value as Json};

/// Returns the only required one of these inputs, or the only one.
pub(crate) fn only<'a>(
    mut fields: impl Iterator<Item = (&'a String, &'a Field)> + Clone,
) -> Option<(&'a str, &'a Field)> {
    let mut required = fields.clone().filter(|(_, field)| field.required);
    let first = required.next().filter(|_| required.next().is_none());
    let first = first.or_else(|| fields.next().filter(|_| fields.next().is_none()));
    first.map(|(name, field)| (name.as_str(), field))
}

/// Returns the input that a file or a text without a name is for: the only one of this kind, or else
/// the only one of the other kind.
pub(crate) fn for_file(schema: &InputsSchema, is_text: bool) -> Option<&str> {
    let fields = schema.fields().iter();
    let texts = fields.clone().filter(|(_, field)| matches!(field.shape(), Shape::Text { .. }));
    let files = fields.filter(|(_, field)| matches!(field.shape(), Shape::Blob { .. }));
    let (texts, files) = (only(texts), only(files));
    let fitting = if is_text { texts.or(files) } else { files.or(texts) };
    fitting.map(|(name, _)| name)
}

/// Returns true if all that the model needs is a file.
pub(crate) fn needs_file(schema: &InputsSchema) -> bool {
    let needed = only(schema.fields().iter());
    needed.is_some_and(|(_, field)| matches!(field.shape(), Shape::Blob { .. }))
}

/// Returns true if all that the model needs is a text.
pub(crate) fn needs_text(schema: &InputsSchema) -> bool {
    let needed = only(schema.fields().iter());
    needed.is_some_and(|(_, field)| matches!(field.shape(), Shape::Text { .. }))
}

/// Returns true if an object is the value of one input, and does not have the inputs by name.
/// `is_given` tells the inputs that already have a value.
pub(crate) fn is_one_value(
    schema: &InputsSchema,
    is_given: impl Fn(&str) -> bool + Clone,
    members: &Map<String, Json>,
) -> bool {
    let is_known = |name: &String| schema.fields().contains_key(name);
    let free = schema.fields().iter().filter(|(name, _)| !is_given(name));
    let is_json = only(free)
        .is_some_and(|(_, field)| field.items.is_none() && matches!(field.shape(), Shape::Json));
    is_json && !members.keys().any(is_known)
}

/// Returns true if an input takes any text, or a list of texts.
pub(crate) fn is_text(field: &Field) -> bool {
    field.shape() == Shape::Text { format: None }
}
