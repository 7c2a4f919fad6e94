//! Finds the input that a value without a name is for.

use ai_integration_contract::{Field, Shape};

/// Returns the only required one of these inputs, or the only one.
pub(crate) fn only<'a>(
    mut fields: impl Iterator<Item = (&'a String, &'a Field)> + Clone,
) -> Option<(&'a str, &'a Field)> {
    let mut required = fields.clone().filter(|(_, field)| field.required);
    let first = required.next().filter(|_| required.next().is_none());
    let first = first.or_else(|| fields.next().filter(|_| fields.next().is_none()));
    first.map(|(name, field)| (name.as_str(), field))
}

/// Returns true if an input takes any text, or a list of texts.
pub(crate) fn is_text(field: &Field) -> bool {
    field.shape() == Shape::Text { format: None }
}
