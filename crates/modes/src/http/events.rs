//! A job as server-sent events (WHATWG HTML, section 9.2): everything that happens to it, each with
//! a JSON object as its data. The last one is `result` or `error`.

use std::convert::Infallible;
use std::time::Duration;

use ai_integration_contract::{Data, Outcome};
use ai_integration_engine::{Event, Ticket};
use axum::response::sse::{Event as Sent, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use futures_util::stream;
use serde_json::{Map, Value, json};

use super::App;
use super::answer::Failure;
use super::edge::RequestId;
use super::native::UNBUFFERED;

/// Without an event for this long a comment is sent, so that nobody on the way gives the
/// connection up.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

pub(super) fn stream(app: App, id: RequestId, ticket: Ticket) -> Response {
    let events = stream::unfold(Some((app, id, ticket)), |state| async {
        let (app, id, mut ticket) = state?;
        let (event, rest) = match ticket.event().await {
            Some(event) => (happened(event), Some((app, id, ticket))),
            None => (ended(&app, &id, ticket).await, None),
        };
        Some((Ok::<Sent, Infallible>(event), rest))
    });
    let events = Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE));
    ([UNBUFFERED], events).into_response()
}

fn happened(event: Event) -> Sent {
    match event {
        Event::Started => sent("started", &json!({})),
        Event::Chunk { content_type, data } => {
            let mut chunk = Map::new();
            if let Some(content_type) = content_type {
                chunk.insert("content_type".to_owned(), content_type.into());
            }
            put(&mut chunk, &data);
            sent("chunk", &Value::Object(chunk))
        }
        Event::Progress { fraction, message } => {
            sent("progress", &json!({"fraction": fraction, "message": message}))
        }
        Event::Log(message) => sent("log", &json!({"message": message})),
    }
}

async fn ended(app: &App, id: &RequestId, ticket: Ticket) -> Sent {
    let failure = match ticket.outcome().await {
        Ok(Outcome { success: true, content_type, data, .. }) => {
            let mut result = Map::new();
            result.insert("content_type".to_owned(), content_type.into());
            put(&mut result, &data);
            return sent("result", &Value::Object(result));
        }
        Ok(failed) => Failure::of_model(failed),
        Err(error) => error.into(),
    };
    app.note(&failure, id);
    sent("error", &failure.problem(app.wording(), id))
}

/// Text as `text`, bytes as `base64` (RFC 4648); nothing for no data.
fn put(object: &mut Map<String, Value>, data: &Data) {
    match data {
        Data::None => {}
        Data::Text(text) => {
            object.insert("text".to_owned(), text.as_str().into());
        }
        Data::Bytes(bytes) => {
            object.insert("base64".to_owned(), BASE64_STANDARD.encode(bytes).into());
        }
    }
}

fn sent(name: &str, data: &Value) -> Sent {
    // JSON has no line breaks outside its strings, where they are escaped.
    Sent::default().event(name).data(data.to_string())
}
