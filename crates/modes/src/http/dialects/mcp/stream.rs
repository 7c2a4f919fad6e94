//! The response to a request: one JSON text, or server-sent events if there is something to send before
//! the result.

use std::convert::Infallible;
use std::pin::Pin;

use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde_json::Value as Json;
use tokio::sync::mpsc;
use tokio::time::sleep;

use crate::http::server_sent::{KEEP_ALIVE, UNBUFFERED};
use crate::mcp::message::{RpcError, response};

pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// The result of a request, or its error; `None` if the client has cancelled it.
pub(super) type Answered = Option<Result<String, RpcError>>;

/// The work on a request.
pub(super) type Work = Pin<Box<dyn Future<Output = Answered> + Send>>;

/// A request that is being answered.
pub(super) struct Answering {
    pub(super) id: Json,
    pub(super) work: Work,
    /// The notifications before the answer; `None` if the client takes no events.
    pub(super) notifications: Option<mpsc::Receiver<String>>,
    /// The answer, if it came before the client got all notifications.
    pub(super) answered: Option<Answered>,
}

/// A message that is sent while a request is being answered.
enum Next {
    Notification(String),
    Answer(Answered),
}

impl Answering {
    /// Makes the response. `refuse` makes that of an error, if no event was sent before it.
    pub(super) async fn respond(
        mut self,
        refuse: impl FnOnce(&Json, &RpcError) -> Response,
    ) -> Response {
        let next = tokio::select! {
            next = self.next() => next,
            () = sleep(KEEP_ALIVE), if self.notifications.is_some() => return self.events(None),
        };
        match next {
            Next::Notification(first) => self.events(Some(first)),
            Next::Answer(Some(Ok(result))) => {
                ([(CONTENT_TYPE, JSON)], response(&self.id, &result)).into_response()
            }
            Next::Answer(Some(Err(error))) => refuse(&self.id, &error),
            // The client waits no more, and nothing may be sent for the request.
            Next::Answer(None) if self.notifications.is_some() => {
                ([UNBUFFERED], Sse::new(stream::empty::<Result<Event, Infallible>>()))
                    .into_response()
            }
            Next::Answer(None) => StatusCode::NO_CONTENT.into_response(),
        }
    }

    async fn next(&mut self) -> Next {
        if self.answered.is_none() {
            let waiting = self.notifications.as_mut();
            let notification = async { waiting?.recv().await };
            tokio::select! {
                biased;
                Some(notification) = notification => return Next::Notification(notification),
                answered = &mut self.work => self.answered = Some(answered),
            }
        }
        if let Some(notifications) = &mut self.notifications
            && let Ok(notification) = notifications.try_recv()
        {
            return Next::Notification(notification);
        }
        Next::Answer(self.answered.take().flatten())
    }

    /// Makes the response as events, the last of which is the answer.
    fn events(self, first: Option<String>) -> Response {
        let events = stream::unfold(Some((self, first)), |state| async {
            let (mut answering, first) = state?;
            let next = match first {
                Some(first) => Next::Notification(first),
                None => answering.next().await,
            };
            let (message, rest) = match next {
                Next::Notification(message) => (message, Some((answering, None))),
                Next::Answer(Some(Ok(result))) => (response(&answering.id, &result), None),
                Next::Answer(Some(Err(error))) => (error.response(&answering.id), None),
                Next::Answer(None) => return None,
            };
            Some((Ok::<_, Infallible>(event(&message)), rest))
        });
        let events = Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE));
        ([UNBUFFERED], events).into_response()
    }
}

fn event(message: &str) -> Event {
    Event::default().event("message").data(message)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use axum::body::to_bytes;
    use serde_json::json;

    fn answering(takes_events: bool, seconds: u64) -> Answering {
        let (notify, notifications) = mpsc::channel(4);
        let work = async move {
            notify.send("first".to_owned()).await.unwrap();
            sleep(Duration::from_secs(seconds)).await;
            notify.send("last".to_owned()).await.unwrap();
            Some(Ok("{}".to_owned()))
        };
        let notifications = takes_events.then_some(notifications);
        Answering { id: json!(1), work: Box::pin(work), notifications, answered: None }
    }

    async fn sent(answering: Answering) -> (String, String) {
        let response = answering.respond(|_, _| unreachable!("it is no error")).await;
        let media = response.headers()[CONTENT_TYPE].to_str().unwrap().to_owned();
        let body = to_bytes(response.into_body(), 1000).await.unwrap();
        (media, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn notifications_come_before_the_answer_and_comments_in_long_pauses() {
        let event = |data: &str| format!("event: message\ndata: {data}\n\n");
        let answer = event(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#);
        for (seconds, pause) in [(0, ""), (40, ":\n\n:\n\n")] {
            let (media, body) = sent(answering(true, seconds)).await;
            assert_eq!(media, "text/event-stream");
            assert_eq!(body, [&event("first"), pause, &event("last"), &answer].concat());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_request_is_answered_with_events_after_a_while() {
        let silent = |seconds| {
            let work = async move {
                sleep(Duration::from_secs(seconds)).await;
                Some(Ok("{}".to_owned()))
            };
            let (_, notifications) = mpsc::channel(1);
            let (id, work) = (json!(1), Box::pin(work) as Work);
            Answering { id, work, notifications: Some(notifications), answered: None }
        };
        assert_eq!(sent(silent(14)).await.0, "application/json");
        assert_eq!(sent(silent(16)).await.0, "text/event-stream");
    }
}
