//! One of the values listed under `choices`; the model receives it as it is listed.

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

    /// Reached only when the schema lists no choices, in which case nothing fits.
    fn sample(&self, _constraints: &Constraints) -> Value {
        Value::Text(String::new())
    }
}
