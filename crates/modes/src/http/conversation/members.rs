//! Takes members out of the JSON objects of a model. An error names the place of the member.

use serde_json::{Map, Value as Json};

/// Takes a text out of an object. The error names its place.
pub(super) fn text(
    object: &mut Map<String, Json>,
    place: &str,
    name: &str,
) -> Result<Option<String>, String> {
    match object.remove(name) {
        None | Some(Json::Null) => Ok(None),
        Some(Json::String(text)) => Ok(Some(text)),
        Some(_) => Err(format!("{} is not text", within(place, name))),
    }
}

/// Takes a whole number out of an object. The error names its place.
pub(super) fn number(
    object: &mut Map<String, Json>,
    place: &str,
    name: &str,
) -> Result<Option<u64>, String> {
    match object.remove(name) {
        None | Some(Json::Null) => Ok(None),
        Some(value) => value
            .as_u64()
            .map(Some)
            .ok_or_else(|| format!("{} is not a whole number", within(place, name))),
    }
}

fn within(place: &str, name: &str) -> String {
    if place.is_empty() { name.to_owned() } else { format!("{place}.{name}") }
}
