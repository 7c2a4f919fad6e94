//! Responses: `POST /v1/responses`. Nothing is stored, so each request has the whole conversation.

mod events;
mod request;

use ai_integration_contract::Task;
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use uuid::Uuid;

use self::events::ResponseWords;
use crate::http::app::App;
use crate::http::conversation;
use crate::http::conversation::reply::{End, Reply, Usage};
use crate::http::failure::Failure;
use crate::http::inputs::call::Call;
use crate::http::inputs::envelope::Envelope;
use crate::http::models::seconds_since_1970;
use crate::http::server_sent;

pub(super) const TASKS: [Task; 1] = [Task::Chat];

pub(super) use self::request::read;

pub(super) async fn responses(
    State(app): State<App>,
    call: Call,
    envelope: Envelope,
) -> Result<Response, Failure> {
    let is_streamed = conversation::is_streamed(&envelope.members)?;
    let context = call.context.clone();
    let (model, ticket) = conversation::submit(&app, call, &TASKS, envelope, read).await?;
    let head = Head::new(app.model_id(&model));
    if is_streamed {
        return server_sent::respond(app, context, ticket, ResponseWords::new(head)).await;
    }
    let reply = Reply::of(ticket.outcome().await?)?;
    Ok(Json(whole(&head, reply)).into_response())
}

/// The members that are the same from the first event of a response to its last.
struct Head {
    id: String,
    created: u64,
    model: String,
}

impl Head {
    fn new(model: String) -> Self {
        Head { id: id("resp"), created: seconds_since_1970(), model }
    }

    /// Describes the response with these items.
    fn response(&self, status: &str, output: &Value) -> Value {
        json!({
            "id": self.id,
            "object": "response",
            "created_at": self.created,
            "status": status,
            "background": false,
            "error": null,
            "incomplete_details": null,
            "instructions": null,
            "max_output_tokens": null,
            "metadata": {},
            "model": self.model,
            "output": output,
            "parallel_tool_calls": true,
            "previous_response_id": null,
            "store": false,
            "temperature": null,
            "tool_choice": "auto",
            "tools": [],
            "top_p": null,
            "truncation": "disabled",
            "usage": null,
        })
    }

    /// Describes the response at its end.
    fn ended(&self, end: &End, output: &Value) -> Value {
        let reason = match end.finish_reason.as_deref() {
            Some("length") => Some("max_output_tokens"),
            Some("content_filter") => Some("content_filter"),
            _ => None,
        };
        let status = if reason.is_some() { "incomplete" } else { "completed" };
        let mut response = self.response(status, output);
        if let Some(reason) = reason {
            response["incomplete_details"] = json!({"reason": reason});
        }
        response["usage"] = usage(&end.usage);
        response
    }
}

/// Makes the id of an object.
fn id(prefix: &str) -> String {
    format!("{prefix}_{}", Uuid::new_v4().simple())
}

fn usage(usage: &Usage) -> Value {
    json!({
        "input_tokens": usage.input,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": usage.total(),
    })
}

fn whole(head: &Head, reply: Reply) -> Value {
    let mut output = Vec::new();
    if !reply.content.is_empty() || reply.calls.is_empty() {
        output.push(message(&id("msg"), "completed", &[text_part(&reply.content)]));
    }
    for call in &reply.calls {
        let function = &call.function;
        let call = (call.id.as_str(), function.name.as_str(), function.arguments.as_str());
        output.push(function_call(&id("fc"), "completed", call));
    }
    head.ended(&reply.end, &output.into())
}

/// Describes an item that is a message.
fn message(id: &str, status: &str, content: &[Value]) -> Value {
    json!({
        "id": id,
        "type": "message",
        "status": status,
        "role": "assistant",
        "content": content,
    })
}

/// Describes the part of a message that has its text.
fn text_part(text: &str) -> Value {
    json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []})
}

/// Describes an item that is a call with this id, name and arguments.
fn function_call(id: &str, status: &str, (call_id, name, arguments): (&str, &str, &str)) -> Value {
    json!({
        "id": id,
        "type": "function_call",
        "status": status,
        "call_id": call_id,
        "name": name,
        "arguments": arguments,
    })
}
