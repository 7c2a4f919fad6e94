//! Responses: `POST /v1/responses`. Nothing is stored, so each request has the whole conversation.

mod events;
mod object;
mod request;

use ai_integration_contract::Task;
use axum::extract::State;
use axum::response::Response;
use serde_json::Value;

use self::events::ResponseEvents;
use self::object::{Head, function_call, id, message, text_part};
use crate::http::app::App;
use crate::http::conversation;
use crate::http::conversation::reply::Reply;
use crate::http::conversation::stream;
use crate::http::failure::Failure;
use crate::http::inputs::call::Call;
use crate::http::inputs::envelope::Envelope;

pub(crate) use self::request::read;

pub(super) const TASKS: [Task; 1] = [Task::Chat];

pub(super) async fn responses(
    State(app): State<App>,
    call: Call,
    envelope: Envelope,
) -> Result<Response, Failure> {
    let is_streamed = envelope.is_streamed()?;
    let context = call.context.clone();
    let (model, ticket) = conversation::submit(&app, call, &TASKS, envelope, read).await?;
    let head = Head::new(app.model_id(&model));
    if is_streamed {
        return stream::respond(app, context, ticket, ResponseEvents::new(head)).await;
    }
    conversation::respond(ticket, move |reply| Ok(whole(&head, reply))).await
}

fn whole(head: &Head, reply: &Reply) -> Value {
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
