//! The addresses that platforms probe: `/healthz` for the server, `/readyz` for the model, and
//! `/metrics` (OpenMetrics 1.0).

use std::sync::Arc;

use ai_integration_engine::{Engine, State as EngineState};
use axum::Json;
use axum::extract::State;
use axum::http::header::{self, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use serde_json::{Value, json};

use crate::http::description::{Description, content, json_response, operation};
use crate::http::routes::{Mounted, Routes};

const OPENMETRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

#[derive(Clone)]
struct Probed {
    engine: Engine,
    /// The metrics of the server.
    registry: Arc<Registry>,
}

pub(crate) fn mount(engine: Engine, registry: Registry) -> Mounted {
    Routes::new()
        .at("/healthz", get(alive))
        .at("/readyz", get(ready))
        .at("/metrics", get(metrics))
        .with_state(Probed { engine, registry: Arc::new(registry) })
}

pub(crate) fn describe() -> Description {
    let is_ready = json_response("The model is ready");
    let mut ready = operation("readyz", "Check that the model is ready", is_ready, &[]);
    ready["responses"]["503"] = json_response("The model is not ready; `reason` says why");
    let is_alive = json_response("The server is alive");
    let mut alive = operation("healthz", "Check that the server is alive", is_alive, &[]);
    // Platforms probe these two without a token.
    for open in [&mut ready, &mut alive] {
        open["security"] = json!([]);
    }
    let text = json!({"application/openmetrics-text": {"schema": {"type": "string"}}});
    let metrics = content("OpenMetrics 1.0", &text);
    Description::default().at("/healthz", "get", alive).at("/readyz", "get", ready).at(
        "/metrics",
        "get",
        operation("metrics", "Get the metrics, for Prometheus", metrics, &[]),
    )
}

async fn metrics(State(probed): State<Probed>) -> Response {
    let mut text = String::new();
    probed.engine.encode_metrics(&mut text);
    // A write to a string never fails.
    let _ = encode(&mut text, &probed.registry);
    ([(header::CONTENT_TYPE, OPENMETRICS)], text).into_response()
}

/// Always answers with status 200, which shows that the server is alive.
async fn alive() -> Response {
    Json(json!({"status": "ok"})).into_response()
}

/// Answers with status 200 if the model is ready, and otherwise with status 503 and the reason.
async fn ready(State(probed): State<Probed>) -> Response {
    let (status, body) = readiness(&probed.engine.state().borrow());
    let busy = (status == StatusCode::SERVICE_UNAVAILABLE).then_some([(RETRY_AFTER, "1")]);
    (status, busy, Json(body)).into_response()
}

/// Makes the response to `/readyz`. It leaves out the program's output, because anyone may read it
/// without a token.
fn readiness(state: &EngineState) -> (StatusCode, Value) {
    match state {
        EngineState::Ready(workers) => {
            (StatusCode::OK, json!({"status": "ready", "workers": workers}))
        }
        EngineState::Starting => {
            let reason = "the model is being loaded";
            (StatusCode::SERVICE_UNAVAILABLE, json!({"status": "starting", "reason": reason}))
        }
        EngineState::Failed(error) => {
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
    fn the_programs_output_is_left_out() {
        let output = ["FileNotFoundError: /srv/weights.bin".to_owned()];
        let error = Error::new(Kind::ModelUnavailable, "it exited with status 1");
        let (status, body) = readiness(&EngineState::Failed(error.with_output(&output)));
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(body, json!({"status": "failed", "reason": "it exited with status 1"}));
    }
}
