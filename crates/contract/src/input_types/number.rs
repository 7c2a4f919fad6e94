//! Numbers, with or without a fraction.

use crate::constraints::Constraints;
use crate::input_type::InputType;
use crate::shape::Shape;
use crate::value::Value;

#[derive(Debug)]
pub(super) struct Number;

impl InputType for Number {
    fn name(&self) -> &'static str {
        "number"
    }

    fn shape(&self) -> Shape {
        Shape::Number { whole: false }
    }

    fn sample(&self, constraints: &Constraints) -> Value {
        Value::Json(constraints.sample_number(false).into())
    }
}
