//! The native dialect: `POST /infer` answers with the result itself under its own content type,
//! and errors are problems with honest statuses.

use ai_integration_contract::Outcome;
use ai_integration_engine::{Event, Model, Ticket};
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::stream;
use serde_json::{Value, json};

use crate::http::App;
use crate::http::dialects::native_events;
use crate::http::dialects::openapi;
use crate::http::failure::{Failure, Rejection};
use crate::http::inputs::call::Call;
use crate::http::inputs::request::RequestInputs;
use crate::http::wire::edge::RequestId;

/// A result is data, whatever a browser might take it for.
const INERT: [(HeaderName, HeaderValue); 1] =
    [(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox"))];

/// Asks proxies to pass pieces of an answer on as they come; nginx and others heed it.
pub(crate) const UNBUFFERED: (HeaderName, HeaderValue) =
    (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));

pub(crate) const PATHS: &[&str] = &["/infer", "/schema", "/openapi.json"];

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/infer", post(infer))
        .route("/schema", get(schema))
        .route("/openapi.json", get(describe))
}

async fn infer(
    State(app): State<App>,
    call: Call,
    inputs: RequestInputs,
) -> Result<Response, Rejection> {
    let id = call.id.clone();
    if call.wants_events {
        let (_, ticket) = app.submit(call, inputs, true).await?;
        return Ok(native_events::stream(app, id, ticket));
    }
    let (_, ticket) = app.submit(call, inputs, false).await?;
    streamed(app, id, ticket).await
}

fn whole(outcome: Outcome) -> Response {
    if !outcome.success {
        return Failure::of_model(outcome).into_response();
    }
    let media = content_type(outcome.content_type.as_deref());
    (INERT, [(header::CONTENT_TYPE, media)], outcome.data.into_bytes()).into_response()
}

/// Answers with the whole result, or with its pieces as they come. A failure after the first one can only be told by breaking the
/// body off, which clients see as an incomplete answer.
async fn streamed(app: App, id: RequestId, mut ticket: Ticket) -> Result<Response, Rejection> {
    let Some(Event::Chunk { content_type: media, data }) = ticket.event().await else {
        return Ok(whole(ticket.outcome().await?));
    };
    let rest = stream::unfold(Some((app, id, ticket)), |state| async {
        let (app, id, mut ticket) = state?;
        while let Some(event) = ticket.event().await {
            if let Event::Chunk { data, .. } = event {
                return Some((Ok(data.into_bytes()), Some((app, id, ticket))));
            }
        }
        let failure = match ticket.outcome().await {
            Ok(outcome) if outcome.success => return None,
            Ok(outcome) => Failure::of_model(outcome),
            Err(error) => error.into(),
        };
        app.note(&failure, &id);
        Some((Err(std::io::Error::other(failure.code())), None))
    });
    let first = stream::iter([Ok::<Bytes, std::io::Error>(data.into_bytes())]);
    let body = Body::from_stream(stream::StreamExt::chain(first, rest));
    let media = content_type(media.as_deref());
    Ok((INERT, [(header::CONTENT_TYPE, media)], [UNBUFFERED], body).into_response())
}

fn content_type(media: Option<&str>) -> HeaderValue {
    let unknown = HeaderValue::from_static("application/octet-stream");
    let Some(media) = media else { return unknown };
    // Text travels as UTF-8, and says so.
    let says_charset = media.to_ascii_lowercase().contains("charset");
    let value = if media.starts_with("text/") && !says_charset {
        HeaderValue::from_str(&format!("{media}; charset=utf-8"))
    } else {
        HeaderValue::from_str(media)
    };
    value.unwrap_or(unknown)
}

async fn schema(State(app): State<App>) -> Result<Response, Rejection> {
    let model = app.described().await?;
    Ok(Json(described(&app, &model)).into_response())
}

/// The model for a front end, such as the page.
pub(crate) fn described(app: &App, model: &Model) -> Value {
    json!({
        "inputs_schema": model.schema.source(),
        "inputs": model.schema.describe(),
        "visualizer_config": model.visualizer_config,
        "model": app.about(model),
        "needs_token": app.needs_token(),
    })
}

async fn describe(State(app): State<App>) -> Result<Response, Rejection> {
    let model = app.described().await?;
    Ok(Json(openapi::describe(&model.schema, &app.about(&model), app.needs_token()))
        .into_response())
}
