//! The addresses that platforms probe: `/healthz` for the server, `/readyz`, `/health` and `/ping` for
//! the model, those of a hosting platform's own, and `/metrics` (OpenMetrics 1.0).

use std::sync::Arc;

use ai_integration_contract::{Environment, SettingError};
use ai_integration_engine::{Engine, State as EngineState};
use axum::Json;
use axum::extract::State;
use axum::http::header::{self, RETRY_AFTER};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use serde_json::{Value, json};

use crate::http::description::{Description, content, json_response, operation};
use crate::http::routes::{Mounted, Routes, is_address};
use crate::platform::{Health, Profile, Statuses};

const OPENMETRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

/// The addresses at which the hosting platform asks for the health of the model.
pub(crate) struct Probes {
    statuses: Statuses,
    /// The addresses of the platform's own, each with the body of its response.
    own: Vec<(&'static str, &'static str)>,
}

impl Probes {
    /// Reads what the platform asks.
    ///
    /// # Errors
    /// A variable of the platform names an address that is none.
    pub(crate) fn read(
        platform: Option<&'static Profile>,
        environment: &Environment,
    ) -> Result<Self, SettingError> {
        let Profile { statuses, health, .. } = platform.unwrap_or(&Profile::PLAIN);
        let mut own: Vec<(&'static str, &'static str)> = Vec::new();
        for Health { address, body } in *health {
            let Some((path, variable)) = address.find(environment) else { continue };
            if !is_address(path) {
                let (name, value) = (variable.unwrap_or_default(), path.to_owned());
                let reason = "expected an address, such as /health".to_owned();
                return Err(SettingError::Invalid { name, value, reason });
            }
            // The address lives as long as the server, like the addresses in the code.
            own.push((path.to_owned().leak(), body));
        }
        Ok(Probes { statuses: *statuses, own })
    }

    /// Returns the platform's own addresses.
    pub(crate) fn addresses(&self) -> Vec<&'static str> {
        self.own.iter().map(|(address, _)| *address).collect()
    }

    /// Returns the statuses for the state of the model.
    pub(crate) fn statuses(&self) -> Statuses {
        self.statuses
    }

    /// Makes the platform's own addresses; `None` if it has none.
    pub(crate) fn mount(&self, engine: Engine) -> Option<Mounted> {
        let statuses = self.statuses;
        let routes = self.own.iter().fold(Routes::new(), |routes, &(address, body)| {
            let answer = async move |State(engine): State<Engine>| {
                let status = status(statuses, &engine.state().borrow());
                if status == StatusCode::OK {
                    (status, body).into_response()
                } else {
                    empty(status)
                }
            };
            routes.at(address, get(answer))
        });
        (!self.own.is_empty()).then(|| routes.with_state(engine))
    }
}

#[derive(Clone)]
struct Probed {
    engine: Engine,
    /// The metrics of the server.
    registry: Arc<Registry>,
    /// The statuses that the platform expects.
    statuses: Statuses,
}

pub(crate) fn mount(engine: Engine, registry: Registry, statuses: Statuses) -> Mounted {
    Routes::new()
        .at("/healthz", get(alive))
        .at("/readyz", get(ready))
        .at("/ping", get(ping))
        .at("/health", get(health))
        .at("/metrics", get(metrics))
        .with_state(Probed { engine, registry: Arc::new(registry), statuses })
}

pub(crate) fn describe() -> Description {
    let not_ready = || json_response("The model is not ready; `reason` says why");
    let is_ready = || json_response("The model is ready");
    let mut ready = operation("readyz", "Check that the model is ready", is_ready(), &[]);
    ready["responses"]["503"] = not_ready();
    let is_alive = json_response("The server is alive");
    let mut alive = operation("healthz", "Check that the server is alive", is_alive, &[]);
    let mut health = operation(
        "health",
        "Check that the model is ready, for hosting platforms",
        is_ready(),
        &[],
    );
    health["responses"]["503"] = not_ready();
    let empty = |text: &str| json!({"description": text});
    let summary = "Check that the model is ready, without a body";
    let mut ping = operation("ping", summary, empty("The model is ready"), &[]);
    ping["responses"]["503"] = empty("The model is not ready");
    // Platforms probe these without a token.
    for open in [&mut ready, &mut alive, &mut health, &mut ping] {
        open["security"] = json!([]);
    }
    let text = json!({"application/openmetrics-text": {"schema": {"type": "string"}}});
    let metrics = content("OpenMetrics 1.0", &text);
    Description::default()
        .at("/healthz", "get", alive)
        .at("/readyz", "get", ready)
        .at("/ping", "get", ping)
        .at("/health", "get", health)
        .at(
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
    (status, busy(status), Json(body)).into_response()
}

/// Answers like [`ready`], with the statuses that the platform expects.
async fn health(State(probed): State<Probed>) -> Response {
    let state = probed.engine.state().borrow().clone();
    let status = status(probed.statuses, &state);
    if status == StatusCode::NO_CONTENT {
        return empty(status);
    }
    (status, busy(status), Json(readiness(&state).1)).into_response()
}

/// Answers with the status that the platform expects, and no body.
async fn ping(State(probed): State<Probed>) -> Response {
    empty(status(probed.statuses, &probed.engine.state().borrow()))
}

/// Returns the header that asks for another try, for the status that has it.
fn busy(status: StatusCode) -> Option<[(HeaderName, &'static str); 1]> {
    (status == StatusCode::SERVICE_UNAVAILABLE).then_some([(RETRY_AFTER, "1")])
}

fn empty(status: StatusCode) -> Response {
    (status, busy(status), ()).into_response()
}

fn status(statuses: Statuses, state: &EngineState) -> StatusCode {
    let number = match state {
        EngineState::Ready(_) => statuses.ready,
        EngineState::Starting => statuses.loading,
        EngineState::Failed(_) => statuses.failed,
    };
    StatusCode::from_u16(number).unwrap_or(StatusCode::SERVICE_UNAVAILABLE)
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
