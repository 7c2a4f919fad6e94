//! Responses of server-sent events (WHATWG HTML, section 9.2).

use std::convert::Infallible;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use tokio::time::timeout;

use crate::http::failure::Failure;

/// Asks proxies to pass on each chunk at once. nginx and others obey this header.
pub(crate) const UNBUFFERED: (HeaderName, HeaderValue) =
    (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
/// The headers of a response of events.
pub(crate) const HEADERS: [(HeaderName, HeaderValue); 3] = [
    (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8")),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    UNBUFFERED,
];

/// The time without an event after which a comment is sent, so that no proxy closes the connection.
pub(crate) const KEEP_ALIVE: Duration = Duration::from_secs(15);
pub(crate) const COMMENT: &[u8] = b": the model is at work\n\n";

/// Answers with events that are made all at once, such as those of pictures. Comments are sent until
/// then. `fail` writes the events of a failure that comes after the first comment; an earlier failure
/// has its own status.
pub(crate) async fn respond_late(
    made: impl Future<Output = Result<Vec<u8>, Failure>> + Send + 'static,
    fail: impl FnOnce(&Failure) -> Vec<u8> + Send + 'static,
) -> Result<Response, Failure> {
    let mut made = Box::pin(made);
    if let Ok(events) = timeout(KEEP_ALIVE, &mut made).await {
        return Ok((HEADERS, events?).into_response());
    }
    let rest = stream::unfold(Some((made, fail)), |rest| async {
        let (mut made, fail) = rest?;
        let Ok(events) = timeout(KEEP_ALIVE, &mut made).await else {
            return Some((Bytes::from_static(COMMENT), Some((made, fail))));
        };
        Some((events.unwrap_or_else(|failure| fail(&failure)).into(), None))
    });
    let first = stream::iter([Bytes::from_static(COMMENT)]);
    let frames = first.chain(rest).map(Ok::<_, Infallible>);
    Ok((HEADERS, Body::from_stream(frames)).into_response())
}

/// Appends an event without a name.
pub(crate) fn put(to: &mut Vec<u8>, data: &impl serde::Serialize) {
    to.extend_from_slice(b"data: ");
    // JSON has no line breaks outside its strings, where they are escaped.
    put_json(to, data);
    to.extend_from_slice(b"\n\n");
}

/// Appends an event with a name.
pub(crate) fn put_named(to: &mut Vec<u8>, name: &str, data: &impl serde::Serialize) {
    to.extend_from_slice(b"event: ");
    to.extend_from_slice(name.as_bytes());
    to.push(b'\n');
    put(to, data);
}

/// Appends JSON.
pub(crate) fn put_json(to: &mut Vec<u8>, value: &impl serde::Serialize) {
    if let Err(error) = serde_json::to_writer(to, value) {
        tracing::error!("an event cannot be written as JSON: {error}");
    }
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use tokio::time::sleep;

    use super::*;

    async fn body(after: u64, fails: bool) -> Result<Bytes, Failure> {
        let made = async move {
            sleep(Duration::from_secs(after)).await;
            if fails { Err(Failure::full()) } else { Ok(b"data: 1\n\n".to_vec()) }
        };
        let response = respond_late(made, |failure| failure.code().into()).await?;
        Ok(to_bytes(response.into_body(), usize::MAX).await.unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn comments_are_sent_until_the_events_are_made() {
        for (after, comments) in [(0, 0), (14, 0), (20, 1), (50, 3)] {
            let comments = COMMENT.repeat(comments);
            let events = [&comments[..], b"data: 1\n\n"].concat();
            assert_eq!(body(after, false).await.unwrap(), events, "{after}");
            match body(after, true).await {
                Ok(body) => assert_eq!(body, [&comments[..], b"queue_full"].concat()),
                Err(failure) => assert_eq!((failure.code(), after < 15), ("queue_full", true)),
            }
        }
    }
}
