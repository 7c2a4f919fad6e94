//! Integers with up to 4,300 digits, the limit of Python.

use crate::constraints::Constraints;
use crate::input_type::InputType;
use crate::shape::Shape;
use crate::value::Value;

#[derive(Debug)]
pub(super) struct Integer;

impl InputType for Integer {
    fn name(&self) -> &'static str {
        "integer"
    }

    fn shape(&self) -> Shape {
        Shape::Number { whole: true }
    }

    fn sample(&self, constraints: &Constraints) -> Value {
        Value::Json(constraints.sample_number(true).into())
    }
}
