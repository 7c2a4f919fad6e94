//! Describes the address of the dialect in OpenAPI.

use ai_integration_contract::InputsSchema;
use ai_integration_engine::Model;
use serde_json::{Value, json};

use crate::http::description::{Description, Encoding, content, failed, inputs};
use crate::http::dialects::huggingface::content::sole_file;

pub(super) fn describe(model: &Model) -> Description {
    let error = json!({
        "type": "object",
        "required": ["error"],
        "properties": {"error": {"type": "string"}},
    });
    let success = content(
        "The result: a file as itself, JSON as the model gives it, and a text as \
         `[{\"generated_text\": …}]`, or as `{\"text\": …}` if it is that of a recording",
        &json!({"application/json": {"schema": {}}, "*/*": {"schema": {}}}),
    );
    let mut bodies = json!({"application/json": {"schema": request(&model.schema)}});
    if sole_file(&model.schema).is_some() {
        bodies["application/octet-stream"] = json!({"schema": {}});
    }
    let run = json!({
        "operationId": "huggingface",
        "summary": "Run the model as Hugging Face's inference toolkit does",
        "parameters": [{"$ref": "#/components/parameters/Timeout"}],
        "requestBody": {"required": true, "content": bodies},
        "responses": {"200": success, "default": failed(&error)},
    });
    Description::default().at("/", "post", run)
}

/// Describes a request with the inputs by name. The value of the only required input, and a list of such
/// values, are accepted too.
fn request(schema: &InputsSchema) -> Value {
    let named = inputs(schema, Encoding::Json);
    let parameters = json!({"type": "object", "properties": named["properties"]});
    json!({
        "type": "object",
        "required": ["inputs"],
        "properties": {"inputs": named, "parameters": parameters},
        "additionalProperties": false,
    })
}
