//! A field of the inputs schema: one input, its type and its constraints.

pub(crate) mod reading;

use serde_json::Value as Json;

use crate::constraints::Constraints;
use crate::input_type::InputType;
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
}
