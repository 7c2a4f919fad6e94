//! Yes or no.

use super::{Field, InputType, Shape, Value};

#[derive(Debug)]
pub(super) struct Boolean;

impl InputType for Boolean {
    fn name(&self) -> &'static str {
        "boolean"
    }

    fn shape(&self) -> Shape {
        Shape::Flag
    }

    fn sample(&self, _field: &Field) -> Value {
        Value::Json(true.into())
    }
}
