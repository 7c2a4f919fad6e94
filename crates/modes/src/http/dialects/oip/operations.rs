//! Describes the addresses of the dialect in OpenAPI.

use ai_integration_contract::json::MAX_VALUES;
use serde_json::{Value, json};

use crate::http::description::{self, Description, content, failed};
use crate::http::inputs::request::MAX_FIELDS;
use crate::http::tensors::datatype::Datatype;
use crate::http::tensors::metadata::OUTPUT;

/// An address with a GET for which the description needs no more: its operation's id and summary.
const GETS: [(&str, &str, &str); 8] = [
    (
        "/v2",
        "oip_server",
        "Get the server's name, version and extensions (Open Inference Protocol)",
    ),
    ("/v2/health/live", "oip_live", "Check that the server is alive"),
    ("/v2/health/ready", "oip_ready", "Check that the model is ready"),
    ("/v2/models", "oip_models", "List the models: the one that is served"),
    ("/v2/models/stats", "oip_all_statistics", "Count the requests to all models"),
    ("/v2/repository/index", "oip_index", "List the models with their states"),
    ("/v2/repository/models/{model}/load", "oip_load", "Check that the model is loaded"),
    ("/v2/repository/models/{model}/unload", "oip_unload", "Refuse to unload the model"),
];
/// The ends of the addresses of the model, each with and without the version.
const OF_MODEL: [(&str, &str, &str); 5] = [
    ("", "oip_model", "Describe the model's inputs and its output as tensors"),
    ("/ready", "oip_model_ready", "Check that this model is ready"),
    ("/infer", "oip_infer", "Run the model on tensors"),
    ("/config", "oip_config", "Get the model's configuration in the form of Triton"),
    ("/stats", "oip_statistics", "Count the requests to the model"),
];

pub(super) fn describe() -> Description {
    let mut all = Description::default();
    for (address, id, summary) in GETS {
        let method = if address.starts_with("/v2/repository") { "post" } else { "get" };
        let mut operation = operation(address, id, summary);
        if address.starts_with("/v2/health") {
            // Platforms probe these without a token.
            operation["security"] = json!([]);
        }
        all = all.at(address, method, operation);
    }
    for (end, id, summary) in OF_MODEL {
        for (version, of_version) in [("", ""), ("/versions/{version}", "_of_version")] {
            let address = format!("/v2/models/{{model}}{version}{end}");
            let mut operation = operation(&address, &format!("{id}{of_version}"), summary);
            let method = if end == "/infer" { "post" } else { "get" };
            if end == "/infer" {
                with_inference(&mut operation);
            }
            all = all.at(&address, method, operation);
        }
    }
    all.schema("InferRequest", infer_request())
        .schema("InferResponse", infer_response())
        .schema("InferenceError", error())
}

fn operation(address: &str, id: &str, summary: &str) -> Value {
    let text = json!({"type": "string"});
    let parameter =
        |name: &str| json!({"name": name, "in": "path", "required": true, "schema": text});
    let names = ["model", "version"];
    let named = names.iter().filter(|name| address.contains(&format!("{{{name}}}")));
    let success = content("The answer", &of_json(&json!({})));
    json!({
        "operationId": id,
        "summary": summary,
        "parameters": named.map(|name| parameter(name)).collect::<Vec<_>>(),
        "responses": {"200": success, "default": failed(&description::reference("InferenceError"))},
    })
}

fn with_inference(operation: &mut Value) {
    if let Some(parameters) = operation["parameters"].as_array_mut() {
        parameters.push(json!({"$ref": "#/components/parameters/Timeout"}));
    }
    operation["description"] = "Binary data may follow the JSON; the header \
        Inference-Header-Content-Length then has the length of the JSON in bytes. The datatype and \
        the shape of a tensor must fit its data and the model's input."
        .into();
    let json = json!({"application/json": reference("InferRequest")});
    operation["requestBody"] = json!({"required": true, "content": json});
    operation["responses"]["200"] = content(
        "The result as the only output. With binary data the JSON comes first, and the header \
         Inference-Header-Content-Length has its length.",
        &json!({"application/json": reference("InferResponse"), "application/octet-stream": {}}),
    );
}

fn of_json(schema: &Value) -> Value {
    json!({"application/json": {"schema": schema}})
}

fn reference(name: &str) -> Value {
    json!({"schema": description::reference(name)})
}

fn error() -> Value {
    json!({"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}})
}

fn infer_request() -> Value {
    let scalar = json!({"type": ["string", "number", "boolean"]});
    let parameters = json!({"type": "object", "additionalProperties": scalar});
    let size = json!({"type": "integer", "minimum": 1, "maximum": MAX_VALUES});
    let tensor = json!({
        "type": "object",
        "required": ["name", "shape", "datatype", "data"],
        "properties": {
            "name": {"type": "string"},
            "shape": {"type": "array", "items": size},
            "datatype": {"type": "string", "enum": Datatype::ALL.map(Datatype::name)},
            "parameters": parameters,
            "data": {
                "type": "array",
                "description": "The elements in row-major order, flat or nested; it is left out if \
                                binary data follows",
            },
        },
    });
    let output = json!({
        "type": "object",
        "required": ["name"],
        "properties": {"name": {"const": OUTPUT}, "parameters": parameters},
    });
    json!({
        "type": "object",
        "required": ["inputs"],
        "properties": {
            "id": {"type": "string"},
            "parameters": parameters,
            "inputs": {"type": "array", "maxItems": MAX_FIELDS, "items": tensor},
            "outputs": {"type": "array", "items": output},
        },
    })
}

fn infer_response() -> Value {
    json!({
        "type": "object",
        "required": ["model_name", "model_version", "outputs"],
        "properties": {
            "model_name": {"type": "string"},
            "model_version": {"type": "string"},
            "id": {"type": "string"},
            "outputs": {"type": "array", "items": {
                "type": "object",
                "required": ["name", "datatype", "shape", "parameters"],
                "properties": {
                    "name": {"const": OUTPUT},
                    "datatype": {"const": Datatype::Bytes.name()},
                    "shape": {"type": "array", "items": {"type": "integer"}},
                    "parameters": {"type": "object", "properties": {
                        "content_type": {"type": "string"},
                        "encoding": {"const": "base64"},
                        "binary_data_size": {"type": "integer"},
                    }},
                    "data": {"type": "array", "items": {"type": "string"}},
                },
            }},
        },
    })
}
