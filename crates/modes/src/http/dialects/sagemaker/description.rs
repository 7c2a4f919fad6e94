//! Describes the addresses of the dialect in OpenAPI.

use ai_integration_engine::Model;
use serde_json::json;

use crate::http::description::{Description, body, content, failed, json_response, operation};

pub(super) fn describe(model: &Model) -> Description {
    let failed = failed(&json!({
        "type": "object",
        "required": ["error"],
        "properties": {"error": {"type": "string"}},
    }));
    let success = content(
        "The result, under the content type that the model gives it. For records it is a line for each \
         of them, in the same order.",
        &json!({"*/*": {"schema": {}}}),
    );
    let mut bodies = body(&model.schema);
    for lines in ["application/jsonlines", "text/csv"] {
        bodies["content"][lines] = json!({"schema": {"type": "string"}});
    }
    bodies["content"]["*/*"] = json!({"schema": {}});
    let run = json!({
        "operationId": "sagemaker",
        "summary": "Run the model as Amazon SageMaker asks it",
        "parameters": [{"$ref": "#/components/parameters/Timeout"}],
        "requestBody": bodies,
        "responses": {"200": success, "default": failed},
    });
    let told = json_response("What batch transform needs to know");
    let parameters =
        operation("execution_parameters", "Get the limits of batch transform", told, &[]);
    Description::default().at("/invocations", "post", run).at(
        "/execution-parameters",
        "get",
        parameters,
    )
}
