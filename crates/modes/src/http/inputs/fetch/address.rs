//! Inputs that a request gives as addresses.

use ai_integration_contract::{InputsSchema, RawValue, Shape};

/// Tells whether an input is to be a file, and is given as an http or https address.
pub(crate) fn is_given(schema: &InputsSchema, name: &str, value: &RawValue) -> bool {
    let is_file = || {
        let field = schema.fields().get(name);
        field.is_some_and(|field| matches!(field.shape(), Shape::Blob { .. }))
    };
    let has_scheme = |scheme: &str| {
        let start = text(value).and_then(|text| text.get(..scheme.len()));
        start.is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    };
    (has_scheme("http://") || has_scheme("https://")) && is_file()
}

/// The text of a value, if it is one.
pub(crate) fn text(value: &RawValue) -> Option<&str> {
    match value {
        RawValue::Text(text) | RawValue::Json(serde_json::Value::String(text)) => Some(text.trim()),
        _ => None,
    }
}
