//! One of the values listed under `choices`; the model receives it as it is listed.

use super::{Field, InputType, Shape, Value};

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
    fn sample(&self, _field: &Field) -> Value {
        Value::Text(String::new())
    }
}
