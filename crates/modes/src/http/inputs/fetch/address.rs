//! Finds the inputs that a request gives as URLs.

use ai_integration_contract::{InputsSchema, RawInputs, RawValue, Shape};

/// Lists the values that must be files and are given as http or https URLs. Each comes with its
/// place: the input's name, and the item's index if the input is a list.
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

/// Returns true if a value, or an item of a list, is an http or https URL.
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

/// Returns the text of a value, if it is text.
pub(crate) fn text(value: &RawValue) -> Option<&str> {
    match value {
        RawValue::Text(text) | RawValue::Json(serde_json::Value::String(text)) => Some(text.trim()),
        _ => None,
    }
}
