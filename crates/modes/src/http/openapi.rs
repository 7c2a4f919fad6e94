//! The API in OpenAPI 3.1, generated from the inputs schema.

use ai_integration_contract::{Field, InputsSchema, Kind, Shape};
use serde_json::{Map, Value, json};

use super::answer::{MODEL_FAILED, status};

/// The description of the native dialect for a model with this schema.
pub(super) fn describe(schema: &InputsSchema) -> Value {
    let result = json!({
        "description": "The result, under the content type that the model gives it.",
        "content": {"*/*": {"schema": {}}},
    });
    let mut responses = Map::from_iter([("200".to_owned(), result)]);
    for (code, text) in failures() {
        responses.insert(code.to_string(), problem(&text));
    }
    let form = json!({"schema": inputs(schema, true)});
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Model",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "A model served by ai_integration.",
        },
        "paths": {
            "/infer": {"post": {
                "operationId": "infer",
                "summary": "Run the model",
                "requestBody": {
                    "required": schema.fields().values().any(|field| field.required),
                    "content": {
                        "multipart/form-data": form,
                        "application/x-www-form-urlencoded": {"schema": inputs(schema, false)},
                        "application/json": {"schema": inputs(schema, false)},
                    },
                },
                "responses": responses,
            }},
            "/schema": {"get": {
                "operationId": "schema",
                "summary": "The inputs schema as the model's author wrote it",
                "responses": {
                    "200": json_answer("The schema"),
                    "503": problem("the model is not available"),
                },
            }},
            "/healthz": {"get": {
                "operationId": "healthz",
                "summary": "Whether the server is alive",
                "responses": {"200": json_answer("It is")},
            }},
            "/metrics": {"get": {
                "operationId": "metrics",
                "summary": "What is counted, for Prometheus",
                "responses": {"200": {
                    "description": "OpenMetrics 1.0",
                    "content": {"application/openmetrics-text": {"schema": {"type": "string"}}},
                }},
            }},
            "/readyz": {"get": {
                "operationId": "readyz",
                "summary": "Whether the model is ready",
                "responses": {
                    "200": json_answer("It is"),
                    "503": json_answer("It is not; `reason` says why"),
                },
            }},
        },
        "security": [{}, {"token": []}],
        "components": {"securitySchemes": {
            "token": {"type": "http", "scheme": "bearer"},
        }, "schemas": {"Problem": {
            "type": "object",
            "description": "A problem (RFC 9457).",
            "required": ["title", "status", "code", "detail"],
            "properties": {
                "type": {"type": "string"},
                "title": {"type": "string"},
                "status": {"type": "integer"},
                "code": {
                    "type": "string",
                    "enum": Kind::ALL
                        .iter()
                        .map(|kind| kind.code())
                        .chain([MODEL_FAILED])
                        .collect::<Vec<_>>(),
                },
                "detail": {"type": "string"},
                "request_id": {"type": "string"},
                "errors": {"type": "array", "items": {
                    "type": "object",
                    "required": ["name", "message"],
                    "properties": {
                        "name": {"type": "string"},
                        "message": {"type": "string"},
                    },
                }},
            },
        }}},
    })
}

/// The statuses of failures, each with all that it may mean.
fn failures() -> std::collections::BTreeMap<u16, String> {
    let mut failures = std::collections::BTreeMap::<u16, String>::new();
    failures.insert(500, "the model reported a failure".to_owned());
    for kind in Kind::ALL {
        let text = failures.entry(status(*kind).as_u16()).or_default();
        let separator = if text.is_empty() { "" } else { ", or " };
        text.push_str(separator);
        text.push_str(kind.title());
    }
    failures
}

fn problem(description: &str) -> Value {
    json!({
        "description": description,
        "content": {
            "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}},
        },
    })
}

fn json_answer(description: &str) -> Value {
    json!({
        "description": description,
        "content": {"application/json": {"schema": {"type": "object"}}},
    })
}

/// The inputs as an object; files are binary in a multipart form and base64 elsewhere.
fn inputs(schema: &InputsSchema, binary: bool) -> Value {
    let fields = schema.fields();
    let properties: Map<String, Value> =
        fields.iter().map(|(name, field)| (name.clone(), property(field, binary))).collect();
    let required: Vec<&String> =
        fields.iter().filter(|(_, field)| field.required).map(|(name, _)| name).collect();
    // Options that the schema does not mention are passed on to the model.
    json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": true,
    })
}

/// One input in JSON Schema 2020-12.
fn property(field: &Field, binary: bool) -> Value {
    let mut property = match field.shape() {
        Shape::Text => json!({"type": "string"}),
        Shape::Blob { media } if binary => {
            json!({"type": "string", "contentMediaType": media})
        }
        Shape::Blob { media } => {
            json!({"type": "string", "contentEncoding": "base64", "contentMediaType": media})
        }
        Shape::Number { whole } => {
            json!({"type": if whole { "integer" } else { "number" }})
        }
        Shape::Flag => json!({"type": "boolean"}),
        Shape::Choice => json!({"enum": field.choices}),
        Shape::Json => json!({}),
    };
    let mut set = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            property[key] = value;
        }
    };
    set("description", field.description.clone().map(Value::from));
    set("default", field.default.clone());
    set("minimum", field.min.map(Value::from));
    set("maximum", field.max.map(Value::from));
    set("examples", Some(&field.examples).filter(|list| !list.is_empty()).map(|list| json!(list)));
    property
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_becomes_an_api() {
        let (schema, _) = InputsSchema::parse(&json!({
            "image": {"type": "image", "description": "A picture"},
            "style": {"type": "choice", "choices": ["a", "b"], "default": "a"},
            "steps": {"type": "integer", "min": 1, "max": 9, "examples": [3]},
        }));
        insta::assert_json_snapshot!(describe(&schema));
    }
}
