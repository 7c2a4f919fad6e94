//! The dialect of KServe's V1 protocol: `POST /v1/models/{model}:predict` with `{"instances": […]}`
//! answers with `{"predictions": […]}`. Each instance is a job of its own; if one of them fails, the
//! request fails. The same address takes CloudEvents (version 1.0), and answers them with events.
//!
//! `GET /v1/models` and `GET /v1/models/{model}` have the members that clients of KServe read, and
//! those that clients of OpenAI read. Failures are `{"error": …}`.

mod content;
mod description;
mod predictions;
pub(crate) mod request;

use ai_integration_contract::{Environment, Kind, SettingError};
use ai_integration_engine::Model;
use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path, Request, State};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use serde_json::json;

use self::description::{EXPLAIN, PREDICT};
use self::request::Prediction;
use crate::http::app::App;
use crate::http::description::Description;
use crate::http::dialect::Dialect;
use crate::http::failure::{Failure, Reason, Refusal, Wording};
use crate::http::inputs::call::Call;
use crate::http::large::{PASSES, work_on};
use crate::http::models::{MODEL, MODELS, Models, NotReady};
use crate::http::records;
use crate::http::request_context::RequestId;
use crate::http::routes::{Mounted, Routes};

pub(crate) struct Kserve;

impl Dialect for Kserve {
    fn name(&self) -> &'static str {
        "kserve"
    }

    fn takes_compressed(&self) -> bool {
        true
    }

    fn mount(&self, _environment: &Environment, app: &App) -> Result<Mounted, SettingError> {
        Ok(Routes::new()
            .at(MODELS, get(list))
            .at(MODEL, any(model))
            .verb(PREDICT)
            .verb(EXPLAIN)
            .with_state(Models::new(app)))
    }

    fn describe(&self, model: &Model) -> Description {
        description::describe(&model.schema)
    }

    fn refuse(&self, failure: &Failure, wording: Wording, _id: &RequestId) -> Response {
        failure.as_error(wording)
    }
}

/// Returns the status of a failure for the sender of an event. A full queue is 429, which tells Knative
/// to send the event again later.
fn status_for_event(reason: Reason) -> StatusCode {
    match reason {
        Reason::Failed(Kind::QueueFull) => StatusCode::TOO_MANY_REQUESTS,
        reason => reason.status_without_422(),
    }
}

fn error(failure: &Failure, wording: Wording) -> Json<serde_json::Value> {
    Json(json!({"error": failure.detail(wording)}))
}

async fn list(State(state): State<Models>) -> Response {
    match state.list() {
        Ok(list) => Json(list).into_response(),
        Err(reason) => not_ready(&reason),
    }
}

fn card(state: &Models, name: &str) -> Response {
    match state.named(name) {
        Ok(Ok(card)) => Json(card).into_response(),
        Ok(Err(reason)) => not_ready(&reason),
        Err(failure) => failure.into_response(),
    }
}

/// Makes the response of a probe. Unlike a failure, it is not logged as one.
fn not_ready(NotReady(reason): &NotReady) -> Response {
    let body = Json(json!({"error": reason}));
    (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "1")], body).into_response()
}

/// Answers a request for the model, whose address may end with a verb. The methods are told apart
/// here, because the router knows the address only without its verb.
async fn model(
    State(state): State<Models>,
    named: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    let Ok(Path(named)) = named else { return Failure::not_found().into_response() };
    let (name, verb) = match named.rsplit_once(':') {
        Some((name, verb)) => (name, Some(verb)),
        None => (named.as_str(), None),
    };
    match (verb, request.method().as_str()) {
        (None, "GET" | "HEAD") => card(&state, name),
        (Some("predict"), "POST") => predict(&state, name, request).await,
        (Some("explain"), "POST") => explain(&state, name),
        (None, _) => other_method(request.method(), "GET,HEAD"),
        (Some("predict" | "explain"), _) => other_method(request.method(), "POST"),
        (Some(verb), _) => unknown_verb(verb).into_response(),
    }
}

fn unknown_verb(verb: &str) -> Failure {
    let verb = verb.escape_debug();
    let message = format!("there is no \":{verb}\"; a model has the address {PREDICT}");
    Failure::refused(Refusal::NotFound, message)
}

/// Answers a request whose method the address does not accept, or that asks for its methods.
fn other_method(method: &Method, allowed: &'static str) -> Response {
    let allow = [(header::ALLOW, allowed)];
    if method == Method::OPTIONS {
        return (StatusCode::NO_CONTENT, allow).into_response();
    }
    (allow, Failure::method_not_allowed()).into_response()
}

fn explain(state: &Models, name: &str) -> Response {
    if let Some(model) = state.app.engine().model_now()
        && let Err(failure) = state.check_name(&model, name)
    {
        return failure.into_response();
    }
    let message = "the model gives no explanations; its predictions are at the address that ends \
                   with :predict";
    let failure = Failure::refused(Refusal::NotFound, message);
    let body = error(&failure, state.app.wording());
    failure.with_body((StatusCode::NOT_IMPLEMENTED, body))
}

async fn predict(state: &Models, name: &str, request: Request) -> Response {
    let is_event = request::is_event(request.headers());
    match run(state, name, request).await {
        Ok(response) => response,
        Err(failure) if is_event => {
            let body = error(&failure, state.app.wording());
            let status = status_for_event(failure.reason);
            failure.with_body((status, body))
        }
        Err(failure) => failure.into_response(),
    }
}

async fn run(state: &Models, name: &str, request: Request) -> Result<Response, Failure> {
    let app = &state.app;
    let (mut head, body) = request.into_parts();
    let mut call = Call::from_request_parts(&mut head, state).await?;
    let request = Request::from_parts(head, body);
    let Prediction { form, content, length, reservation } = Prediction::read(app, request).await?;
    let model = app.model(&mut call).await?;
    state.check_name(&model, name)?;
    let records = {
        let (model, limit) = (model.clone(), app.max_records());
        let records = move || content.records(&model.schema, limit, length, reservation);
        work_on(length, records).await??
    };
    let outcomes = records::run(app, &model, call, records).await?;
    let size = records::size(&outcomes);
    let id = app.model_id(&model);
    Ok(work_on(PASSES * size, move || predictions::write(&form, &id, &outcomes)).await?)
}
