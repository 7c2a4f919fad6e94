//! Streamed answers as server-sent events (WHATWG HTML, section 9.2), in the words of a protocol.

use std::convert::Infallible;
use std::time::Duration;

use ai_integration_contract::{Data, Outcome};
use ai_integration_engine::{Event, Ticket};
use axum::body::{Body, Bytes};
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures_util::{FutureExt, StreamExt, stream};
use tokio::time::timeout;

use crate::http::app::App;
use crate::http::conversation::chunks::Chunks;
use crate::http::conversation::delta::Delta;
use crate::http::conversation::delta::fault;
use crate::http::conversation::reply::deltas;
use crate::http::failure::{Failure, Wording};
use crate::http::request_context::RequestContext;

/// Asks proxies to pass on each chunk at once. nginx and others obey this header.
pub(crate) const UNBUFFERED: (HeaderName, HeaderValue) =
    (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
const HEADERS: [(HeaderName, HeaderValue); 3] = [
    (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8")),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    UNBUFFERED,
];

/// The time without an event after which a comment is sent, so that no proxy closes the connection.
pub(crate) const KEEP_ALIVE: Duration = Duration::from_secs(15);
const COMMENT: &[u8] = b": the model is at work\n\n";

/// The number of bytes from which on a frame takes no more events.
const MAX_FRAME: usize = 64 * 1024;

/// The number of bytes of an answer up to which its text is kept for the last events.
const MAX_KEPT: usize = 16 * 1024 * 1024;

/// The words of a protocol for a streamed answer. Each method appends events to `to`.
pub(crate) trait Words: Send + 'static {
    /// True if the last events repeat the whole text, which is therefore kept.
    const KEEPS_TEXT: bool = false;

    /// Writes the events before the first part of the answer.
    fn begin(&mut self, to: &mut Vec<u8>);

    /// Writes a piece of the content. It is called for most tokens, so it must be fast.
    fn text(&mut self, text: &str, to: &mut Vec<u8>);

    /// Writes a part of the answer.
    fn delta(&mut self, delta: Delta, to: &mut Vec<u8>) {
        if let Some(text) = delta.content {
            self.text(&text, to);
        }
    }

    /// Reads an answer that has come as a whole.
    fn whole(&mut self, outcome: Outcome) -> Result<Vec<Delta>, Failure> {
        deltas(outcome)
    }

    /// Writes the events after the last part of the answer.
    fn end(&mut self, to: &mut Vec<u8>);

    /// Writes the events of a failure.
    fn fail(&mut self, failure: &Failure, wording: Wording, to: &mut Vec<u8>);
}

/// Answers with the events of a job. A failure before the first of them has its own status.
pub(crate) async fn respond(
    app: App,
    context: RequestContext,
    ticket: Ticket,
    words: impl Words,
) -> Result<Response, Failure> {
    let mut answer = Answer {
        app,
        context,
        ticket: Some(ticket),
        words,
        chunks: None,
        has_begun: false,
        length: 0,
    };
    let mut first = Vec::new();
    answer.advance(&mut first).await?;
    let rest = stream::unfold(answer, |mut answer| async {
        answer.ticket.as_ref()?;
        let mut frame = Vec::new();
        if let Err(failure) = answer.advance(&mut frame).await {
            answer.fail(&failure, &mut frame);
        }
        Some((Ok(Bytes::from(frame)), answer))
    });
    let first = stream::iter([Ok::<_, Infallible>(Bytes::from(first))]);
    Ok((HEADERS, Body::from_stream(first.chain(rest))).into_response())
}

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

/// A job whose answer is being sent.
struct Answer<W> {
    app: App,
    context: RequestContext,
    /// The job, until it has ended.
    ticket: Option<Ticket>,
    words: W,
    /// The reader of chunks, from the first chunk on.
    chunks: Option<Chunks>,
    /// True once the first events are written.
    has_begun: bool,
    /// The number of bytes of the chunks so far.
    length: usize,
}

impl<W: Words> Answer<W> {
    /// Writes what has happened to the job since the last time. Waits until there is something to
    /// write, but not for long.
    async fn advance(&mut self, to: &mut Vec<u8>) -> Result<(), Failure> {
        while to.is_empty() {
            let Some(ticket) = &mut self.ticket else { return Ok(()) };
            let Ok(mut event) = timeout(KEEP_ALIVE, ticket.event()).await else {
                to.extend_from_slice(COMMENT);
                return Ok(());
            };
            loop {
                match event {
                    None => return self.end(to).await,
                    Some(Event::Chunk { content_type, data }) => {
                        self.chunk(content_type.as_deref(), data, to)?;
                    }
                    Some(_) => {}
                }
                if to.len() >= MAX_FRAME {
                    return Ok(());
                }
                match self.ticket.as_mut().and_then(|ticket| ticket.event().now_or_never()) {
                    Some(next) => event = next,
                    None => break,
                }
            }
        }
        Ok(())
    }

    fn chunk(
        &mut self,
        content_type: Option<&str>,
        data: Data,
        to: &mut Vec<u8>,
    ) -> Result<(), Failure> {
        self.length += data.len();
        if W::KEEPS_TEXT && self.length > MAX_KEPT {
            return Err(fault(&format!("it has more than {MAX_KEPT} bytes")));
        }
        let chunks = match &mut self.chunks {
            Some(chunks) => chunks,
            none => none.insert(Chunks::of(content_type)?),
        };
        if let Some(text) = chunks.plain(&data) {
            begin(&mut self.words, &mut self.has_begun, to);
            self.words.text(text, to);
            return Ok(());
        }
        let deltas = chunks.read(data)?;
        self.deltas(deltas, to);
        Ok(())
    }

    fn deltas(&mut self, deltas: Vec<Delta>, to: &mut Vec<u8>) {
        for delta in deltas {
            begin(&mut self.words, &mut self.has_begun, to);
            self.words.delta(delta, to);
        }
    }

    /// Writes the end of the answer, and the whole answer if it has not come in chunks.
    async fn end(&mut self, to: &mut Vec<u8>) -> Result<(), Failure> {
        let Some(ticket) = self.ticket.take() else { return Ok(()) };
        let outcome = ticket.outcome().await?;
        let rest = match &mut self.chunks {
            None => self.words.whole(outcome)?,
            Some(_) if !outcome.success => return Err(Failure::of_model(&outcome)),
            Some(chunks) => chunks.end()?,
        };
        self.deltas(rest, to);
        begin(&mut self.words, &mut self.has_begun, to);
        self.words.end(to);
        Ok(())
    }

    /// Writes a failure as the end of an answer whose head is sent. Without its ticket the job is
    /// cancelled.
    fn fail(&mut self, failure: &Failure, to: &mut Vec<u8>) {
        self.ticket = None;
        self.app.record_late(failure, &self.context);
        self.words.fail(failure, self.app.wording(), to);
    }
}

fn begin(words: &mut impl Words, has_begun: &mut bool, to: &mut Vec<u8>) {
    if !std::mem::replace(has_begun, true) {
        words.begin(to);
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
