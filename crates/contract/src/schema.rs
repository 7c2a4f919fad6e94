//! The inputs schema: which inputs a model takes, and how requests are held against it.
//!
//! The form is the ancestor's: a dict of name to properties, of which `type` is one. Old programs
//! must run, so whatever in a schema is not understood is a warning, never a refusal.

use std::fmt;

use indexmap::IndexMap;
use serde_json::{Map, Value as Json, json};

use crate::input_type::{self, InputType};
use crate::shape::label;
use crate::{Inputs, RawInputs, RawValue, Shape, Value};

/// One input of the schema.
#[derive(Clone, Debug)]
pub struct Field {
    /// The declared type, or text when the declared one is not known.
    pub input_type: &'static dyn InputType,
    /// Whether a request must give it. True unless the schema says `required: False` or gives a
    /// default.
    pub required: bool,
    /// The value for a request that does not give it. It fits the type.
    pub default: Option<Json>,
    /// What it means, for people.
    pub description: Option<String>,
    /// The only values allowed; any when empty.
    pub choices: Vec<Json>,
    /// The least number allowed.
    pub min: Option<f64>,
    /// The greatest number allowed.
    pub max: Option<f64>,
    /// The greatest length allowed, for text and files.
    pub max_bytes: Option<u64>,
    /// Sample values, for people and for the self-test.
    pub examples: Vec<Json>,
}

impl Field {
    /// The form which front ends know. A field with choices is a choice, whatever its type.
    #[must_use]
    pub fn shape(&self) -> Shape {
        if self.choices.is_empty() { self.input_type.shape() } else { Shape::Choice }
    }

    /// What fits, in words.
    #[must_use]
    pub fn expectation(&self) -> String {
        self.input_type.shape().expectation(self)
    }

    /// The choices as people write them.
    #[must_use]
    pub fn choice_labels(&self) -> Vec<String> {
        self.choices.iter().map(label).collect()
    }

    /// Reads one value, or says what was expected.
    pub fn accept(&self, raw: RawValue) -> Result<Value, String> {
        self.input_type.shape().accept(raw, self)
    }

    /// A valid value: an example, the default, a choice, or the type's own sample.
    #[must_use]
    pub fn sample(&self) -> Value {
        let named = self.examples.iter().chain(&self.default).chain(&self.choices);
        named
            .cloned()
            .find_map(|json| self.accept(RawValue::Json(json)).ok())
            .unwrap_or_else(|| self.input_type.sample(self))
    }

    fn parse(name: &str, properties: &Map<String, Json>, warnings: &mut Vec<String>) -> Self {
        let mut warn = |text: String| warnings.push(format!("input {name:?}: {text}"));
        let declared = properties.get("type").and_then(Json::as_str);
        let known = declared.and_then(input_type::find);
        if known.is_none() {
            let declared = properties.get("type").map_or("none".to_owned(), Json::to_string);
            let names: Vec<&str> = crate::INPUT_TYPES.iter().map(|known| known.name()).collect();
            warn(format!(
                "the type {declared} is not known and is served as text; known: {}",
                names.join(", ")
            ));
        }
        let mut field = Field {
            input_type: known.unwrap_or_else(input_type::fallback),
            required: true,
            default: None,
            description: None,
            choices: Vec::new(),
            min: None,
            max: None,
            max_bytes: None,
            examples: Vec::new(),
        };
        let mut default = None;
        for (property, value) in properties {
            let fits = match property.as_str() {
                "required" => value.as_bool().map(|required| field.required = required),
                "description" => {
                    value.as_str().map(|text| field.description = Some(text.to_owned()))
                }
                "min" => value.as_f64().map(|min| field.min = Some(min)),
                "max" => value.as_f64().map(|max| field.max = Some(max)),
                "max_bytes" => value.as_u64().map(|max| field.max_bytes = Some(max)),
                "choices" => value.as_array().map(|list| field.choices.clone_from(list)),
                "examples" => value.as_array().map(|list| field.examples.clone_from(list)),
                "default" => {
                    default = Some(value.clone()).filter(|value| !value.is_null());
                    Some(())
                }
                _ => Some(()),
            };
            if fits.is_none() {
                warn(format!("the property {property} is ignored: {value} is not a value for it"));
            }
        }
        if field.input_type.shape() == Shape::Choice && field.choices.is_empty() {
            warn(
                "a choice without choices accepts nothing; list them under \"choices\"".to_owned(),
            );
        }
        if let Some(default) = default {
            field.required = false;
            match field.accept(RawValue::Json(default.clone())) {
                Ok(_) => field.default = Some(default),
                Err(problem) => warn(format!("the default is ignored: {problem}")),
            }
        }
        field
    }
}

/// A request's input that does not fit.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct FieldError {
    /// The input's name.
    pub name: String,
    /// What is wrong and what was expected.
    pub message: String,
}

/// Everything that is wrong with a request's inputs, each field by name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct InvalidInputs(pub Vec<FieldError>);

impl fmt::Display for InvalidInputs {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, field) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(out, "{separator}{}: {}", field.name, field.message)?;
        }
        Ok(())
    }
}

/// The inputs that a model takes, in the author's order.
#[derive(Clone, Debug, Default)]
pub struct InputsSchema {
    fields: IndexMap<String, Field>,
    source: Map<String, Json>,
}

impl InputsSchema {
    /// Reads a schema from its JSON form, an object of name to properties; `null` is an empty
    /// schema. What is not understood is left out and told in the second part of the answer.
    #[must_use]
    pub fn parse(source: &Json) -> (Self, Vec<String>) {
        let mut warnings = Vec::new();
        let mut schema = InputsSchema::default();
        let inputs = match source {
            Json::Object(inputs) => inputs.clone(),
            Json::Null => Map::new(),
            _ => {
                warnings.push("the inputs schema is not a dict and is taken as empty".to_owned());
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
            schema.fields.insert(name.clone(), Field::parse(name, properties, &mut warnings));
        }
        schema.source = inputs;
        (schema, warnings)
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
            let known = [
                ("description", field.description.as_deref().map(Json::from)),
                ("default", field.default.clone()),
                ("choices", list(&field.choices)),
                ("min", field.min.map(Json::from)),
                ("max", field.max.map(Json::from)),
                ("max_bytes", field.max_bytes.map(Json::from)),
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

    /// Holds a request against the schema: reads each value as its type, fills in defaults, and
    /// passes on what the schema does not mention. All that is wrong is reported at once.
    pub fn resolve(&self, mut raw: RawInputs) -> Result<Inputs, InvalidInputs> {
        let mut inputs = Inputs::with_capacity(self.fields.len().max(raw.len()));
        let mut errors = Vec::new();
        for (name, field) in &self.fields {
            let given = raw.shift_remove(name).filter(|value| !is_absent(value, field));
            let value = match given.or_else(|| field.default.clone().map(RawValue::Json)) {
                Some(value) => field.accept(value),
                None if field.required => Err(format!("missing; expected {}", field.expectation())),
                None => continue,
            };
            match value {
                Ok(value) => drop(inputs.insert(name.clone(), value)),
                Err(message) => errors.push(FieldError { name: name.clone(), message }),
            }
        }
        for (name, value) in raw {
            let value = match value {
                RawValue::Bytes(bytes) => Value::Bytes(bytes),
                RawValue::Text(text) | RawValue::Json(Json::String(text)) => Value::Text(text),
                RawValue::Json(json) => Value::Json(json),
            };
            inputs.insert(name, value);
        }
        if errors.is_empty() { Ok(inputs) } else { Err(InvalidInputs(errors)) }
    }

    /// One valid value for every input, for a self-test.
    #[must_use]
    pub fn samples(&self) -> Inputs {
        self.fields.iter().map(|(name, field)| (name.clone(), field.sample())).collect()
    }
}

fn list(values: &[Json]) -> Option<Json> {
    (!values.is_empty()).then(|| values.into())
}

/// Whether a value stands for "not given": JSON's `null`, the empty file that a browser sends for
/// a file input left alone, and an empty form field where empty text says nothing.
fn is_absent(value: &RawValue, field: &Field) -> bool {
    match value {
        RawValue::Json(Json::Null) => field.input_type.shape() != Shape::Json,
        RawValue::Bytes(bytes) => {
            bytes.is_empty() && matches!(field.input_type.shape(), Shape::Blob { .. })
        }
        RawValue::Text(text) => text.is_empty() && field.shape() != Shape::Text,
        RawValue::Json(_) => false,
    }
}

#[cfg(test)]
mod tests;
