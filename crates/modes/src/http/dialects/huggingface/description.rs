//! Describes the address of the dialect in OpenAPI.

use ai_integration_contract::InputsSchema;
use ai_integration_engine::Model;
use serde_json::{Value, json};

use crate::http::description::{Description, Encoding, content, inputs};

pub(super) fn describe(model: &Model) -> Description {
    let failed = content(
        "There is no answer",
        &json!({
            "application/json": {"schema": {
                "type": "object",
                "required": ["error"],
                "properties": {"error": {"type": "string"}},
            }},
            // The response to a request that is refused before its dialect is known.
            "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}},
        }),
    );
    let success = content(
        "The result: a file as itself, JSON as the model gives it, and a text as \
         `[{\"generated_text\": …}]`, or as `{\"text\": …}` if it is that of a recording",
        &json!({"*/*": {"schema": {}}}),
    );
    let run = json!({
        "operationId": "huggingface",
        "summary": "Run the model as Hugging Face's inference toolkit does",
        "parameters": [{"$ref": "#/components/parameters/Timeout"}],
        "requestBody": {"required": true, "content": {
            "application/json": {"schema": request(&model.schema)},
            "application/octet-stream": {"schema": {}},
        }},
        "responses": {"200": success, "default": failed},
    });
    Description::default().at("/", "post", run)
}

fn request(schema: &InputsSchema) -> Value {
    json!({
        "type": "object",
        "properties": {
            "inputs": {
                "description": "The value of the only required input, a list of such values, or an \
                                object of inputs",
            },
            "parameters": inputs(schema, Encoding::Json)["properties"].clone(),
        },
    })
}
