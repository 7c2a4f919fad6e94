//! Completions of a text: `POST /v1/completions`.

use ai_integration_contract::{Error, Task};
use axum::extract::State;
use axum::response::Response;
use serde_json::{Map, Value, json};

use crate::http::app::App;
use crate::http::conversation::delta::{Delta, End};
use crate::http::conversation::reply::Reply;
use crate::http::conversation::stream::{self, EventWriter};
use crate::http::conversation::{self, Conversation};
use crate::http::dialects::openai::chunk::{Head, put_done, put_usage, usage, wants_usage};
use crate::http::dialects::openai::error;
use crate::http::failure::{Failure, Wording};
use crate::http::inputs::call::Call;
use crate::http::inputs::envelope::{Envelope, unfit};
use crate::http::server_sent::{put, put_json};

pub(super) const TASKS: [Task; 2] = [Task::Completion, Task::Chat];

pub(super) async fn completions(
    State(app): State<App>,
    call: Call,
    envelope: Envelope,
) -> Result<Response, Failure> {
    let is_streamed = envelope.is_streamed()?;
    let wants_usage = wants_usage(&envelope.members)?;
    let context = call.context.clone();
    let (model, ticket) = conversation::submit(&app, call, &TASKS, envelope, read).await?;
    let head = Head::new("cmpl", app.model_id(&model));
    if is_streamed {
        let prefix = head.prefix("text_completion");
        let writer = CompletionEvents { prefix, wants_usage, end: End::default() };
        return stream::respond(app, context, ticket, writer).await;
    }
    conversation::respond(ticket, move |reply| Ok(whole(&head, reply))).await
}

/// Reads a prompt as the message of a user.
pub(crate) fn read(mut members: Map<String, Value>) -> Result<Conversation, Error> {
    let prompt = match members.remove("prompt") {
        Some(Value::Array(mut list)) if list.len() == 1 => list.remove(0),
        other => other.unwrap_or_default(),
    };
    if !prompt.is_string() {
        let message = "expected one text; lists of texts and of tokens are not supported";
        return Err(unfit("prompt", message));
    }
    let messages = vec![json!({"role": "user", "content": prompt})];
    Ok(Conversation { messages, options: members, place: "prompt" })
}

fn whole(head: &Head, reply: &Reply) -> Value {
    let choice = json!({
        "index": 0,
        "finish_reason": reply.finish_reason(),
        "logprobs": null,
        "text": reply.content,
    });
    json!({
        "id": head.id,
        "object": "text_completion",
        "created": head.created,
        "model": head.model,
        "choices": [choice],
        "usage": usage(reply.usage()),
    })
}

/// Writes an answer as the chunks of a completion.
struct CompletionEvents {
    /// The beginning of each event, up to the list of choices.
    prefix: Vec<u8>,
    wants_usage: bool,
    end: End,
}

impl CompletionEvents {
    fn put(&self, text: &str, finish_reason: Option<&str>, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.prefix);
        to.extend_from_slice(b"{\"index\":0,\"text\":");
        put_json(to, &text);
        to.extend_from_slice(b",\"logprobs\":null,\"finish_reason\":");
        put_json(to, &finish_reason);
        to.extend_from_slice(b"}]}\n\n");
    }
}

impl EventWriter for CompletionEvents {
    fn begin(&mut self, _to: &mut Vec<u8>) {}

    fn text(&mut self, text: &str, to: &mut Vec<u8>) {
        self.put(text, None, to);
    }

    fn delta(&mut self, mut delta: Delta, to: &mut Vec<u8>) {
        self.end.add(&mut delta);
        if let Some(text) = delta.content.filter(|text| !text.is_empty()) {
            self.text(&text, to);
        }
    }

    fn end(&mut self, to: &mut Vec<u8>) {
        self.put("", Some(self.end.finish_reason(false)), to);
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
