//! A field of the inputs schema: one input, its type and its constraints.

use serde_json::{Map, Number, Value as Json};

use crate::constraints::Constraints;
use crate::input_type::InputType;
use crate::input_types;
use crate::number;
use crate::raw::RawValue;
use crate::shape::Shape;
use crate::value::Value;

/// One input of the schema.
#[derive(Clone, Debug)]
pub struct Field {
    /// The declared type, or text when the declared one is not known.
    pub input_type: &'static dyn InputType,
    /// True where a request must give it: unless the schema says `required: False` or gives a
    /// default.
    pub required: bool,
    /// The value for a request that does not give it. It fits the type.
    pub default: Option<Json>,
    /// The input's meaning, for people.
    pub description: Option<String>,
    /// The bounds and choices that narrow the values of the type.
    pub constraints: Constraints,
    /// Sample values, for people and for the self-test.
    pub examples: Vec<Json>,
}

impl Field {
    /// Returns the form which front ends know. A field with choices is a choice, whatever its type.
    #[must_use]
    pub fn shape(&self) -> Shape {
        if self.has_choices() { Shape::Choice } else { self.input_type.shape() }
    }

    /// Describes what fits in words.
    #[must_use]
    pub fn expectation(&self) -> String {
        if self.has_choices() {
            return format!("one of {}", self.constraints.choice_labels().join(", "));
        }
        self.input_type.expectation(&self.constraints)
    }

    /// Reads one value, or says what was expected.
    pub fn accept(&self, raw: RawValue) -> Result<Value, String> {
        // Put into words only when it is refused: most values are not.
        let accepted = self.input_type.accept(raw, &self.constraints);
        accepted.map_err(|refusal| refusal.message(|| self.expectation()))
    }

    /// A valid value: an example, the default, a choice, or the type's own sample.
    #[must_use]
    pub fn sample(&self) -> Value {
        let named = self.examples.iter().chain(&self.default).chain(&self.constraints.choices);
        named
            .cloned()
            .find_map(|json| self.accept(RawValue::Json(json)).ok())
            .unwrap_or_else(|| self.input_type.sample(&self.constraints))
    }

    fn has_choices(&self) -> bool {
        !self.constraints.choices.is_empty()
    }

    pub(crate) fn parse(
        name: &str,
        properties: &Map<String, Json>,
        warnings: &mut Vec<String>,
    ) -> Self {
        let mut warn = |text: String| warnings.push(format!("input {name:?}: {text}"));
        let declared = properties.get("type").and_then(Json::as_str);
        let known = declared.and_then(input_types::find);
        if known.is_none() {
            let declared = properties.get("type").map_or("none".to_owned(), Json::to_string);
            let names: Vec<&str> =
                input_types::INPUT_TYPES.iter().map(|known| known.name()).collect();
            warn(format!(
                "the type {declared} is not known and is served as text; known: {}",
                names.join(", ")
            ));
        }
        let mut field = Field {
            input_type: known.unwrap_or_else(input_types::fallback),
            required: true,
            default: None,
            description: None,
            constraints: Constraints::default(),
            examples: Vec::new(),
        };
        let constraints = &mut field.constraints;
        let mut default = None;
        for (property, value) in properties {
            let fits = match property.as_str() {
                "required" => value.as_bool().map(|required| field.required = required),
                "description" => {
                    value.as_str().map(|text| field.description = Some(text.to_owned()))
                }
                "min" => bound(value).map(|min| constraints.min = Some(min)),
                "max" => bound(value).map(|max| constraints.max = Some(max)),
                "max_bytes" => value.as_u64().map(|max| constraints.max_bytes = Some(max)),
                "choices" => value.as_array().map(|list| constraints.choices.clone_from(list)),
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
        if field.input_type.shape() == Shape::Choice && !field.has_choices() {
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

/// Reads `min` or `max`. People read 1 where the author wrote 1.0.
fn bound(value: &Json) -> Option<Number> {
    let bound = value.as_number()?;
    if number::is_integer(bound) {
        return Some(bound.clone());
    }
    number::parse(&bound.as_f64()?.to_string()).ok()
}
