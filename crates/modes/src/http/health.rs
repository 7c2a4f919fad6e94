//! What platforms ask: whether the server is alive, and whether the model is ready.

use ai_integration_engine::State;
use axum::extract::State as Shared;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;

use super::App;
use super::answer::with_retry_after;

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
            let reason = error.to_string();
            (StatusCode::SERVICE_UNAVAILABLE, json!({"status": "failed", "reason": reason}))
        }
    };
    with_retry_after((status, Json(body)).into_response())
}
