//! Booleans: true or false.

use crate::constraints::Constraints;
use crate::input_type::InputType;
use crate::shape::Shape;
use crate::value::Value;

#[derive(Debug)]
pub(super) struct Boolean;

impl InputType for Boolean {
    fn name(&self) -> &'static str {
        "boolean"
    }

    fn shape(&self) -> Shape {
        Shape::Flag
    }

    fn sample(&self, _constraints: &Constraints) -> Value {
        Value::Json(true.into())
    }
}
