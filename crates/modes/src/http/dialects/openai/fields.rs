//! The inputs that the members of a request are for.

use ai_integration_contract::{Error, Field, InputsSchema, Kind, RawInputs, RawValue, Shape};
use serde_json::{Map, Value as Json};

use crate::http::inputs::envelope::{HANDLED, flag, no_flag, unfit};
use crate::http::inputs::unnamed::{is_text, only};

/// Returns the inputs that the members of a JSON object give.
pub(super) fn from_json(members: Map<String, Json>) -> RawInputs {
    members.into_iter().map(|(name, value)| (name, RawValue::Json(value))).collect()
}

/// Joins the values of `name[]` to those of `name`, because clients send lists under both names. One
/// value stays as it is: the schema decides whether it is a list.
pub(super) fn join_lists(raw: RawInputs) -> RawInputs {
    let mut joined = RawInputs::with_capacity(raw.len());
    for (name, value) in raw {
        let name = name.strip_suffix("[]").map(ToOwned::to_owned).unwrap_or(name);
        put(&mut joined, name, value);
    }
    joined
}

fn put(joined: &mut RawInputs, name: String, value: RawValue) {
    let Some(first) = joined.get_mut(&name) else {
        joined.insert(name, value);
        return;
    };
    let list = |value| match value {
        RawValue::List(values) => values,
        value => vec![value],
    };
    let mut values = list(std::mem::replace(first, RawValue::List(Vec::new())));
    values.extend(list(value));
    *first = RawValue::List(values);
}

/// Leaves out the members that are no inputs: those that the schema does not have, because clients send
/// options of every model, and those without a value.
pub(super) fn keep_known(schema: &InputsSchema, raw: &mut RawInputs) {
    raw.retain(|name, value| {
        let is_known = schema.fields().contains_key(name) && !HANDLED.contains(&name.as_str());
        is_known && !is_null(value)
    });
}

/// Removes a member. A member that is `null` counts as missing.
pub(super) fn take(raw: &mut RawInputs, name: &str) -> Option<RawValue> {
    raw.shift_remove(name).filter(|value| !is_null(value))
}

/// Removes a member that is one text.
pub(super) fn take_text(raw: &mut RawInputs, name: &str) -> Result<Option<String>, Error> {
    match take(raw, name) {
        None => Ok(None),
        Some(RawValue::Text(text) | RawValue::Json(Json::String(text))) => Ok(Some(text)),
        Some(_) => Err(unfit(name, "expected text")),
    }
}

/// Removes a member that is true or false.
pub(super) fn take_flag(raw: &mut RawInputs, name: &str) -> Result<bool, Error> {
    match take(raw, name) {
        None => Ok(false),
        Some(RawValue::Json(value)) => flag(&value, name),
        Some(RawValue::Text(text)) if text.eq_ignore_ascii_case("true") => Ok(true),
        Some(RawValue::Text(text)) if text.eq_ignore_ascii_case("false") => Ok(false),
        Some(_) => Err(no_flag(name)),
    }
}

fn is_null(value: &RawValue) -> bool {
    matches!(value, RawValue::Json(Json::Null))
}

/// Returns the text input for a member: the one of its name, or the only one.
pub(super) fn text_input<'a>(
    schema: &'a InputsSchema,
    member: &str,
) -> Result<(&'a str, &'a Field), Error> {
    let named = schema.fields().get_key_value(member).filter(|(_, field)| is_text(field));
    let named = named.map(|(name, field)| (name.as_str(), field));
    let texts = schema.fields().iter().filter(|(_, field)| is_text(field));
    named.or_else(|| only(texts)).ok_or_else(|| {
        let message = "the model does not have exactly one required text input";
        Error::new(Kind::MalformedRequest, message)
    })
}

/// Returns the input for a file in a member: the one of its name, or the only one of this kind, such as
/// `audio`, or the only one of any kind. The inputs `others` are for other members.
pub(super) fn file_input<'a>(
    schema: &'a InputsSchema,
    member: &str,
    kind: &str,
    others: &[&str],
) -> Option<(&'a str, &'a Field)> {
    let is_of = |field: &Field, kind: &str| match field.shape() {
        Shape::Blob { media } => media.split('/').next() == Some(kind) || kind.is_empty(),
        _ => false,
    };
    let free = |(name, _): &(&String, &Field)| !others.contains(&name.as_str());
    let fields = schema.fields().iter().filter(free);
    let named = schema.fields().get_key_value(member).filter(|(_, field)| is_of(field, ""));
    let named = named.map(|(name, field)| (name.as_str(), field));
    named
        .or_else(|| only(fields.clone().filter(|(_, field)| is_of(field, kind))))
        .or_else(|| only(fields.filter(|(_, field)| is_of(field, ""))))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn text(value: &str) -> RawValue {
        RawValue::Text(value.to_owned())
    }

    #[test]
    fn repeated_members_become_a_list_under_both_names() {
        let list = |values: &[&str]| RawValue::List(values.iter().copied().map(text).collect());
        for (given, expected) in [
            (vec![("image[]", text("a"))], text("a")),
            (vec![("image[]", list(&["a", "b"]))], list(&["a", "b"])),
            (vec![("image", text("a"))], text("a")),
            (vec![("image", text("a")), ("image[]", text("b"))], list(&["a", "b"])),
            (vec![("image[]", list(&["a", "b"])), ("image", text("c"))], list(&["a", "b", "c"])),
        ] {
            let raw = given.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
            let expected = RawInputs::from([("image".to_owned(), expected)]);
            assert_eq!(join_lists(raw), expected);
        }
    }

    #[test]
    fn a_member_finds_its_input() {
        let schema = |source: Json| InputsSchema::parse(&source).0;
        let optional = |kind: &str| json!({"type": kind, "required": false});
        for (source, expected) in [
            (json!({"image": "image", "mask": optional("image")}), Some("image")),
            (json!({"photo": "image", "mask": "image"}), Some("photo")),
            (json!({"photo": "file"}), Some("photo")),
            (json!({"a": "image", "b": "image"}), None),
            (json!({"a": "image", "b": optional("image")}), Some("a")),
            (json!({"sound": "audio", "photo": "image"}), Some("photo")),
            (json!({"text": "text"}), None),
        ] {
            let schema = schema(source);
            let found = file_input(&schema, "image", "image", &["mask"]).map(|(name, _)| name);
            assert_eq!(found, expected);
        }
        for (source, expected) in [
            (json!({"prompt": "text", "style": "text"}), Some("prompt")),
            (json!({"text": "text", "style": optional("text")}), Some("text")),
            (json!({"text": "text", "day": "date"}), Some("text")),
            (json!({"a": "text", "b": "text"}), None),
            (json!({"prompt": "image", "b": "text"}), Some("b")),
        ] {
            let schema = schema(source);
            assert_eq!(text_input(&schema, "prompt").ok().map(|(name, _)| name), expected);
        }
    }

    #[test]
    fn unknown_members_and_members_without_a_value_are_left_out() {
        let (schema, _) =
            InputsSchema::parse(&json!({"size": "text", "seed": "integer", "model": "text"}));
        let members = json!({"size": "1x1", "seed": null, "user": "me", "model": "m"});
        let Json::Object(members) = members else { unreachable!("it is an object") };
        let mut raw = from_json(members);
        keep_known(&schema, &mut raw);
        assert_eq!(raw.keys().collect::<Vec<_>>(), ["size"]);
    }
}
