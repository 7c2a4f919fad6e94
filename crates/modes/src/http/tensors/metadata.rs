//! Describes a model's inputs and its output as tensors.

use ai_integration_contract::{Field, InputsSchema, Shape};
use serde_json::Value as Json;

use crate::http::tensors::datatype::Datatype;

/// The platform of every model, where other servers name a framework.
pub(crate) const PLATFORM: &str = "ai_integration";
/// The name of the only output.
pub(crate) const OUTPUT: &str = "output";
/// The size of a dimension that may have any size.
const ANY: i64 = -1;

/// The description of an input or output.
#[derive(Debug, PartialEq, Eq, serde::Serialize)]
pub(crate) struct TensorMetadata<'a> {
    pub(crate) name: &'a str,
    pub(crate) datatype: Datatype,
    pub(crate) shape: Vec<i64>,
    /// True if a request may leave it out. The protocol cannot say this.
    #[serde(skip)]
    pub(crate) is_optional: bool,
}

/// Describes the inputs, in the order of the schema. The first dimension is the records. A list has
/// its items in a second one.
pub(crate) fn inputs(schema: &InputsSchema) -> impl Iterator<Item = TensorMetadata<'_>> {
    schema.fields().iter().map(|(name, field)| TensorMetadata {
        name,
        datatype: datatype(field),
        shape: vec![ANY; if field.items.is_some() { 2 } else { 1 }],
        is_optional: !field.required,
    })
}

/// Describes the output: the model's result, whatever its kind.
pub(crate) fn output() -> TensorMetadata<'static> {
    TensorMetadata { name: OUTPUT, datatype: Datatype::Bytes, shape: vec![ANY], is_optional: false }
}

/// Returns the datatype in which clients send an input.
pub(crate) fn datatype(field: &Field) -> Datatype {
    match field.shape() {
        Shape::Number { whole: true } => Datatype::Int64,
        Shape::Number { whole: false } => Datatype::Fp64,
        Shape::Flag => Datatype::Bool,
        Shape::Choice => of_choices(&field.constraints.choices),
        Shape::Text { .. } | Shape::Blob { .. } | Shape::Json => Datatype::Bytes,
    }
}

fn of_choices(choices: &[Json]) -> Datatype {
    if choices.iter().all(Json::is_i64) {
        Datatype::Int64
    } else if choices.iter().all(Json::is_number) {
        Datatype::Fp64
    } else {
        Datatype::Bytes
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tensor(name: &str, datatype: &str, shape: &[i64]) -> Json {
        json!({"name": name, "datatype": datatype, "shape": shape})
    }

    #[test]
    fn each_input_has_a_datatype() {
        let (schema, _) = InputsSchema::parse(&json!({
            "text": "text",
            "day": "date",
            "image": "image",
            "data": {"type": "json", "required": false},
            "count": "integer",
            "ratio": "number",
            "flag": "boolean",
            "style": {"type": "choice", "choices": ["a", "b"]},
            "size": {"type": "choice", "choices": [1, 2]},
            "scale": {"type": "choice", "choices": [1, 2.5]},
            "mixed": {"type": "choice", "choices": [1, "a"]},
            "files": {"type": "file", "list": true},
            "numbers": {"type": "number", "list": true},
        }));
        let described = json!(inputs(&schema).collect::<Vec<_>>());
        assert_eq!(
            described,
            json!([
                tensor("text", "BYTES", &[-1]),
                tensor("day", "BYTES", &[-1]),
                tensor("image", "BYTES", &[-1]),
                tensor("data", "BYTES", &[-1]),
                tensor("count", "INT64", &[-1]),
                tensor("ratio", "FP64", &[-1]),
                tensor("flag", "BOOL", &[-1]),
                tensor("style", "BYTES", &[-1]),
                tensor("size", "INT64", &[-1]),
                tensor("scale", "FP64", &[-1]),
                tensor("mixed", "BYTES", &[-1]),
                tensor("files", "BYTES", &[-1, -1]),
                tensor("numbers", "FP64", &[-1, -1]),
            ])
        );
        let optional: Vec<&str> =
            inputs(&schema).filter(|input| input.is_optional).map(|input| input.name).collect();
        assert_eq!(optional, ["data"]);
        assert_eq!(json!(output()), tensor("output", "BYTES", &[-1]));
    }
}
