//! The addresses that platforms ask whatever the clients speak: whether the server is alive, whether
//! the model is ready, and what has been counted (OpenMetrics 1.0).

use std::sync::Arc;

use ai_integration_engine::{Engine, State};
use axum::Json;
use axum::extract::State as Shared;
use axum::http::header::{self, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use serde_json::{Value, json};

use crate::http::description::{Description, content, json_answer, operation};
use crate::http::routes::{Mounted, Routes};

const OPENMETRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

#[derive(Clone)]
struct Probed {
    engine: Engine,
    /// The server's counts.
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
    let mut ready = operation("readyz", "Whether the model is ready", json_answer("It is"), &[]);
    ready["responses"]["503"] = json_answer("It is not; `reason` says why");
    let mut alive = operation("healthz", "Whether the server is alive", json_answer("It is"), &[]);
    // Platforms ask them without a token.
    for open in [&mut ready, &mut alive] {
        open["security"] = json!([]);
    }
    let text = json!({"application/openmetrics-text": {"schema": {"type": "string"}}});
    let counted = content("OpenMetrics 1.0", &text);
    Description::default().at("/healthz", "get", alive).at("/readyz", "get", ready).at(
        "/metrics",
        "get",
        operation("metrics", "What is counted, for Prometheus", counted, &[]),
    )
}

async fn metrics(Shared(probed): Shared<Probed>) -> Response {
    let mut text = String::new();
    probed.engine.encode_metrics(&mut text);
    // Writing to a string does not fail.
    let _ = encode(&mut text, &probed.registry);
    ([(header::CONTENT_TYPE, OPENMETRICS)], text).into_response()
}

/// The server answers; that is all this says.
async fn alive() -> Response {
    Json(json!({"status": "ok"})).into_response()
}

/// Tells whether a request would be worked on now, and if not, why.
async fn ready(Shared(probed): Shared<Probed>) -> Response {
    let (status, body) = readiness(&probed.engine.state().borrow());
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
