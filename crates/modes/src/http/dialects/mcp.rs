//! The dialect of the Model Context Protocol over HTTP (Streamable HTTP): agents use the model as a tool
//! at `POST /mcp`. The protocol itself is in `crate::mcp`, which the mode `mcp` uses too.
//!
//! Up to version 2025-11-25 a client gets an id of its session, with which it can cancel its requests.
//! The server keeps nothing else of a session, so any replica can answer. Since 2026-07-28 a client
//! cancels a request by closing the connection.
//!
//! Failures are errors of JSON-RPC. Those of a call that the model or its inputs caused are results.

mod description;
mod headers;
mod stream;

use ai_integration_contract::{Environment, Error, Kind, SettingError, json as strict};
use ai_integration_engine::{Model, Reservation};
use axum::extract::{FromRef, FromRequestParts, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::{Map, Value as Json, json};
use tokio::sync::mpsc;
use uuid::Uuid;

use self::description::{ENDPOINT, describe};
use self::stream::{Answered, Answering, JSON, Work};
use crate::http::accept::accepts;
use crate::http::app::App;
use crate::http::description::Description;
use crate::http::dialect::Dialect;
use crate::http::failure::{Failure, Refusal, Wording};
use crate::http::inputs::call::Call;
use crate::http::inputs::envelope::read_body;
use crate::http::inputs::intake::Intake;
use crate::http::request_context::RequestId;
use crate::http::routes::{Mounted, Routes};
use crate::mcp::message::{Code, Message, Request as RpcRequest, RpcError};
use crate::mcp::server::{CANCELLED, Exchange, answer};
use crate::mcp::version::{self, Era};
use crate::running::Running;

/// The number of notifications that may wait until the client reads them.
const WAITING: usize = 16;

pub(crate) struct Mcp;

/// The state of the handlers.
#[derive(Clone)]
struct McpState {
    app: App,
    running: Running,
}

impl FromRef<McpState> for App {
    fn from_ref(state: &McpState) -> App {
        state.app.clone()
    }
}

impl Dialect for Mcp {
    fn name(&self) -> &'static str {
        "mcp"
    }

    fn mount(&self, _environment: &Environment, app: &App) -> Result<Mounted, SettingError> {
        let state = McpState { app: app.clone(), running: Running::default() };
        Ok(Routes::new().at(ENDPOINT, post(receive)).with_state(state))
    }

    fn describe(&self, _model: &Model) -> Description {
        describe()
    }

    fn refuse(&self, failure: &Failure, wording: Wording, _id: &RequestId) -> Response {
        let status = failure.reason.status_without_422();
        let code = if status.is_server_error() { Code::Internal } else { Code::InvalidRequest };
        let data = Some(json!({"code": failure.code()}));
        let error = RpcError { data, ..RpcError::new(code, failure.detail(wording)) };
        let json = [(header::CONTENT_TYPE, JSON)];
        (status, json, error.response(&Json::Null)).into_response()
    }
}

/// Receives one message.
async fn receive(State(state): State<McpState>, request: Request) -> Result<Response, Failure> {
    let (mut head, body) = request.into_parts();
    let call = Call::from_request_parts(&mut head, &state).await?;
    let headers = head.headers.clone();
    check_type(&headers)?;
    let request = Request::from_parts(head, body);
    let (message, _, reservation) =
        read_body(&Intake::from_ref(&state), request, |body| parse(&body)).await?;
    match message {
        Message::Invalid { id, error } => Ok(refuse(Era::Stateless, &id, &error)),
        Message::Response => Ok(StatusCode::ACCEPTED.into_response()),
        Message::Notification { method, params } => {
            Ok(notified(&state.running, &headers, &method, &params))
        }
        Message::Request(request) => Ok(run(&state, &headers, call, request, reservation).await),
    }
}

/// Reads a message from a body. A body that is not JSON is a message that is refused.
fn parse(body: &[u8]) -> (usize, Message) {
    match strict::parse(body) {
        Ok(json) => (strict::footprint(&json), Message::read(json)),
        Err(fault) => {
            let message = format!("the body is not JSON: {fault}");
            let error = RpcError::new(Code::Unreadable, message);
            (0, Message::Invalid { id: Json::Null, error })
        }
    }
}

fn check_type(headers: &HeaderMap) -> Result<(), Failure> {
    let given = headers.get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    let essence = given.split(|byte| *byte == b';').next().unwrap_or_default();
    if essence.trim_ascii().eq_ignore_ascii_case(b"application/json") {
        return Ok(());
    }
    let message = "the body is not of type application/json";
    Err(Failure::refused(Refusal::UnsupportedMediaType, message))
}

/// Receives a notification. One that is of no use is acknowledged too.
fn notified(
    running: &Running,
    headers: &HeaderMap,
    method: &str,
    params: &Map<String, Json>,
) -> Response {
    let era = match era_of_notification(headers, params) {
        Ok(era) => era,
        Err(error) => return refuse(Era::Stateless, &Json::Null, &error),
    };
    // Clients of the stateless versions cancel by closing the connection.
    if era == Era::Handshake
        && method == CANCELLED
        && let Some(id) = params.get("requestId")
        && let Some(key) = key(headers, id)
    {
        running.cancel(&key);
    }
    StatusCode::ACCEPTED.into_response()
}

/// Returns the key of a request that its client may cancel. Only a client with a session can, because
/// the ids of different clients are alike.
fn key(headers: &HeaderMap, id: &Json) -> Option<String> {
    let session = headers.get(headers::SESSION)?.to_str().ok()?;
    Some(format!("{session} {id}"))
}

/// Answers a request.
async fn run(
    state: &McpState,
    headers: &HeaderMap,
    call: Call,
    request: RpcRequest,
    reservation: Reservation,
) -> Response {
    let id = request.id.clone();
    let era = match era(headers, &request) {
        Ok(era) => era,
        Err(error) => return refuse(Era::Stateless, &id, &error),
    };
    let begins = era == Era::Handshake && request.method == "initialize";
    let (notify, notifications) =
        accepts(headers, "text/event-stream").then(|| mpsc::channel(WAITING)).unzip();
    let app = state.app.clone();
    let registration = match key(headers, &id).filter(|_| era == Era::Handshake) {
        Some(key) => match state.running.register(key) {
            None => {
                let message = "a request with this id is still running";
                return refuse(era, &id, &RpcError::new(Code::InvalidRequest, message));
            }
            registered => registered,
        },
        None => None,
    };
    let exchange = Exchange { request, era, call, reservation, notify };
    let work = async move {
        match registration {
            None => Some(answer(&app, exchange).await),
            Some(registration) => registration.unless_cancelled(answer(&app, exchange)).await,
        }
    };
    let work: Work = match era {
        Era::Stateless => Box::pin(work),
        Era::Handshake => unless_dropped(&state.app, work),
    };
    let answering = Answering { id, work, notifications, answered: None };
    let mut response = answering.respond(|id, error| refuse(era, id, error)).await;
    if begins && response.status() == StatusCode::OK {
        let session = HeaderValue::try_from(Uuid::new_v4().to_string());
        if let Ok(session) = session {
            response.headers_mut().insert(headers::SESSION, session);
        }
    }
    response
}

/// Lets work go on when its client disconnects, which cancels nothing in the older versions.
fn unless_dropped(app: &App, work: impl Future<Output = Answered> + Send + 'static) -> Work {
    let task = app.detach(work);
    Box::pin(async { task.await.ok().flatten() })
}

/// Returns the era of a request, and checks what it and its headers say about the version.
fn era(headers: &HeaderMap, request: &RpcRequest) -> Result<Era, RpcError> {
    let header = headers::version(headers)?;
    let era = Era::of(&request.params, header);
    if era == Era::Stateless {
        if let Some(header) = header.filter(|_| !version::has_version(&request.params)) {
            version::check(header)?;
        }
        let named = version::named(&request.params)?;
        headers::check(headers, request, named)?;
        version::check(named)?;
    }
    Ok(era)
}

/// Returns the era of a notification, and checks what it and its headers say about the version.
fn era_of_notification(headers: &HeaderMap, params: &Map<String, Json>) -> Result<Era, RpcError> {
    let header = headers::version(headers)?;
    let era = Era::of(params, header);
    if era == Era::Stateless {
        let version = match version::meta(params).and_then(|meta| meta.get(version::VERSION)) {
            Some(named) => {
                let named = named.as_str().unwrap_or_default();
                headers::expect(headers, headers::VERSION, named)?;
                named
            }
            None => header.unwrap_or_default(),
        };
        version::check(version)?;
    }
    Ok(era)
}

/// Makes the response with an error to a request of this era.
fn refuse(era: Era, id: &Json, error: &RpcError) -> Response {
    let status = match (era, error.code) {
        (_, Code::Unreadable | Code::InvalidRequest) => StatusCode::BAD_REQUEST,
        // Status 404 would mean that the session has ended.
        (Era::Handshake, _) | (_, Code::Internal) => StatusCode::OK,
        (Era::Stateless, Code::UnknownMethod) => StatusCode::NOT_FOUND,
        (Era::Stateless, _) => StatusCode::BAD_REQUEST,
    };
    let body = (status, [(header::CONTENT_TYPE, JSON)], error.response(id));
    let failure = match error.code {
        // The failure has been counted and logged.
        Code::Internal => return body.into_response(),
        Code::UnknownMethod => Failure::refused(Refusal::NotFound, error.message.clone()),
        _ => Error::new(Kind::MalformedRequest, error.message.clone()).into(),
    };
    failure.with_body(body)
}
