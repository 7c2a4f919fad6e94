//! One of the values listed under `choices`. The model gets the value as it is listed.

use crate::constraints::Constraints;
use crate::input_type::InputType;
use crate::shape::Shape;
use crate::value::Value;

#[derive(Debug)]
pub(super) struct Choice;

impl InputType for Choice {
    fn name(&self) -> &'static str {
        "choice"
    }

    fn shape(&self) -> Shape {
        Shape::Choice
    }

    /// Returns a placeholder. It is used only if the schema lists no choices, and then no value
    /// fits.
    fn sample(&self, _constraints: &Constraints) -> Value {
        Value::Text(String::new())
    }
}
