//! The dialect of Anthropic's API: `POST /v1/messages` for models with the task `chat`. Clients may
//! name any model. Failures are `{"type": "error", "error": {"type", "message"}, "request_id"}`.

mod events;
mod object;
mod request;

use ai_integration_contract::{Environment, SettingError, Task};
use ai_integration_engine::Model;
use axum::Json;
use axum::extract::State;
use axum::http::HeaderName;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::{Value, json};

use self::events::MessageEvents;
use self::object::{error, message, stop_reason, usage};
use crate::http::app::App;
use crate::http::conversation;
use crate::http::conversation::delta::fault;
use crate::http::conversation::description::{Operation, messages as messages_schema};
use crate::http::conversation::reply::Reply;
use crate::http::conversation::stream;
use crate::http::description::Description;
use crate::http::dialect::Dialect;
use crate::http::failure::{Failure, Wording};
use crate::http::inputs::call::Call;
use crate::http::inputs::envelope::Envelope;
use crate::http::request_context::RequestId;
use crate::http::routes::{Mounted, Routes};

pub(crate) use self::request::read;

const MESSAGES: &str = "/v1/messages";
/// The name of the schema of errors.
const ERROR: &str = "AnthropicError";
const TASKS: [Task; 1] = [Task::Chat];
/// The header with the id of a request, where Anthropic's clients look for it.
const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");

pub(crate) struct Anthropic;

impl Dialect for Anthropic {
    fn name(&self) -> &'static str {
        "anthropic"
    }

    fn mount(&self, _environment: &Environment, app: &App) -> Result<Mounted, SettingError> {
        Ok(Routes::new().at(MESSAGES, post(messages)).with_state(app.clone()))
    }

    fn describe(&self, model: &Model) -> Description {
        if !TASKS.iter().any(|task| model.tasks.has(*task)) {
            return Description::default();
        }
        let operation = Operation {
            id: "anthropic_message",
            summary: "Continue a conversation",
            member: ("messages", messages_schema()),
            answer: &["id", "type", "role", "model", "content", "stop_reason", "usage"],
            error: ERROR,
        };
        let text = json!({"type": "string"});
        let error = json!({"type": "object", "required": ["type", "message"]});
        let schema = json!({
            "type": "object",
            "required": ["type", "error", "request_id"],
            "properties": {"type": {"const": "error"}, "error": error, "request_id": text},
        });
        let operation = operation.describe(&model.schema);
        Description::default().at(MESSAGES, "post", operation).schema(ERROR, schema)
    }

    fn refuse(&self, failure: &Failure, wording: Wording, id: &RequestId) -> Response {
        let body = Json(error(failure, wording, id));
        (failure.reason.status_without_422(), [(REQUEST_ID, id.0.clone())], body).into_response()
    }
}

async fn messages(
    State(app): State<App>,
    call: Call,
    envelope: Envelope,
) -> Result<Response, Failure> {
    let is_streamed = envelope.is_streamed()?;
    let context = call.context.clone();
    let id = [(REQUEST_ID, context.id.0.clone())];
    let (model, ticket) = conversation::submit(&app, call, &TASKS, envelope, read).await?;
    let model = app.model_id(&model);
    let response = if is_streamed {
        let writer = MessageEvents::new(model, context.id.clone());
        stream::respond(app, context, ticket, writer).await?
    } else {
        conversation::respond(ticket, move |reply| whole(&model, reply)).await?
    };
    Ok((id, response).into_response())
}

fn whole(model: &str, reply: &Reply) -> Result<Value, Failure> {
    let mut content = Vec::new();
    if !reply.content.is_empty() || reply.calls.is_empty() {
        content.push(json!({"type": "text", "text": reply.content}));
    }
    for (index, call) in reply.calls.iter().enumerate() {
        let input = match call.function.arguments.as_str() {
            "" => json!({}),
            text => serde_json::from_str(text).unwrap_or_default(),
        };
        if !input.is_object() {
            let reason = format!("the arguments of tool_calls[{index}] are not a JSON object");
            return Err(fault(&reason));
        }
        let (id, name) = (&call.id, &call.function.name);
        content.push(json!({"type": "tool_use", "id": id, "name": name, "input": input}));
    }
    let stop_reason = stop_reason(&reply.end, !reply.calls.is_empty());
    Ok(message(model, &content, Some(stop_reason), &usage(reply.usage())))
}
