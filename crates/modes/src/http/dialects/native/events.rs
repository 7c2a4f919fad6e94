//! A job as server-sent events (WHATWG HTML, section 9.2): everything that happens to it, each with
//! a JSON object as its data. The last one is `result` or `error`.

use std::convert::Infallible;
use std::time::Duration;

use ai_integration_contract::{Data, Outcome};
use ai_integration_engine::{Event, Ticket};
use axum::http::{HeaderName, HeaderValue};
use axum::response::sse::{Event as Sent, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use futures_util::stream;
use serde_json::{Map, Value, json};
use tokio::time::timeout;

use crate::http::app::App;
use crate::http::data_url::data_urls;
use crate::http::failure::{Failure, Wording};
use crate::http::large::work_on;
use crate::http::request_context::RequestContext;

/// Asks proxies to pass pieces of an answer on as they come; nginx and others heed it.
pub(crate) const UNBUFFERED: (HeaderName, HeaderValue) =
    (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));

/// Without an event for this long a comment is sent, so that nobody on the way gives the
/// connection up.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// The passes over a piece's bytes until it is an event: base64, JSON, and the lines of the event.
const PASSES: usize = 4;

/// How often a job that waits looks for its place in the queue.
const LOOK: Duration = Duration::from_millis(500);

pub(crate) fn stream(app: App, context: RequestContext, ticket: Ticket) -> Response {
    let followed = Followed { app, context, ticket, place: None, has_begun: false };
    let events = stream::unfold(Some(followed), |followed| async {
        let mut followed = followed?;
        let (event, rest) = match followed.next().await {
            Some(event) => (event, Some(followed)),
            None => (followed.end().await, None),
        };
        Some((Ok::<Sent, Infallible>(event), rest))
    });
    let events = Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE));
    ([UNBUFFERED], events).into_response()
}

/// A job on its way, and what its requester has been told.
struct Followed {
    app: App,
    context: RequestContext,
    ticket: Ticket,
    /// Its place in the queue.
    place: Option<usize>,
    has_begun: bool,
}

impl Followed {
    /// What happens next; `None` when nothing more does before the end.
    async fn next(&mut self) -> Option<Sent> {
        while !self.has_begun {
            let place = self.ticket.position();
            if let Some(position) = place
                && place != self.place
            {
                self.place = place;
                return Some(sent("queued", &json!({"position": position})));
            }
            // Further back it changes no less often, but matters less.
            let patience = LOOK * u32::try_from(place.unwrap_or(0) / 100 + 1).unwrap_or(1).min(10);
            if let Ok(event) = timeout(patience, self.event()).await {
                self.has_begun = true;
                return happened(event?).await;
            }
        }
        happened(self.event().await?).await
    }

    /// The next event that the requester may hear of: where errors are brief the program's output,
    /// which has tracebacks in it, is the operator's alone.
    async fn event(&mut self) -> Option<Event> {
        let is_brief = self.app.wording() == Wording::Brief;
        loop {
            let event = self.ticket.event().await?;
            if !(is_brief && matches!(event, Event::Log(_))) {
                return Some(event);
            }
        }
    }

    async fn end(self) -> Sent {
        ended(&self.app, &self.context, self.ticket).await
    }
}

/// The event of what happened; `None` when the server stops before it is written.
async fn happened(event: Event) -> Option<Sent> {
    Some(match event {
        Event::Started => sent("started", &json!({})),
        Event::Chunk { content_type, data } => {
            let written = work_on(PASSES * data.len(), move || {
                let mut chunk = Map::new();
                if let Some(content_type) = content_type {
                    chunk.insert("content_type".to_owned(), content_type.into());
                }
                put(&mut chunk, &data);
                sent("chunk", &Value::Object(chunk))
            });
            return written.await.ok();
        }
        Event::Progress { fraction, message } => {
            sent("progress", &json!({"fraction": fraction, "message": message}))
        }
        Event::Log(message) => sent("log", &json!({"message": message})),
    })
}

async fn ended(app: &App, context: &RequestContext, ticket: Ticket) -> Sent {
    let outcome = ticket.outcome().await.map_err(Failure::from);
    let failure = match outcome.and_then(Failure::check_outcome) {
        Ok(outcome) => {
            let written = work_on(PASSES * outcome.data.len(), move || {
                sent("result", &Value::Object(result(outcome)))
            });
            match written.await {
                Ok(result) => return result,
                Err(error) => error.into(),
            }
        }
        Err(failure) => failure,
    };
    app.record_late(&failure, context);
    sent("error", &failure.problem(app.wording(), &context.id))
}

/// The data of the event with a result.
fn result(outcome: Outcome) -> Map<String, Value> {
    let media = outcome.media_type();
    let mut result = Map::new();
    result.insert("content_type".to_owned(), outcome.content_type.into());
    if let Data::List(list) = outcome.data {
        result.insert("data".to_owned(), data_urls(&media, &list).into());
    } else {
        put(&mut result, &outcome.data);
    }
    result
}

/// Text as `text`, bytes as `base64` (RFC 4648); nothing for no data.
fn put(object: &mut Map<String, Value>, data: &Data) {
    match data {
        Data::None | Data::List(_) => {}
        Data::Text(text) | Data::Json(text) => {
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
