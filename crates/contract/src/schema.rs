//! The inputs schema: the inputs of a model, and the check of requests.
//!
//! The format is that of ai_integration 1: a dict of names and properties, one of which is `type`.
//! Old programs must run, so an unknown part of a schema is a warning, never an error.

mod gathering;

use indexmap::IndexMap;
use serde_json::{Map, Value as Json, json};

use crate::error::{Error, FieldError};
use crate::excerpt::quote;
use crate::field::Field;
use crate::field::reading::{self, Remarks};
use crate::formats::Formats;
use crate::likeness::nearest;
use crate::raw::{RawInputs, RawValue};
use crate::shape::Shape;
use crate::value::{Inputs, Value};

/// The maximum number of names that are compared with the name of a missing input.
const RATED: usize = 20;
/// The maximum number of unknown names that the error of a missing input lists.
const LISTED: usize = 5;

/// The inputs of a model, in the author's order.
#[derive(Clone, Debug, Default)]
pub struct InputsSchema {
    fields: IndexMap<String, Field>,
    source: Map<String, Json>,
    mistakes: Vec<String>,
}

/// The faults of a request that is accepted in spite of them, because its schema is only a hint.
#[derive(Debug, Default)]
pub struct Hints {
    /// Required inputs that the request lacks.
    pub missing: Vec<FieldError>,
    /// Values that do not fit and are passed on anyway.
    pub misfits: Vec<FieldError>,
}

impl InputsSchema {
    /// Reads a schema from its JSON form, an object of names and properties; `null` is an empty
    /// schema. The second part of the result has a remark on every part that was left out.
    #[must_use]
    pub fn parse(source: &Json) -> (Self, Vec<String>) {
        let mut remarks = Remarks::default();
        let mut schema = InputsSchema::default();
        let inputs = match source {
            Json::Object(inputs) => inputs.clone(),
            Json::Null => Map::new(),
            _ => {
                let remark = "the inputs schema is not a dict and is taken as empty";
                remarks.all.push(remark.to_owned());
                remarks.mistakes.push(remark.to_owned());
                Map::new()
            }
        };
        for (name, properties) in &inputs {
            let named_type;
            let properties = match properties {
                Json::Object(properties) => properties,
                // {"image": "image"} means the same as {"image": {"type": "image"}}.
                other => {
                    named_type = Map::from_iter([("type".to_owned(), other.clone())]);
                    &named_type
                }
            };
            schema.fields.insert(name.clone(), reading::read(name, properties, &mut remarks));
        }
        schema.source = inputs;
        schema.mistakes = remarks.mistakes;
        (schema, remarks.all)
    }

    /// Returns remarks on the author's mistakes in the schema. A property that is only unknown is
    /// not a mistake.
    #[must_use]
    pub fn mistakes(&self) -> &[String] {
        &self.mistakes
    }

    /// Finds an input's name with control characters in a schema's JSON form. Flags, forms and logs
    /// cannot contain such a name.
    #[must_use]
    pub fn unfit_name(source: &Json) -> Option<&str> {
        source.as_object()?.keys().map(String::as_str).find(|name| has_control(name))
    }

    /// Returns the inputs by name, in order.
    #[must_use]
    pub fn fields(&self) -> &IndexMap<String, Field> {
        &self.fields
    }

    /// Returns the inputs for a front end, in order: each with its `name`, `shape` and `required`,
    /// and its other properties under the names of the schema.
    #[must_use]
    pub fn describe(&self) -> Json {
        let described = self.fields.iter().map(|(name, field)| {
            let constraints = &field.constraints;
            let known = [
                ("description", field.description.as_deref().map(Json::from)),
                ("default", field.default.clone()),
                ("choices", list(&constraints.choices)),
                ("min", constraints.min.clone().map(Json::from)),
                ("max", constraints.max.clone().map(Json::from)),
                ("max_bytes", constraints.max_bytes.map(Json::from)),
                ("formats", list(&constraints.formats.names().map(Json::from).collect::<Vec<_>>())),
                ("accept", accept(field).map(Json::from)),
                ("recording", field.recording.map(Json::from)),
                ("list", field.items.map(|_| true.into())),
                (
                    "min_items",
                    field.items.map(|count| count.min).filter(|min| *min > 0).map(Json::from),
                ),
                ("max_items", field.items.and_then(|count| count.max).map(Json::from)),
                ("examples", list(&field.examples)),
            ];
            let mut input =
                json!({"name": name, "shape": field.shape(), "required": field.required});
            for (key, value) in known {
                if let Some(value) = value {
                    input[key] = value;
                }
            }
            input
        });
        described.collect()
    }

    /// Returns the schema as the author wrote it.
    #[must_use]
    pub fn source(&self) -> &Map<String, Json> {
        &self.source
    }

    /// Returns the schema without its constraints on the content of files, for requests whose files
    /// have not been read yet.
    #[must_use]
    pub fn for_unread_files(&self) -> Self {
        let mut schema = self.clone();
        for field in schema.fields.values_mut() {
            if matches!(field.shape(), Shape::Blob { .. }) {
                field.constraints.max_bytes = None;
                field.constraints.formats = Formats::default();
            }
        }
        schema
    }

    /// Returns true if an input is a list.
    #[must_use]
    pub fn has_lists(&self) -> bool {
        self.fields.values().any(|field| field.items.is_some())
    }

    /// Collects the values of each list `f` from the fields of a form: `f`, `f[]`, or `f[0]`,
    /// `f[1]`. A list of files becomes a list of values that can be replaced one by one.
    /// [`resolve`] does this too; call it first if you need the lists before.
    ///
    /// [`resolve`]: InputsSchema::resolve
    pub fn gather(&self, raw: &mut RawInputs) -> Result<(), Error> {
        if !self.has_lists() {
            return Ok(());
        }
        let errors = gathering::gather(&self.fields, raw);
        if errors.is_empty() { Ok(()) } else { Err(Error::invalid_inputs(errors)) }
    }

    /// Checks a request by the schema: reads each value as its type, fills in defaults, and passes
    /// on inputs that the schema does not have. The error lists all faults.
    pub fn resolve(&self, raw: RawInputs) -> Result<Inputs, Error> {
        self.check(raw, None)
    }

    /// Checks a request as [`resolve`](Self::resolve) does, but treats the schema as a hint. JSON
    /// values stay unchanged for inputs whose only property is the type text, and a missing input
    /// is not an error. Missing inputs and values that do not fit are added to `hints`, even if the
    /// result is an error.
    pub fn resolve_as_hint(&self, raw: RawInputs, hints: &mut Hints) -> Result<Inputs, Error> {
        self.check(raw, Some(hints))
    }

    /// Checks a request. The schema is a hint if there are `hints` to fill.
    fn check(&self, mut raw: RawInputs, mut hints: Option<&mut Hints>) -> Result<Inputs, Error> {
        self.gather(&mut raw)?;
        let mut inputs = Inputs::with_capacity(self.fields.len().max(raw.len()));
        let mut errors = Vec::new();
        for (name, field) in &self.fields {
            let (given, nothing) = match raw.shift_remove(name) {
                Some(value) if is_absent(&value, field) => (None, Some(value)),
                came => (came, None),
            };
            let value = match (given, &field.default) {
                (Some(given), _) => match &mut hints {
                    Some(hints) => field.read_leniently(name, given).map(|(value, misfit)| {
                        hints.misfits.extend(misfit);
                        value
                    }),
                    None => field.read(name, given),
                },
                (None, Some(default)) => field.read(name, RawValue::Json(default.clone())),
                (None, None) if field.required => {
                    let absence = nothing.as_ref().map_or("missing", absence);
                    let found = self.found_instead(name, &raw);
                    let message = format!("{absence}; expected {}{found}", field.expectation());
                    let error = FieldError { name: name.clone(), message };
                    let Some(hints) = &mut hints else {
                        errors.push(error);
                        continue;
                    };
                    hints.missing.push(error);
                    let Some(nothing) = nothing.and_then(unchecked) else { continue };
                    Ok(nothing)
                }
                (None, None) => continue,
            };
            match value {
                Ok(value) => drop(inputs.insert(name.clone(), value)),
                Err(wrong) => errors.extend(wrong),
            }
        }
        for (name, value) in raw {
            if has_control(&name) {
                let message = "expected a name without control characters".to_owned();
                errors.push(FieldError { name: name.escape_debug().to_string(), message });
                continue;
            }
            let Some(value) = unchecked(value) else {
                let message = "given more than once; only an input that the schema declares as a \
                               list can have several values";
                errors.push(FieldError { name, message: message.to_owned() });
                continue;
            };
            inputs.insert(name, value);
        }
        if errors.is_empty() { Ok(inputs) } else { Err(Error::invalid_inputs(errors)) }
    }

    /// Returns the part of a missing input's error that names unknown inputs of the request: the
    /// name that is most like the missing one, or the first names. Returns an empty text if the
    /// request has no unknown inputs.
    fn found_instead(&self, name: &str, raw: &RawInputs) -> String {
        let unmentioned =
            || raw.keys().map(String::as_str).filter(|other| !self.fields.contains_key(*other));
        if let Some(other) = nearest(name, unmentioned().take(RATED)) {
            return format!("; found {other:?}: did you mean {name:?}?");
        }
        let listed: Vec<String> = unmentioned().take(LISTED).map(quote).collect();
        let more = if unmentioned().nth(LISTED).is_some() { ", …" } else { "" };
        if listed.is_empty() {
            return String::new();
        }
        format!("; found instead: {}{more}", listed.join(", "))
    }

    /// Returns true if every input has its type as its only property. In such schemas of
    /// ai_integration 1 the program decides which inputs may be missing.
    #[must_use]
    pub fn names_types_only(&self) -> bool {
        let of_types = |properties: &Json| {
            properties.as_object().is_none_or(|known| known.keys().eq(["type"]))
        };
        self.source.values().all(of_types)
    }

    /// Returns one valid value for every input that has a sample, for a self-test.
    #[must_use]
    pub fn samples(&self) -> Inputs {
        let fields = self.fields.iter();
        fields.filter_map(|(name, field)| Some((name.clone(), field.sample()?))).collect()
    }
}

/// Returns the value of an input without a check, or `None` if it was given more than once.
fn unchecked(value: RawValue) -> Option<Value> {
    match value {
        RawValue::Bytes(bytes) => Some(Value::Bytes(bytes)),
        RawValue::Text(text) | RawValue::Json(Json::String(text)) => Some(Value::Text(text)),
        RawValue::Json(json) => Some(Value::Json(json)),
        RawValue::List(_) => None,
    }
}

fn has_control(name: &str) -> bool {
    name.chars().any(char::is_control)
}

/// Returns the value of `accept` for a browser's file input, if the schema lists formats.
fn accept(field: &Field) -> Option<String> {
    match field.shape() {
        Shape::Blob { media } if !field.constraints.formats.is_empty() => {
            Some(field.constraints.formats.accept(media))
        }
        _ => None,
    }
}

fn list(values: &[Json]) -> Option<Json> {
    (!values.is_empty()).then(|| values.into())
}

/// Describes the form in which an input is absent.
fn absence(value: &RawValue) -> &'static str {
    match value {
        RawValue::Bytes(_) => "missing: the file is empty",
        RawValue::Text(_) => "empty",
        RawValue::Json(_) => "missing: got null",
        RawValue::List(items) => items.first().map_or("missing", absence),
    }
}

/// Returns true if a value means "not given": JSON's `null`, the empty file that a browser sends
/// for an unused file input, and an empty form field unless the input is text. For a list, several
/// of these mean the same.
fn is_absent(value: &RawValue, field: &Field) -> bool {
    if field.items.is_some() {
        return match value {
            RawValue::Json(value) => value.is_null(),
            RawValue::List(items) => {
                let is_absent =
                    |item| !matches!(item, &RawValue::Json(_)) && is_absent_item(item, field);
                !items.is_empty() && items.iter().all(is_absent)
            }
            RawValue::Bytes(_) | RawValue::Text(_) => is_absent_item(value, field),
        };
    }
    is_absent_item(value, field)
}

fn is_absent_item(value: &RawValue, field: &Field) -> bool {
    match value {
        RawValue::Json(Json::Null) => field.input_type.shape() != Shape::Json,
        RawValue::Bytes(bytes) => {
            bytes.is_empty() && matches!(field.input_type.shape(), Shape::Blob { .. })
        }
        RawValue::Text(text) => text.is_empty() && field.shape() != (Shape::Text { format: None }),
        RawValue::Json(_) | RawValue::List(_) => false,
    }
}

#[cfg(test)]
mod tests;
