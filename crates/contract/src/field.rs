//! A field of the inputs schema: one input with its type and constraints.

mod form;
mod formats;
pub(crate) mod reading;

use serde_json::Value as Json;

use crate::constraints::Constraints;
use crate::error::{FieldError, MAX_NAMED};
use crate::input_type::InputType;
use crate::item_count::ItemCount;
use crate::raw::RawValue;
use crate::shape::Shape;
use crate::value::Value;

/// The maximum number of items in a sample of a list.
const SAMPLED: u64 = 1000;

/// A field of the schema: one input.
#[derive(Clone, Debug)]
pub struct Field {
    /// The declared type, or the fallback if the declared type is unknown.
    pub input_type: &'static dyn InputType,
    /// True if a request must give the input: the schema has neither `required: False` nor a
    /// default for it.
    pub required: bool,
    /// The bounds on the number of items, if the input is a list. The other members describe one
    /// item, except the default and the examples, which are lists.
    pub items: Option<ItemCount>,
    /// The value if a request does not give the input. It fits the type.
    pub default: Option<Json>,
    /// The description for people.
    pub description: Option<String>,
    /// The media type in which the web page should record sounds; `None` if any is allowed.
    pub recording: Option<&'static str>,
    /// The constraints on the values of the type.
    pub constraints: Constraints,
    /// Sample values, for people and for the self-test.
    pub examples: Vec<Json>,
}

impl Field {
    /// Returns the shape for front ends. A field with choices is a choice, whatever its type.
    #[must_use]
    pub fn shape(&self) -> Shape {
        if self.has_choices() { Shape::Choice } else { self.input_type.shape() }
    }

    /// Describes the expected value in words.
    #[must_use]
    pub fn expectation(&self) -> String {
        match &self.items {
            Some(count) => format!("{count}, each {}", self.item_expectation()),
            None => self.item_expectation(),
        }
    }

    fn item_expectation(&self) -> String {
        if self.has_choices() {
            return format!("one of {}", self.constraints.choice_labels().join(", "));
        }
        self.input_type.expectation(&self.constraints)
    }

    /// Reads the input's value. The error describes the expected value.
    pub fn accept(&self, raw: RawValue) -> Result<Value, String> {
        self.read("", raw).map_err(|errors| {
            let described = errors.into_iter().map(|FieldError { name: place, message }| {
                if place.is_empty() { message } else { format!("{place}: {message}") }
            });
            described.collect::<Vec<_>>().join("; ")
        })
    }

    /// Reads the value of the input of this name. An error describes the expected value. The errors
    /// of a list name the place of each wrong item, such as `name[3]`.
    pub(crate) fn read(&self, name: &str, raw: RawValue) -> Result<Value, Vec<FieldError>> {
        let error = |message| FieldError { name: name.to_owned(), message };
        let Some(count) = &self.items else {
            return self.read_item(raw).map_err(|message| vec![error(message)]);
        };
        let items = self.items_of(count, raw).map_err(|message| vec![error(message)])?;
        let mut values = Vec::with_capacity(items.len());
        let mut errors = Vec::new();
        for (index, item) in items.into_iter().enumerate() {
            match self.read_item(item) {
                Ok(value) => values.push(value),
                Err(message) if errors.len() < MAX_NAMED => {
                    errors.push(FieldError { name: format!("{name}[{index}]"), message });
                }
                Err(_) => {
                    errors.push(error("further items do not fit either".to_owned()));
                    break;
                }
            }
        }
        if errors.is_empty() { Ok(values.into_iter().collect()) } else { Err(errors) }
    }

    /// Returns the items of a value that must be a list of `count` items.
    pub(crate) fn items_of(
        &self,
        count: &ItemCount,
        raw: RawValue,
    ) -> Result<Vec<RawValue>, String> {
        let items = match raw {
            RawValue::List(items) => items,
            RawValue::Json(Json::Array(items)) => items.into_iter().map(RawValue::Json).collect(),
            single => {
                let (expected, given) = (self.expectation(), single.describe());
                return Err(format!(
                    "expected {expected}, got {given}; put it in brackets: a list of one is [ … ]"
                ));
            }
        };
        if count.has(items.len()) {
            Ok(items)
        } else {
            Err(format!("expected {count}, got {}", items.len()))
        }
    }

    /// Reads one value, which is not a list.
    pub(crate) fn read_item(&self, raw: RawValue) -> Result<Value, String> {
        if matches!(raw, RawValue::List(_)) {
            return Err("given more than once; this input takes one value".to_owned());
        }
        // The expectation is put into words only for an error, because most values fit.
        let accepted = self.input_type.accept(raw, &self.constraints);
        accepted.map_err(|refusal| refusal.message(|| self.item_expectation()))
    }

    /// Reads the input's value as [`read`](Self::read) does, but keeps more values for the type
    /// text. A number or a boolean in JSON stays unchanged. If the field has no constraints and is
    /// not a list, other JSON values and text with a NUL character stay unchanged too. The second
    /// part of the result is the error for such a value.
    pub(crate) fn read_leniently(
        &self,
        name: &str,
        raw: RawValue,
    ) -> Result<(Value, Option<FieldError>), Vec<FieldError>> {
        let is_text = self.shape() == Shape::Text { format: None };
        // If an author declares more than the type, the program relies on it.
        let is_bare = is_text && self.items.is_none() && self.constraints == Constraints::default();
        let misfit = |given: &str| {
            let message = format!("expected {}, got {given}", self.expectation());
            Some(FieldError { name: name.to_owned(), message })
        };
        Ok(match raw {
            RawValue::Json(json @ (Json::Number(_) | Json::Bool(_))) if is_text => {
                self.read(name, RawValue::Json(json.clone()))?;
                (Value::Json(json), None)
            }
            RawValue::Json(json @ (Json::Array(_) | Json::Object(_))) if is_bare => {
                let given = if json.is_array() { "a list" } else { "an object" };
                (Value::Json(json), misfit(given))
            }
            RawValue::Text(text) | RawValue::Json(Json::String(text))
                if is_bare && text.contains('\0') =>
            {
                (Value::Text(text), misfit("text with a NUL character"))
            }
            raw => (self.read(name, raw)?, None),
        })
    }

    /// Returns a valid value: an example, the default, a choice, or the type's own sample. Returns
    /// `None` if the type has no sample in a listed format.
    #[must_use]
    pub fn sample(&self) -> Option<Value> {
        let named = self.examples.iter().chain(&self.default).cloned();
        let mut named = named.filter_map(|json| self.accept(RawValue::Json(json)).ok());
        let Some(count) = &self.items else {
            return named.next().or_else(|| self.sample_item());
        };
        named.next().or_else(|| {
            let items = count.min.max(1).min(count.max.unwrap_or(SAMPLED)).min(SAMPLED);
            (0..items).map(|_| self.sample_item()).collect()
        })
    }

    fn sample_item(&self) -> Option<Value> {
        let mut choices = self.constraints.choices.iter().cloned();
        choices
            .find_map(|choice| self.read_item(RawValue::Json(choice)).ok())
            .or_else(|| Some(self.input_type.sample(&self.constraints)))
            .filter(|sample| {
                sample.as_bytes().is_none_or(|file| self.constraints.formats.are_shown_by(file))
            })
    }

    fn has_choices(&self) -> bool {
        !self.constraints.choices.is_empty()
    }
}
