//! Answers that are streamed as server-sent events while the model makes them, in the words of a
//! protocol.

use std::convert::Infallible;

use ai_integration_contract::{Data, Outcome};
use ai_integration_engine::{Event, Ticket};
use axum::body::{Body, Bytes};
use axum::response::{IntoResponse, Response};
use futures_util::{FutureExt, StreamExt, stream};
use tokio::time::timeout;

use crate::http::app::App;
use crate::http::conversation::chunks::Chunks;
use crate::http::conversation::delta::{Delta, fault};
use crate::http::conversation::reply::deltas;
use crate::http::failure::{Failure, Wording};
use crate::http::request_context::RequestContext;
use crate::http::server_sent::{COMMENT, HEADERS, KEEP_ALIVE};

/// The number of bytes from which on a frame takes no more events.
const MAX_FRAME: usize = 64 * 1024;

/// The number of bytes of an answer up to which its text is kept for the last events.
const MAX_KEPT: usize = 16 * 1024 * 1024;

/// Writes a streamed answer as the events of a protocol. Each method appends events to `to`.
pub(crate) trait EventWriter: Send + 'static {
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
    writer: impl EventWriter,
) -> Result<Response, Failure> {
    let mut answer = Answer {
        app,
        context,
        ticket: Some(ticket),
        writer,
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

/// A job whose answer is being sent.
struct Answer<W> {
    app: App,
    context: RequestContext,
    /// The job, until it has ended.
    ticket: Option<Ticket>,
    writer: W,
    /// The reader of chunks, from the first chunk on.
    chunks: Option<Chunks>,
    /// True once the first events are written.
    has_begun: bool,
    /// The number of bytes of the chunks so far.
    length: usize,
}

impl<W: EventWriter> Answer<W> {
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
            begin(&mut self.writer, &mut self.has_begun, to);
            self.writer.text(text, to);
            return Ok(());
        }
        let deltas = chunks.read(data)?;
        self.deltas(deltas, to);
        Ok(())
    }

    fn deltas(&mut self, deltas: Vec<Delta>, to: &mut Vec<u8>) {
        for delta in deltas {
            begin(&mut self.writer, &mut self.has_begun, to);
            self.writer.delta(delta, to);
        }
    }

    /// Writes the end of the answer, and the whole answer if it has not come in chunks.
    async fn end(&mut self, to: &mut Vec<u8>) -> Result<(), Failure> {
        let Some(ticket) = self.ticket.take() else { return Ok(()) };
        let outcome = ticket.outcome().await?;
        let rest = match &mut self.chunks {
            None => self.writer.whole(outcome)?,
            Some(_) if !outcome.success => return Err(Failure::of_model(&outcome)),
            Some(chunks) => chunks.end()?,
        };
        self.deltas(rest, to);
        begin(&mut self.writer, &mut self.has_begun, to);
        self.writer.end(to);
        Ok(())
    }

    /// Writes a failure as the end of an answer whose head is sent. Without its ticket the job is
    /// cancelled.
    fn fail(&mut self, failure: &Failure, to: &mut Vec<u8>) {
        self.ticket = None;
        self.app.record_late(failure, &self.context);
        self.writer.fail(failure, self.app.wording(), to);
    }
}

fn begin(writer: &mut impl EventWriter, has_begun: &mut bool, to: &mut Vec<u8>) {
    if !std::mem::replace(has_begun, true) {
        writer.begin(to);
    }
}
