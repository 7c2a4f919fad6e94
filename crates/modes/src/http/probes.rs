//! What platforms ask: whether the server is alive, and whether the model is ready.

use ai_integration_engine::State;
use axum::extract::State as Shared;
use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::http::App;

pub(crate) const PATHS: &[&str] = &["/healthz", "/readyz"];

pub(crate) fn routes() -> Router<App> {
    Router::new().route("/healthz", get(alive)).route("/readyz", get(ready))
}

/// The server answers; that is all this says.
async fn alive() -> Response {
    Json(json!({"status": "ok"})).into_response()
}

/// Whether a request would be worked on now, and why not.
async fn ready(Shared(app): Shared<App>) -> Response {
    let (status, body) = readiness(&app.engine().state().borrow());
    let busy = (status == StatusCode::SERVICE_UNAVAILABLE).then_some([(RETRY_AFTER, "1")]);
    (status, busy, Json(body)).into_response()
}

/// Whoever asks needs no token, so the program's last output stays in the log.
fn readiness(state: &State) -> (StatusCode, Value) {
    match state {
        State::Ready(workers) => (StatusCode::OK, json!({"status": "ready", "workers": workers})),
        State::Starting => {
            let reason = "the model is being loaded";
            (StatusCode::SERVICE_UNAVAILABLE, json!({"status": "starting", "reason": reason}))
        }
        State::Failed(error) => {
            let reason = &error.message;
            (StatusCode::SERVICE_UNAVAILABLE, json!({"status": "failed", "reason": reason}))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ai_integration_contract::{Error, Kind};

    #[test]
    fn the_programs_output_is_not_told() {
        let output = ["FileNotFoundError: /srv/weights.bin".to_owned()];
        let error = Error::new(Kind::ModelUnavailable, "it exited with status 1");
        let (status, body) = readiness(&State::Failed(error.with_output(&output)));
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(body, json!({"status": "failed", "reason": "it exited with status 1"}));
    }
}
