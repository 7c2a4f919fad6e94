//! Describes the addresses of the dialect in OpenAPI.

use ai_integration_contract::Task;
use ai_integration_engine::Model;
use serde_json::{Value, json};

use crate::http::conversation::description::{Operation, messages};
use crate::http::description::{Description, failed, json_response, reference};
use crate::http::dialects::openai::{chat, completions, responses};
use crate::http::models::{MODEL, MODELS};

pub(super) const CHAT: &str = "/v1/chat/completions";
pub(super) const COMPLETIONS: &str = "/v1/completions";
pub(super) const RESPONSES: &str = "/v1/responses";

/// The name of the schema of errors.
pub(super) const ERROR: &str = "OpenAiError";

/// Describes the addresses of a model's tasks.
pub(super) fn describe(model: &Model) -> Description {
    let mut all = Description::default().schema(ERROR, error());
    for (address, operation) in [(MODELS, models()), (MODEL, card())] {
        all = all.at(address, "get", operation);
    }
    let operations: [(&str, &[Task], Operation<'_>); 3] = [
        (CHAT, &chat::TASKS, chat()),
        (COMPLETIONS, &completions::TASKS, completions()),
        (RESPONSES, &responses::TASKS, responses()),
    ];
    for (address, tasks, operation) in operations {
        if tasks.iter().any(|task| model.tasks.has(*task)) {
            all = all.at(address, "post", operation.describe(&model.schema));
        }
    }
    all
}

fn chat() -> Operation<'static> {
    Operation {
        id: "openai_chat",
        summary: "Continue a conversation",
        member: ("messages", messages()),
        answer: &["id", "object", "created", "model", "choices", "usage"],
        error: ERROR,
    }
}

fn completions() -> Operation<'static> {
    Operation {
        id: "openai_completion",
        summary: "Continue a text",
        member: ("prompt", json!({"type": "string"})),
        answer: &["id", "object", "created", "model", "choices", "usage"],
        error: ERROR,
    }
}

fn responses() -> Operation<'static> {
    Operation {
        id: "openai_response",
        summary: "Continue a conversation, which is not stored",
        member: ("input", input()),
        answer: &["id", "object", "created_at", "model", "output", "status", "usage"],
        error: ERROR,
    }
}

fn input() -> Value {
    json!({"type": ["string", "array"], "minItems": 1, "items": {"type": "object"}})
}

fn models() -> Value {
    let success = json_response("The list with the one model");
    json!({
        "operationId": "openai_models",
        "summary": "List the models: the one that is served",
        "responses": {"200": success, "default": failed(&reference(ERROR))},
    })
}

fn card() -> Value {
    let name =
        json!({"name": "model", "in": "path", "required": true, "schema": {"type": "string"}});
    let success = json_response("The model is ready");
    json!({
        "operationId": "openai_model",
        "summary": "Check that this model is ready",
        "parameters": [name],
        "responses": {"200": success, "default": failed(&reference(ERROR))},
    })
}

fn error() -> Value {
    let error = json!({
        "type": "object",
        "required": ["message", "type", "param", "code"],
        "properties": {
            "message": {"type": "string"},
            "type": {"type": "string"},
            "param": {"type": ["string", "null"]},
            "code": {"type": "string"},
        },
    });
    json!({"type": "object", "required": ["error"], "properties": {"error": error}})
}
