//! What platforms ask: whether the server is alive, and whether the model is ready.

use ai_integration_engine::State;
use axum::extract::State as Shared;
use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;

use super::App;

pub(super) const PATHS: &[&str] = &["/healthz", "/readyz"];

pub(super) fn routes() -> Router<App> {
    Router::new().route("/healthz", get(alive)).route("/readyz", get(ready))
}

/// The server answers; that is all this says.
async fn alive() -> Response {
    Json(json!({"status": "ok"})).into_response()
}

/// Whether a request would be worked on now, and why not.
async fn ready(Shared(app): Shared<App>) -> Response {
    let state = app.engine().state().borrow().clone();
    let (status, body) = match state {
        State::Ready(workers) => (StatusCode::OK, json!({"status": "ready", "workers": workers})),
        State::Starting => {
            let reason = "the model is being loaded";
            (StatusCode::SERVICE_UNAVAILABLE, json!({"status": "starting", "reason": reason}))
        }
        State::Failed(error) => {
            let reason = app.wording().of_error(&error);
            (StatusCode::SERVICE_UNAVAILABLE, json!({"status": "failed", "reason": reason}))
        }
    };
    let busy = (status == StatusCode::SERVICE_UNAVAILABLE).then_some([(RETRY_AFTER, "1")]);
    (status, busy, Json(body)).into_response()
}
