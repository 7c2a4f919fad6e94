//! The description of the API in OpenAPI 3.1. Each dialect describes its own addresses for the model's
//! inputs schema.

use std::sync::Arc;

use ai_integration_contract::Kind;
use ai_integration_engine::{About, Model};
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};

use crate::http::app::App;
use crate::http::description::{Description, RESULT, json_response, operation, place};
use crate::http::dialect::Dialect;
use crate::http::failure::{Failure, Reason};
use crate::http::inputs::call::{LONGEST, SHORTEST};
use crate::http::page::routes as page;
use crate::http::probes;
use crate::http::routes::{Mounted, Routes};

#[derive(Clone)]
struct Document {
    app: App,
    dialects: Arc<[&'static dyn Dialect]>,
    has_page: bool,
}

/// Makes the address of the document, which describes these dialects, and the page if there is one.
pub(crate) fn mount(app: App, dialects: Vec<&'static dyn Dialect>, has_page: bool) -> Mounted {
    let others = dialects.iter().filter_map(|dialect| dialect.openapi_address());
    let routes = Routes::new().at("/openapi.json", get(document));
    let routes = others.fold(routes, |routes, address| routes.at(address, get(document)));
    routes.with_state(Document { app, dialects: dialects.into(), has_page })
}

async fn document(State(document): State<Document>) -> Result<Response, Failure> {
    let Document { app, dialects, has_page } = document;
    let model = app.loaded_model().await?;
    let about = app.about(&model);
    let mut parts: Vec<_> = dialects.iter().map(|dialect| dialect.describe(&model)).collect();
    parts.extend(has_page.then(page::describe));
    Ok(Json(describe(parts, &model, &about, app.needs_token())).into_response())
}

/// Describes the API of a model: these parts, and the addresses that every server has.
fn describe(parts: Vec<Description>, model: &Model, about: &About, needs_token: bool) -> Value {
    let not_loaded = [Reason::Failed(Kind::ModelUnavailable)];
    let itself = operation("openapi", "This document", json_response("OpenAPI 3.1"), &not_loaded);
    let mut all = Description::default();
    for part in parts {
        all.merge(part);
    }
    all.merge(Description::default().at("/openapi.json", "get", itself));
    all.merge(probes::describe());
    let mut schemas = all.schemas;
    schemas.insert("Problem".to_owned(), problem_schema());
    if let Some(result) = model.outputs.schema_at(&place(RESULT)) {
        schemas.insert(RESULT.to_owned(), result);
    }
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
        // Relative to the address of the document, because a proxy may serve the API below a path.
        "servers": [{"url": "./"}],
        "paths": all.paths,
        "security": if needs_token { json!([{"token": []}]) } else { json!([]) },
        "components": {
            "securitySchemes": {"token": {
                "type": "http",
                "scheme": "bearer",
                "description": "The server's token, if one is set",
            }},
            "parameters": {"Timeout": {
                "name": "AI-Integration-Timeout",
                "in": "header",
                "description": "Seconds within which the client needs the response",
                "schema": {"type": "number", "minimum": SHORTEST, "maximum": LONGEST},
            }},
            "headers": {"RetryAfter": {
                "description": "Seconds after which the same request may succeed",
                "schema": {"type": "integer", "minimum": 1},
            }},
            "schemas": schemas,
        },
    })
}

fn problem_schema() -> Value {
    let codes: Vec<&str> = Reason::all().map(Reason::code).collect();
    json!({
        "type": "object",
        "description": "A problem document (RFC 9457).",
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

#[cfg(test)]
mod tests {
    use ai_integration_contract::{InputsSchema, Outputs, Tasks};

    use super::*;
    use crate::http::dialects::DIALECTS;

    fn describe_all(model: &Model) -> Value {
        let mut parts: Vec<_> = DIALECTS
            .iter()
            .filter(|dialect| dialect.platform().is_none())
            .map(|dialect| dialect.describe(model))
            .collect();
        parts.push(page::describe());
        describe(parts, model, &About::default(), false)
    }

    #[test]
    fn an_api_is_described_for_a_schema() {
        let (schema, _) = InputsSchema::parse(&json!({
            "image": {"type": "image", "description": "A picture"},
            "style": {"type": "choice", "choices": ["a", "b"], "default": "a"},
            "steps": {"type": "integer", "min": 1, "max": 9, "examples": [3]},
        }));
        let tasks = Tasks::parse(&json!(["chat", "completion"])).unwrap();
        let described = describe_all(&Model { schema, tasks, ..Model::default() });
        insta::assert_snapshot!(format!("{described:#}"));
    }

    /// Returns the content of the answers of `/infer`, the result of `POST /`, and the schema of the
    /// result.
    fn described(outputs: &Value) -> [Value; 3] {
        let model = Model { outputs: Outputs::parse(outputs), ..Model::default() };
        let described = describe_all(&model);
        let schemas = &described["components"]["schemas"];
        [
            described["paths"]["/infer"]["post"]["responses"]["200"]["content"].clone(),
            schemas["Classic"]["properties"]["output"].clone(),
            schemas["Result"].clone(),
        ]
    }

    #[test]
    fn the_answers_are_described_by_the_outputs() {
        let any = json!({"schema": {}});
        let text = json!({"schema": {"type": "string"}});
        let about = "The result, parsed if it is JSON";
        let of_any = json!({"description": about});
        assert_eq!(
            described(&json!(null)),
            [json!({"*/*": any, "multipart/mixed": any}), of_any.clone(), Value::Null]
        );
        let reference = json!({"schema": {"$ref": "#/components/schemas/Result"}});
        assert_eq!(
            described(&json!({"schema": {"items": {"$ref": "#/$defs/a"}, "$defs": {"a": true}}})),
            [
                json!({"application/json": reference, "text/event-stream": text}),
                json!({"$ref": "#/components/schemas/Result", "description": about}),
                json!({
                    "items": {"$ref": "#/components/schemas/Result/$defs/a"},
                    "$defs": {"a": true},
                }),
            ]
        );
        assert_eq!(
            described(&json!({"content_type": "text/html; charset=utf-8"})),
            [
                json!({"text/html": text, "text/event-stream": text}),
                json!({"type": "string", "description": about}),
                Value::Null,
            ]
        );
        let urls = json!({"type": "array", "items": {"type": "string", "format": "uri"}});
        assert_eq!(
            described(&json!({"content_type": "image/png"})),
            [
                json!({
                    "image/png": any,
                    "text/event-stream": text,
                    "application/json": {"schema": urls},
                    "multipart/mixed": any,
                }),
                of_any,
                Value::Null,
            ]
        );
    }
}
