//! Chat completions: `POST /v1/chat/completions`.

use ai_integration_contract::{Error, Task};
use axum::extract::State;
use axum::response::Response;
use serde_json::{Map, Value, json};

use crate::http::app::App;
use crate::http::conversation::delta::{Delta, End};
use crate::http::conversation::reply::Reply;
use crate::http::conversation::stream::{self, EventWriter};
use crate::http::conversation::tool_calls::{Numbered, ToolCall};
use crate::http::conversation::{self, Conversation};
use crate::http::dialects::openai::chunk::{Head, put_done, put_usage, usage, wants_usage};
use crate::http::dialects::openai::error;
use crate::http::failure::{Failure, Wording};
use crate::http::inputs::call::Call;
use crate::http::inputs::envelope::{Envelope, unfit};
use crate::http::server_sent::{put, put_json};

pub(super) const TASKS: [Task; 1] = [Task::Chat];

pub(super) async fn chat(
    State(app): State<App>,
    call: Call,
    envelope: Envelope,
) -> Result<Response, Failure> {
    let is_streamed = envelope.is_streamed()?;
    let wants_usage = wants_usage(&envelope.members)?;
    let context = call.context.clone();
    let (model, ticket) = conversation::submit(&app, call, &TASKS, envelope, read).await?;
    let head = Head::new("chatcmpl", app.model_id(&model));
    if is_streamed {
        let writer = ChatEvents::new(&head, wants_usage);
        return stream::respond(app, context, ticket, writer).await;
    }
    conversation::respond(ticket, move |reply| Ok(whole(&head, reply))).await
}

/// Reads a request.
pub(crate) fn read(mut members: Map<String, Value>) -> Result<Conversation, Error> {
    match members.remove("messages") {
        Some(Value::Array(messages)) => {
            for (index, message) in messages.iter().enumerate() {
                conversation::check(message, "messages", index)?;
            }
            Ok(Conversation { messages, options: members, place: "messages" })
        }
        _ => Err(unfit("messages", "expected a list of messages")),
    }
}

fn whole(head: &Head, reply: &Reply) -> Value {
    let has_calls = !reply.calls.is_empty();
    let content = (!has_calls || !reply.content.is_empty()).then_some(&reply.content);
    let mut message = json!({"role": "assistant", "content": content, "refusal": null});
    if !reply.reasoning.is_empty() {
        message["reasoning_content"] = reply.reasoning.as_str().into();
    }
    if has_calls {
        message["tool_calls"] = json!(reply.calls);
    }
    let choice = json!({
        "index": 0,
        "message": message,
        "logprobs": null,
        "finish_reason": reply.finish_reason(),
    });
    json!({
        "id": head.id,
        "object": "chat.completion",
        "created": head.created,
        "model": head.model,
        "choices": [choice],
        "usage": usage(reply.usage()),
    })
}

/// Writes an answer as the chunks of a chat completion.
struct ChatEvents {
    /// The beginning of each event, up to the list of choices.
    prefix: Vec<u8>,
    wants_usage: bool,
    calls: Numbered,
    end: End,
}

impl ChatEvents {
    fn new(head: &Head, wants_usage: bool) -> Self {
        let prefix = head.prefix("chat.completion.chunk");
        ChatEvents { prefix, wants_usage, calls: Numbered::default(), end: End::default() }
    }

    /// Writes an event with a change of the message.
    fn put(&self, delta: &Value, finish_reason: Option<&str>, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.prefix);
        put_json(to, &json!({"index": 0, "delta": delta, "finish_reason": finish_reason}));
        to.extend_from_slice(b"]}\n\n");
    }

    fn put_call(&mut self, mut part: ToolCall, to: &mut Vec<u8>) {
        let place = self.calls.place(&part);
        let mut call = json!({"index": place.number, "function": {"arguments": part.arguments}});
        if place.is_new {
            call["id"] = part.id().into();
            call["type"] = "function".into();
            call["function"]["name"] = part.name.unwrap_or_default().into();
        }
        self.put(&json!({"tool_calls": [call]}), None, to);
    }
}

impl EventWriter for ChatEvents {
    fn begin(&mut self, to: &mut Vec<u8>) {
        self.put(&json!({"role": "assistant", "content": ""}), None, to);
    }

    fn text(&mut self, text: &str, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.prefix);
        to.extend_from_slice(b"{\"index\":0,\"delta\":{\"content\":");
        put_json(to, &text);
        to.extend_from_slice(b"},\"finish_reason\":null}]}\n\n");
    }

    fn delta(&mut self, mut delta: Delta, to: &mut Vec<u8>) {
        self.end.add(&mut delta);
        if let Some(reasoning) = delta.reasoning {
            self.put(&json!({"reasoning_content": reasoning}), None, to);
        }
        if let Some(text) = delta.content.filter(|text| !text.is_empty()) {
            self.text(&text, to);
        }
        for part in delta.tool_calls {
            self.put_call(part, to);
        }
    }

    fn end(&mut self, to: &mut Vec<u8>) {
        let reason = self.end.finish_reason(!self.calls.is_empty());
        self.put(&json!({}), Some(reason), to);
        if self.wants_usage {
            put_usage(&self.prefix, &self.end.usage, to);
        }
        put_done(to);
    }

    fn fail(&mut self, failure: &Failure, wording: Wording, to: &mut Vec<u8>) {
        put(to, &error::body(failure, wording));
        put_done(to);
    }
}
