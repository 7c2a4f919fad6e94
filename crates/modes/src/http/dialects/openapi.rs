//! The API in OpenAPI 3.1, generated from the inputs schema.

use std::collections::BTreeMap;

use ai_integration_contract::{Field, InputsSchema, Kind, Shape};
use ai_integration_engine::About;
use serde_json::{Map, Value, json};

use crate::http::failure::status;
use crate::http::inputs::call::{LONGEST, SHORTEST};

/// How inputs come, which decides what a file looks like.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Json,
    Urlencoded,
    Multipart,
}

/// What can be wrong with any request.
const ANY: &[Kind] = &[
    Kind::MalformedRequest,
    Kind::Unauthorized,
    Kind::UriTooLong,
    Kind::Misdirected,
    Kind::RateLimited,
];

/// The description of the API for a model with this schema.
pub(crate) fn describe(schema: &InputsSchema, about: &About, needs_token: bool) -> Value {
    let any_type = json!({
        "description": "The result, under the content type that the model gives it; with `Accept: \
                        text/event-stream`, everything that happens until it is there.",
        "content": {"*/*": {"schema": {}}},
    });
    let classic = json!({
        "description": "The result and what surrounds it, or a failure that the model reported.",
        "content": {
            "application/json": {"schema": {"$ref": "#/components/schemas/Classic"}},
            "text/html": {"schema": {"type": "string"}},
        },
    });
    let failed = json!({
        "description": "Why there is no result; the statuses are those of `/infer`",
        "content": {
            "application/json": {"schema": {
                "type": "object", "required": ["err"], "properties": {"err": {"type": "string"}},
            }},
            // What is refused before its address is looked at.
            "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}},
            "text/html": {"schema": {"type": "string"}},
        },
    });
    // The addresses here are there, and are asked as they are to be.
    let elsewhere = [Kind::NotFound, Kind::MethodNotAllowed];
    let by_server = |kind: &Kind| *kind != Kind::ModelFailed && !elsewhere.contains(kind);
    let every = || {
        let by_server = Kind::ALL.iter().copied().filter(by_server);
        [Kind::ModelFailed].into_iter().chain(by_server)
    };
    let infer = responses(any_type, problems(every()));
    let classic =
        responses(classic, problems(every()).into_keys().map(|status| (status, failed.clone())));
    let get = |id: &str, summary: &str, answer: Value, more: &[Kind]| {
        let kinds = ANY.iter().chain(more).copied();
        json!({"get": {
            "operationId": id,
            "summary": summary,
            "responses": responses(answer, problems(kinds)),
        }})
    };
    let waits = &[Kind::ModelUnavailable];
    let page = json!({"text/html": {"schema": {"type": "string"}}});
    let mut root = get("page", "A page with a form", content("The page", &page), waits);
    root["get"]["responses"]["503"] = content("The model is not available", &page);
    root["post"] = json!({
        "operationId": "classic",
        "summary": "Run the model, and get JSON around the result",
        "parameters": [{"$ref": "#/components/parameters/Timeout"}],
        "requestBody": body(schema),
        "responses": classic,
    });
    let mut ready = get("readyz", "Whether the model is ready", json_answer("It is"), &[]);
    ready["get"]["responses"]["503"] = json_answer("It is not; `reason` says why");
    let mut alive = get("healthz", "Whether the server is alive", json_answer("It is"), &[]);
    // Platforms ask them without a token.
    for open in [&mut ready, &mut alive] {
        open["get"]["security"] = json!([]);
    }
    let metrics = json!({"application/openmetrics-text": {"schema": {"type": "string"}}});
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": about.name.as_deref().unwrap_or("Model"),
            "version": about.version.as_deref().unwrap_or(env!("CARGO_PKG_VERSION")),
            "description": about
                .description
                .as_deref()
                .unwrap_or("A model served by ai_integration."),
        },
        "paths": {
            "/infer": {"post": {
                "operationId": "infer",
                "summary": "Run the model",
                "parameters": [{"$ref": "#/components/parameters/Timeout"}],
                "requestBody": body(schema),
                "responses": infer,
            }},
            "/": root,
            "/schema": get(
                "schema",
                "The inputs schema as the model's author wrote it",
                json_answer("The schema"),
                waits,
            ),
            "/openapi.json": get("openapi", "This document", json_answer("OpenAPI 3.1"), waits),
            "/healthz": alive,
            "/readyz": ready,
            "/metrics": get(
                "metrics",
                "What is counted, for Prometheus",
                content("OpenMetrics 1.0", &metrics),
                &[],
            ),
        },
        "security": if needs_token { json!([{"token": []}]) } else { json!([]) },
        "components": {
            "securitySchemes": {"token": {
                "type": "http",
                "scheme": "bearer",
                "description": "The server's secret, if it has one",
            }},
            "parameters": {"Timeout": {
                "name": "AI-Integration-Timeout",
                "in": "header",
                "description": "Seconds until an answer is of no use any more",
                "schema": {"type": "number", "minimum": SHORTEST, "maximum": LONGEST},
            }},
            "headers": {"RetryAfter": {
                "description": "Seconds after which the same request may go well",
                "schema": {"type": "integer", "minimum": 1},
            }},
            "schemas": {"Problem": problem_schema(), "Classic": classic_schema()},
        },
    })
}

fn problem_schema() -> Value {
    let codes: Vec<&str> = Kind::ALL.iter().map(|kind| kind.code()).collect();
    json!({
        "type": "object",
        "description": "A problem (RFC 9457).",
        "required": ["title", "status", "code", "detail"],
        "properties": {
            "type": {"type": "string"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "code": {"type": "string", "enum": codes},
            "detail": {"type": "string"},
            "request_id": {"type": "string"},
            "errors": {"type": "array", "items": {
                "type": "object",
                "required": ["name", "message"],
                "properties": {"name": {"type": "string"}, "message": {"type": "string"}},
            }},
        },
    })
}

fn classic_schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "id": {"type": "string"},
            "output": {"description": "The result, parsed where it is JSON"},
            "output_url": {
                "type": ["string", "null"],
                "description": "The result as a `data:` URL where it is a picture or another file",
            },
            "scale_applied": {"type": "number"},
            "inputs": {"type": "array", "items": {
                "type": "object",
                "properties": {"is_img": {"type": "boolean"}, "url": {"type": "string"}},
            }},
            "visualizer_data": {},
            "err": {"type": "string", "description": "What the model reported instead of a result"},
        },
    })
}

fn body(schema: &InputsSchema) -> Value {
    let encoded = |encoding| json!({"schema": inputs(schema, encoding)});
    json!({
        "required": schema.fields().values().any(|field| field.required),
        "content": {
            "multipart/form-data": encoded(Encoding::Multipart),
            "application/x-www-form-urlencoded": encoded(Encoding::Urlencoded),
            "application/json": encoded(Encoding::Json),
        },
    })
}

fn responses(answer: Value, others: impl IntoIterator<Item = (u16, Value)>) -> Value {
    let others = others.into_iter().map(|(status, other)| (status.to_string(), other));
    let all = [("200".to_owned(), answer)].into_iter().chain(others);
    all.collect::<Map<_, _>>().into()
}

/// The answers to what goes wrong in these ways, by their statuses.
fn problems(kinds: impl Iterator<Item = Kind>) -> BTreeMap<u16, Value> {
    let mut titles = BTreeMap::<u16, Vec<&str>>::new();
    for kind in kinds {
        titles.entry(status(kind).as_u16()).or_default().push(kind.title());
    }
    let problem = |(status, titles): (u16, Vec<&str>)| {
        let reference = json!({"schema": {"$ref": "#/components/schemas/Problem"}});
        let types = json!({"application/problem+json": reference});
        let mut answer = content(&titles.join(", or "), &types);
        if matches!(status, 429 | 503) {
            answer["headers"] = json!({"Retry-After": {"$ref": "#/components/headers/RetryAfter"}});
        }
        (status, answer)
    };
    titles.into_iter().map(problem).collect()
}

fn content(description: &str, types: &Value) -> Value {
    json!({"description": description, "content": types})
}

fn json_answer(description: &str) -> Value {
    content(description, &json!({"application/json": {"schema": {"type": "object"}}}))
}

/// The inputs as an object.
fn inputs(schema: &InputsSchema, encoding: Encoding) -> Value {
    let fields = schema.fields();
    let properties: Map<String, Value> =
        fields.iter().map(|(name, field)| (name.clone(), property(field, encoding))).collect();
    let required: Vec<&String> =
        fields.iter().filter(|(_, field)| field.required).map(|(name, _)| name).collect();
    // Options that the schema does not mention are passed on to the model. In a form each has one
    // value.
    let scalar = json!({"type": ["string", "number", "boolean"]});
    let others = if encoding == Encoding::Json { json!(true) } else { scalar };
    let mut object = json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": others,
    });
    if encoding == Encoding::Multipart {
        // Names stand in the head of a part, which has no control characters.
        object["propertyNames"] = json!({"pattern": "^[^\\u0000-\\u001f\\u007f]*$"});
    }
    object
}

/// One input in JSON Schema 2020-12.
fn property(field: &Field, encoding: Encoding) -> Value {
    let mut property = match field.shape() {
        Shape::Text { format: None } => json!({"type": "string"}),
        Shape::Text { format } => json!({"type": "string", "format": format}),
        Shape::Blob { media } if encoding == Encoding::Multipart => {
            json!({"type": "string", "contentMediaType": media})
        }
        Shape::Blob { media } => {
            json!({"type": "string", "contentEncoding": "base64", "contentMediaType": media})
        }
        Shape::Number { whole } => {
            json!({"type": if whole { "integer" } else { "number" }})
        }
        Shape::Flag => json!({"type": "boolean"}),
        Shape::Choice => json!({"enum": field.constraints.choices}),
        Shape::Json if encoding == Encoding::Json => json!({}),
        Shape::Json => json!({"type": "string", "contentMediaType": "application/json"}),
    };
    let mut set = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            property[key] = value;
        }
    };
    set("description", field.description.clone().map(Value::from));
    set("default", field.default.clone());
    set("minimum", field.constraints.min.map(Value::from));
    set("maximum", field.constraints.max.map(Value::from));
    set("examples", Some(&field.examples).filter(|list| !list.is_empty()).map(|list| json!(list)));
    property
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_tells_its_format() {
        let (schema, _) = InputsSchema::parse(&json!({"d": "date", "t": "datetime", "x": "text"}));
        let properties = json!({
            "d": {"type": "string", "format": "date"},
            "t": {"type": "string", "format": "date-time"},
            "x": {"type": "string"},
        });
        for encoding in [Encoding::Json, Encoding::Urlencoded, Encoding::Multipart] {
            assert_eq!(inputs(&schema, encoding)["properties"], properties);
        }
    }

    #[test]
    fn the_schema_becomes_an_api() {
        let (schema, _) = InputsSchema::parse(&json!({
            "image": {"type": "image", "description": "A picture"},
            "style": {"type": "choice", "choices": ["a", "b"], "default": "a"},
            "steps": {"type": "integer", "min": 1, "max": 9, "examples": [3]},
        }));
        insta::assert_json_snapshot!(describe(&schema, &About::default(), false));
    }
}
