//! The events of a job as server-sent events (WHATWG HTML, section 9.2). The data of each event is a
//! JSON object. The last event is `result` or `error`.

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
use tokio::time::timeout;

use crate::http::app::App;
use crate::http::data_url::data_urls;
use crate::http::failure::{Failure, Wording};
use crate::http::large::work_on;
use crate::http::request_context::RequestContext;
use crate::http::server_sent::{KEEP_ALIVE, UNBUFFERED};

/// The number of passes over a chunk's bytes that an event takes, roughly: for base64, for JSON and
/// for the event's lines.
const PASSES: usize = 4;

/// The interval at which the position of a job in the queue is checked.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

pub(crate) fn stream(app: App, context: RequestContext, ticket: Ticket) -> Response {
    let followed = Followed { app, context, ticket, position: None, has_begun: false };
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

/// A job whose events are sent.
struct Followed {
    app: App,
    context: RequestContext,
    ticket: Ticket,
    /// The position in the queue that was sent last.
    position: Option<usize>,
    has_begun: bool,
}

impl Followed {
    /// Returns the next event; `None` if only the last event is left.
    async fn next(&mut self) -> Option<Sent> {
        while !self.has_begun {
            let latest = self.ticket.position();
            if let Some(position) = latest
                && latest != self.position
            {
                self.position = latest;
                return Some(server_sent("queued", &json!({"position": position})));
            }
            // Far back in the queue the position is checked less often, because it matters less.
            let hundreds = u32::try_from(latest.unwrap_or(0) / 100 + 1).unwrap_or(1);
            let pause = POLL_INTERVAL * hundreds.min(10);
            if let Ok(event) = timeout(pause, self.event()).await {
                self.has_begun = true;
                return convert(event?).await;
            }
        }
        convert(self.event().await?).await
    }

    /// Returns the next event that the client may see. If errors are brief, log lines are left out,
    /// because the program's output has tracebacks.
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
        last(&self.app, &self.context, self.ticket).await
    }
}

/// Converts an event of the engine; `None` if the server stops before the event is made.
async fn convert(event: Event) -> Option<Sent> {
    Some(match event {
        Event::Started => server_sent("started", &json!({})),
        Event::Chunk { content_type, data } => {
            let written = work_on(PASSES * data.len(), move || {
                let mut chunk = Map::new();
                if let Some(content_type) = content_type {
                    chunk.insert("content_type".to_owned(), content_type.into());
                }
                put(&mut chunk, &data);
                server_sent("chunk", &Value::Object(chunk))
            });
            return written.await.ok();
        }
        Event::Progress { fraction, message } => {
            server_sent("progress", &json!({"fraction": fraction, "message": message}))
        }
        Event::Log(message) => server_sent("log", &json!({"message": message})),
    })
}

/// Waits for the outcome of a job and makes the last event.
async fn last(app: &App, context: &RequestContext, ticket: Ticket) -> Sent {
    let outcome = ticket.outcome().await.map_err(Failure::from);
    let failure = match outcome.and_then(Failure::check_outcome) {
        Ok(outcome) => {
            let written = work_on(PASSES * outcome.data.len(), move || {
                server_sent("result", &Value::Object(result(outcome)))
            });
            match written.await {
                Ok(result) => return result,
                Err(error) => error.into(),
            }
        }
        Err(failure) => failure,
    };
    app.record_late(&failure, context);
    server_sent("error", &failure.problem(app.wording(), &context.id))
}

/// Makes the data of the event `result`.
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

/// Adds text as `text` and bytes as `base64` (RFC 4648).
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

fn server_sent(name: &str, data: &Value) -> Sent {
    // JSON has no line breaks outside its strings, where they are escaped.
    Sent::default().event(name).data(data.to_string())
}
