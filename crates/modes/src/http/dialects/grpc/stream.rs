//! `ModelStreamInfer`. The requests of a stream are queued as they arrive, and answered in their
//! order. Each chunk of a result is a response of its own. A request that fails is answered with an
//! error, and the stream goes on.

use std::mem;
use std::sync::Arc;
use std::time::Duration;

use ai_integration_contract::{Data, Error, Kind, Outcome};
use ai_integration_engine::{Event, Reservation, Ticket};
use axum::extract::{FromRequestParts, Request, State};
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use prost::Message;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tonic::Status;

use super::answers::{Sent, status, streamed, with_field};
use super::infer::{Asked, answer};
use super::messages::{Messages, client_timeout};
use super::models::Named;
use super::protocol::infer_parameter::ParameterChoice;
use super::protocol::{InferParameter, ModelInferResponse, ModelStreamInferResponse};
use crate::http::app::App;
use crate::http::failure::{Failure, Refusal};
use crate::http::inputs::call::Call;
use crate::http::records;
use crate::http::request_context::RequestContext;

/// The maximum number of requests of a stream that are queued before their turn.
const AHEAD: usize = 32;
/// The time after which a stream ends whose client waits for nothing and sends nothing.
const IDLE: Duration = Duration::from_mins(10);
/// The number of the field `infer_response`.
const INFER_RESPONSE: u32 = 2;
/// The parameter of the last response to a request.
const FINAL: &str = "triton_final_response";

pub(crate) async fn infer(State(app): State<App>, request: Request) -> Result<Response, Failure> {
    let (mut parts, body) = request.into_parts();
    let call = Call::from_request_parts(&mut parts, &app).await?;
    let deadline = client_timeout(&parts.headers)?.map(|timeout| Instant::now() + timeout);
    let messages = Messages::new(Request::from_parts(parts, body), &app, usize::MAX)?;
    let (sender, replies) = channel(AHEAD);
    let Call { context, timeout, .. } = call;
    let calls = Calls { app: app.clone(), context: context.clone(), timeout, deadline };
    let requests = Requests { messages, calls };
    // Dropping the set ends the task.
    let mut reading = JoinSet::new();
    reading.spawn(requests.read(sender));
    let answers = Answers { app, context, replies, current: None, _reading: reading };
    let answers = stream::unfold(answers, |mut answers| async {
        let next = answers.next().await?;
        Some((next, answers))
    });
    Ok(streamed(answers))
}

/// The requests of a stream.
struct Requests {
    messages: Messages,
    calls: Calls,
}

/// The parts that all requests of a stream share.
struct Calls {
    app: App,
    context: RequestContext,
    /// The time that the client has set for each request.
    timeout: Option<Duration>,
    /// The end of the time that the client has set for the whole stream.
    deadline: Option<Instant>,
}

impl Requests {
    /// Reads the requests to the end, and queues them. A failure ends the stream.
    async fn read(mut self, replies: Sender<Result<Reply, Failure>>) {
        let pending = Arc::new(());
        loop {
            let reply = match self.next(&pending).await {
                Ok(Some((message, reservation))) => {
                    Ok(self.calls.begin(message, reservation, pending.clone()).await)
                }
                Ok(None) => return,
                Err(failure) => Err(failure),
            };
            let has_ended = reply.is_err();
            if replies.send(reply).await.is_err() || has_ended {
                return;
            }
        }
    }

    /// Waits for the next request. Returns `None` at the end, and when the server stops.
    async fn next(&mut self, pending: &Arc<()>) -> Result<Option<(Bytes, Reservation)>, Failure> {
        let (stop, deadline) = (self.calls.app.stop().clone(), self.calls.deadline);
        loop {
            let idle = Instant::now() + IDLE;
            let end = deadline.map_or(idle, |deadline| deadline.min(idle));
            tokio::select! {
                has_more = self.messages.has_more() => {
                    return if has_more? { self.messages.next().await } else { Ok(None) };
                }
                () = stop.cancelled() => return Ok(None),
                () = sleep_until(end) => {}
            }
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return Err(Error::new(Kind::Timeout, "the stream's deadline has passed").into());
            }
            if Arc::strong_count(pending) == 1 {
                let message = format!("no request came for {} s", IDLE.as_secs());
                return Err(Failure::refused(Refusal::RequestTimeout, message));
            }
        }
    }
}

impl Calls {
    /// Queues the job or the jobs of a request.
    async fn begin(&self, message: Bytes, reservation: Reservation, pending: Arc<()>) -> Reply {
        let mut reply = Reply::new(pending);
        match self.submit(message, reservation, &mut reply).await {
            Ok(tickets) => {
                reply.records = tickets.len();
                reply.state = ReplyState::Queued(tickets);
            }
            Err(failure) => reply.state = ReplyState::Failed(failure),
        }
        reply
    }

    async fn submit(
        &self,
        message: Bytes,
        reservation: Reservation,
        reply: &mut Reply,
    ) -> Result<Vec<Ticket>, Failure> {
        let rest = |deadline: Instant| deadline.saturating_duration_since(Instant::now());
        let mut call =
            Call::plain(self.context.clone(), self.timeout, self.app.engine().announce());
        call.shorten(self.deadline.map(rest));
        let asked = call.wait_for(Asked::read(message, reservation)).await??;
        let Asked { name, version, id, is_raw, wants_final, inference } = asked;
        (reply.id, reply.is_raw, reply.wants_final) = (id, is_raw, wants_final);
        call.shorten(inference.timeout()?);
        let model = self.app.model(&mut call).await?;
        reply.named = Some(Named::check(&self.app, &model, &name, &version)?);
        let records = inference.records(&self.app, &model, &mut call).await?;
        records::submit(&self.app, &model, call, records).await
    }
}

/// The answer to one request of a stream.
struct Reply {
    begun: Instant,
    /// The number of records.
    records: usize,
    id: String,
    named: Option<Named>,
    is_raw: bool,
    wants_final: bool,
    /// The content type of the chunks, which only the first of them has.
    media: Option<String>,
    state: ReplyState,
    /// Shows that the client waits for an answer.
    _pending: Arc<()>,
}

enum ReplyState {
    Queued(Vec<Ticket>),
    /// Some chunks of the only job's result have been sent.
    Sending(Ticket),
    Failed(Failure),
    /// All of the result has been sent.
    Sent,
    Done,
}

impl Reply {
    fn new(pending: Arc<()>) -> Self {
        Reply {
            begun: Instant::now(),
            records: 0,
            id: String::new(),
            named: None,
            is_raw: true,
            wants_final: false,
            media: None,
            state: ReplyState::Done,
            _pending: pending,
        }
    }

    /// Returns the next response, or `None` after the last one.
    async fn next(&mut self) -> Option<Result<Vec<Bytes>, Failure>> {
        match mem::replace(&mut self.state, ReplyState::Done) {
            ReplyState::Queued(mut tickets) if tickets.len() == 1 => {
                let ticket = tickets.pop()?;
                Some(self.chunk_or_whole(ticket, false).await.transpose()?)
            }
            ReplyState::Queued(tickets) => {
                self.state = ReplyState::Sent;
                Some(self.whole(tickets).await)
            }
            ReplyState::Sending(ticket) => match self.chunk_or_whole(ticket, true).await {
                Ok(None) => self.last(),
                next => next.transpose(),
            },
            ReplyState::Failed(failure) => Some(Err(failure)),
            ReplyState::Sent => self.last(),
            ReplyState::Done => None,
        }
    }

    /// Returns the next chunk of a job's result, or the whole result if it has no chunks. Returns
    /// `None` after the last chunk.
    async fn chunk_or_whole(
        &mut self,
        mut ticket: Ticket,
        has_chunks: bool,
    ) -> Result<Option<Vec<Bytes>>, Failure> {
        while let Some(event) = ticket.event().await {
            let Event::Chunk { content_type, data } = event else { continue };
            self.media = content_type.or(self.media.take());
            self.state = ReplyState::Sending(ticket);
            let chunk = self.outcome(data);
            return Ok(Some(self.answer(vec![chunk]).await?));
        }
        self.state = ReplyState::Sent;
        if has_chunks {
            let outcome = ticket.outcome().await?;
            return if outcome.success { Ok(None) } else { Err(Failure::of_model(&outcome)) };
        }
        Ok(Some(self.whole(vec![ticket]).await?))
    }

    async fn whole(&mut self, tickets: Vec<Ticket>) -> Result<Vec<Bytes>, Failure> {
        let outcomes = records::outcomes(tickets).await?;
        self.answer(outcomes).await
    }

    async fn answer(&self, outcomes: Vec<Outcome>) -> Result<Vec<Bytes>, Failure> {
        let missing = || Failure::from(Error::new(Kind::ModelUnavailable, "there is no model"));
        let named = self.named.as_ref().ok_or_else(missing)?;
        answer(named, self.id.clone(), self.is_raw, outcomes).await
    }

    fn outcome(&self, data: Data) -> Outcome {
        Outcome { success: true, content_type: self.media.clone(), data, ..Outcome::default() }
    }

    /// Returns the empty response after the last one, if the client wants it.
    fn last(&mut self) -> Option<Result<Vec<Bytes>, Failure>> {
        self.state = ReplyState::Done;
        self.wants_final.then(|| Ok(vec![self.empty().encode_to_vec().into()]))
    }

    /// Makes a response without an output, which is the last one.
    fn empty(&self) -> ModelInferResponse {
        let Named { name, version } = self.named.clone().unwrap_or_default();
        let mut response = ModelInferResponse {
            model_name: name,
            model_version: version,
            id: self.id.clone(),
            ..Default::default()
        };
        if self.wants_final {
            let is_final =
                InferParameter { parameter_choice: Some(ParameterChoice::BoolParam(true)) };
            response.parameters.insert(FINAL.to_owned(), is_final);
        }
        response
    }
}

/// The answers to the requests of a stream.
struct Answers {
    app: App,
    context: RequestContext,
    replies: Receiver<Result<Reply, Failure>>,
    current: Option<Reply>,
    _reading: JoinSet<()>,
}

impl Answers {
    /// Returns the next response, or the status with which the stream ends early.
    async fn next(&mut self) -> Option<Result<Sent, Status>> {
        let sent = loop {
            if let Some(reply) = &mut self.current {
                match reply.next().await {
                    Some(Ok(response)) => {
                        let default = ModelStreamInferResponse::default();
                        break Sent::new(with_field(&default, INFER_RESPONSE, response));
                    }
                    Some(Err(failure)) => {
                        let error = self.error(&failure);
                        break Sent::new(vec![error.encode_to_vec().into()]);
                    }
                    None => {
                        self.app.statistics().succeeded(reply.records, reply.begun.elapsed());
                        self.current = None;
                    }
                }
            }
            match self.replies.recv().await? {
                Ok(reply) => self.current = Some(reply),
                Err(failure) => return Some(Err(self.end(&failure))),
            }
        };
        Some(sent.map_err(|error| self.end(&error.into())))
    }

    /// Makes the answer to a request that failed. It is the last one to this request.
    fn error(&mut self, failure: &Failure) -> ModelStreamInferResponse {
        self.app.record_late(failure, &self.context);
        let reply = self.current.take();
        if let Some(reply) = &reply {
            self.app.statistics().failed(reply.begun.elapsed());
        }
        ModelStreamInferResponse {
            error_message: failure.detail(self.app.wording()),
            infer_response: reply.map(|reply| reply.empty()),
        }
    }

    fn end(&self, failure: &Failure) -> Status {
        self.app.record_late(failure, &self.context);
        status(failure, self.app.wording())
    }
}
