//! Whole numbers of up to 64 bits.

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

    #[expect(clippy::cast_possible_truncation, reason = "a sample; the cast saturates")]
    fn sample(&self, constraints: &Constraints) -> Value {
        Value::Json((constraints.sample_number().ceil() as i64).into())
    }
}
