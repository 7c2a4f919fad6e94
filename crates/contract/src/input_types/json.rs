//! Any JSON value. The model gets it parsed.

use crate::constraints::Constraints;
use crate::input_type::InputType;
use crate::shape::Shape;
use crate::value::Value;

#[derive(Debug)]
pub(super) struct AnyJson;

impl InputType for AnyJson {
    fn name(&self) -> &'static str {
        "json"
    }

    fn shape(&self) -> Shape {
        Shape::Json
    }

    fn sample(&self, _constraints: &Constraints) -> Value {
        Value::Json(serde_json::json!({}))
    }
}
