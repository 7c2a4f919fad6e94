//! Whole numbers of up to 64 bits.

use super::{Field, InputType, Shape, Value, sample_number};

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
    fn sample(&self, field: &Field) -> Value {
        Value::Json((sample_number(field).ceil() as i64).into())
    }
}
