//! Inputs that a request gives as addresses.

use ai_integration_contract::{InputsSchema, RawInputs, RawValue, Shape};

/// The values that are to be files and are given as http or https addresses, each with its place:
/// the input's name, and its number where that is a list.
pub(crate) fn given<'a>(
    schema: &'a InputsSchema,
    raw: &'a mut RawInputs,
) -> impl Iterator<Item = (String, &'a mut RawValue)> {
    let is_file = |name: &str| {
        let field = schema.fields().get(name);
        field.is_some_and(|field| matches!(field.shape(), Shape::Blob { .. }))
    };
    let files = raw.iter_mut().filter(move |(name, _)| is_file(name));
    files.flat_map(|(name, value)| match value {
        RawValue::List(items) => {
            let items = items.iter_mut().enumerate().filter(|(_, item)| is_address(item));
            items.map(|(index, item)| (format!("{name}[{index}]"), item)).collect()
        }
        value if is_address(value) => vec![(name.clone(), value)],
        _ => Vec::new(),
    })
}

/// Tells whether a value, or something in it, is an http or https address.
pub(crate) fn is_address(value: &RawValue) -> bool {
    if let RawValue::List(items) = value {
        return items.iter().any(is_address);
    }
    let has_scheme = |scheme: &str| {
        let start = text(value).and_then(|text| text.get(..scheme.len()));
        start.is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    };
    has_scheme("http://") || has_scheme("https://")
}

/// The text of a value, if it is one.
pub(crate) fn text(value: &RawValue) -> Option<&str> {
    match value {
        RawValue::Text(text) | RawValue::Json(serde_json::Value::String(text)) => Some(text.trim()),
        _ => None,
    }
}
