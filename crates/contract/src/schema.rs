//! The inputs schema: which inputs a model takes, and how requests are held against it.
//!
//! The form is the ancestor's: a dict of name to properties, of which `type` is one. Old programs
//! must run, so whatever in a schema is not understood is a warning, never a refusal.

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

/// The most names that are held against a missing input's.
const RATED: usize = 20;
/// The most names that are listed of what came in the place of a missing input.
const LISTED: usize = 5;

/// The inputs that a model takes, in the author's order.
#[derive(Clone, Debug, Default)]
pub struct InputsSchema {
    fields: IndexMap<String, Field>,
    source: Map<String, Json>,
    mistakes: Vec<String>,
}

/// The remarks on a request whose schema is a mere hint.
#[derive(Debug, Default)]
pub struct Hints {
    /// Inputs that a request would have to give.
    pub missing: Vec<FieldError>,
    /// Values that do not fit, and are handed on nevertheless.
    pub misfits: Vec<FieldError>,
}

impl InputsSchema {
    /// Reads a schema from its JSON form, an object of name to properties; `null` is an empty
    /// schema. What is not understood is left out and told in the second part of the answer.
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
                // {"image": "image"} says the same as {"image": {"type": "image"}}.
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

    /// The author's mistakes in the schema, in words. What is merely not known here is none.
    #[must_use]
    pub fn mistakes(&self) -> &[String] {
        &self.mistakes
    }

    /// Finds a name in a schema's JSON form that no input can have: one with control characters,
    /// which flags, forms and logs cannot carry.
    #[must_use]
    pub fn unfit_name(source: &Json) -> Option<&str> {
        source.as_object()?.keys().map(String::as_str).find(|name| has_control(name))
    }

    /// The inputs by name, in order.
    #[must_use]
    pub fn fields(&self) -> &IndexMap<String, Field> {
        &self.fields
    }

    /// The inputs for a front end, in order: each with its `name`, its `shape` and whether it is
    /// `required`, and what else is known of it under the names of the schema.
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

    /// The schema as the author wrote it.
    #[must_use]
    pub fn source(&self) -> &Map<String, Json> {
        &self.source
    }

    /// Returns the schema without its bounds on the content of files, for requests whose files have not
    /// been read yet.
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

    /// Returns whether an input is a list.
    #[must_use]
    pub fn has_lists(&self) -> bool {
        self.fields.values().any(|field| field.items.is_some())
    }

    /// Puts together the values that a form has for a list `f`: its fields `f`, `f[]`, or `f[0]`, `f[1]`. A
    /// list of files becomes one of values that can each be replaced. [`resolve`] does this by itself; callers
    /// that look at the lists before that call this first.
    ///
    /// [`resolve`]: InputsSchema::resolve
    pub fn gather(&self, raw: &mut RawInputs) -> Result<(), Error> {
        if !self.has_lists() {
            return Ok(());
        }
        let errors = gathering::gather(&self.fields, raw);
        if errors.is_empty() { Ok(()) } else { Err(Error::invalid_inputs(errors)) }
    }

    /// Holds a request against the schema: reads each value as its type, fills in defaults, and
    /// passes on what the schema does not mention. All that is wrong is reported at once.
    pub fn resolve(&self, raw: RawInputs) -> Result<Inputs, Error> {
        self.hold(raw, None)
    }

    /// Holds a request against the schema as [`resolve`](Self::resolve) does, but takes it as a mere
    /// hint: values that come as JSON stay what they are for inputs of which it says only that they
    /// are text, and inputs that are missing are no error. Missing inputs, and values that do not
    /// fit, are added to `hints`, whatever else is wrong.
    pub fn resolve_as_hint(&self, raw: RawInputs, hints: &mut Hints) -> Result<Inputs, Error> {
        self.hold(raw, Some(hints))
    }

    /// Holds a request against the schema, as a rule where there are no `hints` to be filled.
    fn hold(&self, mut raw: RawInputs, mut hints: Option<&mut Hints>) -> Result<Inputs, Error> {
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
                    Some(hints) => field.read_as_it_came(name, given).map(|(value, misfit)| {
                        hints.misfits.extend(misfit);
                        value
                    }),
                    None => field.read(name, given),
                },
                (None, Some(default)) => field.read(name, RawValue::Json(default.clone())),
                (None, None) if field.required => {
                    let absence = nothing.as_ref().map_or("missing", absence);
                    let instead = self.instead(name, &raw);
                    let message = format!("{absence}; expected {}{instead}", field.expectation());
                    let error = FieldError { name: name.clone(), message };
                    let Some(hints) = &mut hints else {
                        errors.push(error);
                        continue;
                    };
                    hints.missing.push(error);
                    let Some(nothing) = nothing.and_then(as_it_came) else { continue };
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
            let Some(value) = as_it_came(value) else {
                let message = "given more than once; only an input that the schema makes a list \
                               may be";
                errors.push(FieldError { name, message: message.to_owned() });
                continue;
            };
            inputs.insert(name, value);
        }
        if errors.is_empty() { Ok(inputs) } else { Err(Error::invalid_inputs(errors)) }
    }

    /// Names what came in the place of a missing input, for the message on it: the unmentioned name
    /// that is most like its own, or else the first ones. Empty where nothing unmentioned came.
    fn instead(&self, name: &str, raw: &RawInputs) -> String {
        let unmentioned =
            || raw.keys().map(String::as_str).filter(|other| !self.fields.contains_key(*other));
        if let Some(other) = nearest(name, unmentioned().take(RATED)) {
            return format!("; {other:?} came: did you mean {name:?}?");
        }
        let listed: Vec<String> = unmentioned().take(LISTED).map(quote).collect();
        let more = if unmentioned().nth(LISTED).is_some() { ", …" } else { "" };
        if listed.is_empty() {
            return String::new();
        }
        format!("; instead came {}{more}", listed.join(", "))
    }

    /// Returns whether no input has another property than its type: the form of the ancestor's
    /// schemas, which left it to the program what may be missing.
    #[must_use]
    pub fn names_types_only(&self) -> bool {
        let of_types = |properties: &Json| {
            properties.as_object().is_none_or(|known| known.keys().eq(["type"]))
        };
        self.source.values().all(of_types)
    }

    /// One valid value for every input of which there is one, for a self-test.
    #[must_use]
    pub fn samples(&self) -> Inputs {
        let fields = self.fields.iter();
        fields.filter_map(|(name, field)| Some((name.clone(), field.sample()?))).collect()
    }
}

/// Returns the value of an input that is not held against anything; `None` for one that was given more
/// than once.
fn as_it_came(value: RawValue) -> Option<Value> {
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

/// Returns the list for the `accept` of a browser's file input, where the schema lists formats.
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

/// Says how a value is absent that stands for "not given".
fn absence(value: &RawValue) -> &'static str {
    match value {
        RawValue::Bytes(_) => "missing: the file is empty",
        RawValue::Text(_) => "empty",
        RawValue::Json(_) => "missing: null came",
        RawValue::List(items) => items.first().map_or("missing", absence),
    }
}

/// Returns whether a value stands for "not given": JSON's `null`, the empty file that a browser
/// sends for a file input left alone, and an empty form field where empty text says nothing; for a
/// list also several of these.
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
