//! Any JSON value; the model receives it parsed.

use super::{Field, InputType, Shape, Value};

#[derive(Debug)]
pub(super) struct AnyJson;

impl InputType for AnyJson {
    fn name(&self) -> &'static str {
        "json"
    }

    fn shape(&self) -> Shape {
        Shape::Json
    }

    fn sample(&self, _field: &Field) -> Value {
        Value::Json(serde_json::json!({}))
    }
}
