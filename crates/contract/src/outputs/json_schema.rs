//! Checks the form of a JSON Schema (2020-12): that each keyword which has schemas, names or types in
//! it has these. Unknown keywords are fine, and so is what only a validator can know.

use serde_json::{Map, Value as Json};

use crate::excerpt::shown;
use crate::likeness::hint;

/// The maximum number of schemas inside each other.
const DEEPEST: usize = 50;

/// The types of JSON Schema.
const TYPES: [&str; 7] = ["array", "boolean", "integer", "null", "number", "object", "string"];
/// The names of types in Python and in the inputs schema, and those that they mean here.
const SYNONYMS: [(&str, &str); 9] = [
    ("bool", "boolean"),
    ("dict", "object"),
    ("float", "number"),
    ("int", "integer"),
    ("json", "object"),
    ("list", "array"),
    ("none", "null"),
    ("str", "string"),
    ("text", "string"),
];

/// The keywords whose value is a schema.
const OF_ONE: [&str; 11] = [
    "additionalProperties",
    "contains",
    "contentSchema",
    "else",
    "if",
    "items",
    "not",
    "propertyNames",
    "then",
    "unevaluatedItems",
    "unevaluatedProperties",
];
/// The keywords whose value is an array of schemas.
const OF_MANY: [&str; 4] = ["allOf", "anyOf", "oneOf", "prefixItems"];
/// The keywords whose value is an object of schemas.
const BY_NAME: [&str; 5] =
    ["$defs", "definitions", "dependentSchemas", "patternProperties", "properties"];

/// Checks a schema. The error names the place of the first fault, and the way out.
pub(super) fn check(schema: &Json) -> Result<(), String> {
    walk(schema, "", 0, &mut |keyword, place, value| match keyword {
        "type" => check_type(value).map_err(|reason| format!("at {place}, {reason}")),
        "required" if !is_list_of(value, Json::is_string) => {
            Err(unfit(place, "a list of names", value))
        }
        "enum" if !value.is_array() => Err(unfit(place, "a list of values", value)),
        "$ref" | "$schema" | "$id" if !value.is_string() => Err(unfit(place, "a string", value)),
        _ => Ok(()),
    })
}

/// Calls a function with each keyword of a schema and of those inside it that has no schemas of its
/// own, the place of the keyword, and its value.
fn walk(
    schema: &Json,
    place: &str,
    depth: usize,
    check: &mut impl FnMut(&str, &str, &Json) -> Result<(), String>,
) -> Result<(), String> {
    let keywords = match schema {
        Json::Object(keywords) => keywords,
        Json::Bool(_) => return Ok(()),
        other => return Err(unfit(place, "a schema, such as {\"type\": \"object\"}", other)),
    };
    if depth == DEEPEST {
        return Err(format!("at {place}, it is nested too deeply; at most {DEEPEST} levels fit"));
    }
    for (keyword, value) in keywords {
        let at = if place.is_empty() { keyword.clone() } else { format!("{place}.{keyword}") };
        let inner = if OF_ONE.contains(&keyword.as_str()) {
            vec![(at, value)]
        } else if OF_MANY.contains(&keyword.as_str()) {
            let all = value.as_array().ok_or_else(|| unfit(&at, "a list of schemas", value))?;
            all.iter().enumerate().map(|(index, one)| (format!("{at}[{index}]"), one)).collect()
        } else if BY_NAME.contains(&keyword.as_str()) {
            let all = value.as_object().ok_or_else(|| unfit(&at, "a dict of schemas", value))?;
            all.iter().map(|(name, one)| (format!("{at}.{name}"), one)).collect()
        } else {
            check(keyword, &at, value)?;
            Vec::new()
        };
        inner.into_iter().try_for_each(|(at, one)| walk(one, &at, depth + 1, check))?;
    }
    Ok(())
}

fn check_type(value: &Json) -> Result<(), String> {
    let names = match value {
        Json::Array(names) if !names.is_empty() => names.as_slice(),
        other => std::slice::from_ref(other),
    };
    let is_known = |name: &&Json| name.as_str().is_some_and(|name| TYPES.contains(&name));
    let Some(unknown) = names.iter().find(|name| !is_known(name)) else { return Ok(()) };
    let word = unknown.as_str().unwrap_or_default();
    let meant = SYNONYMS.iter().find(|(other, _)| other.eq_ignore_ascii_case(word));
    let hint =
        meant.map_or_else(|| hint(word, &TYPES), |(_, meant)| format!("did you mean {meant:?}?"));
    Err(format!("{} is not a type of JSON Schema; {hint}", shown(unknown)))
}

fn is_list_of(value: &Json, fits: impl Fn(&Json) -> bool) -> bool {
    value.as_array().is_some_and(|items| items.iter().all(fits))
}

fn unfit(place: &str, expected: &str, value: &Json) -> String {
    let place = if place.is_empty() { String::new() } else { format!("at {place}, ") };
    format!("{place}expected {expected}, got {}", shown(value))
}

/// Rewrites the references of a schema to places in itself, for a document that has the schema at
/// the place `at`, such as `#/components/schemas/Result`. A schema with an `$id` stays as it is: its
/// references are relative to it.
pub(super) fn relocated(schema: &Json, at: &str) -> Json {
    let Json::Object(keywords) = schema else { return schema.clone() };
    if keywords.contains_key("$id") {
        return schema.clone();
    }
    let moved = keywords.iter().map(|(keyword, value)| {
        let name = keyword.as_str();
        let value = match value {
            Json::String(reference) if name == "$ref" && is_local(reference) => {
                format!("{at}{}", &reference[1..]).into()
            }
            one if OF_ONE.contains(&name) => relocated(one, at),
            Json::Array(all) if OF_MANY.contains(&name) => {
                all.iter().map(|one| relocated(one, at)).collect()
            }
            Json::Object(all) if BY_NAME.contains(&name) => {
                all.iter().map(|(name, one)| (name.clone(), relocated(one, at))).collect()
            }
            other => other.clone(),
        };
        (keyword.clone(), value)
    });
    moved.collect::<Map<_, _>>().into()
}

/// Returns true for a reference to a place in the same schema, but not to an anchor.
fn is_local(reference: &str) -> bool {
    reference == "#" || reference.starts_with("#/")
}
