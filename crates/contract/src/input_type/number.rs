//! Numbers, whole or not.

use super::{Field, InputType, Shape, Value, json_number, sample_number};

#[derive(Debug)]
pub(super) struct Number;

impl InputType for Number {
    fn name(&self) -> &'static str {
        "number"
    }

    fn shape(&self) -> Shape {
        Shape::Number { whole: false }
    }

    fn sample(&self, field: &Field) -> Value {
        json_number(sample_number(field))
    }
}
