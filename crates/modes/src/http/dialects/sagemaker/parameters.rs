//! `GET /execution-parameters`: what batch transform asks before it sends records, unless its user has
//! set it.

use ai_integration_engine::State as EngineState;
use axum::Json;
use axum::extract::State;
use serde::Serialize;

use crate::http::dialects::sagemaker::{BatchStrategy, Shared, takes_one_file};

/// The largest request in MB unless somebody sets another limit: that of batch transform itself.
const PAYLOAD: usize = 6;
/// The maximum of MaxConcurrentTransforms times MaxPayloadInMB, by the platform's contract.
const MOST_AT_ONCE: usize = 100;

/// The parameters, with the names of the platform.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Parameters {
    max_concurrent_transforms: usize,
    batch_strategy: &'static str,
    #[serde(rename = "MaxPayloadInMB")]
    max_payload: usize,
}

pub(super) async fn get(State(state): State<Shared>) -> Json<Parameters> {
    let model = state.app.engine().model_now();
    let takes_file = model.is_some_and(|model| takes_one_file(&model.schema));
    let strategy = match state.settings.batch_strategy {
        Some(BatchStrategy::Single) => "SINGLE_RECORD",
        Some(BatchStrategy::Multi) => "MULTI_RECORD",
        None if takes_file => "SINGLE_RECORD",
        None => "MULTI_RECORD",
    };
    let transforms = transforms(&state);
    let max_payload = state.settings.max_payload.unwrap_or_else(|| {
        let accepted = (state.max_body >> 20).clamp(1, PAYLOAD);
        accepted.min(MOST_AT_ONCE / transforms.min(MOST_AT_ONCE))
    });
    Json(Parameters {
        max_concurrent_transforms: transforms,
        batch_strategy: strategy,
        max_payload,
    })
}

/// Returns the number of requests that a batch transform sends at a time: what its user has set, or as
/// many as the workers run.
pub(super) fn transforms(state: &Shared) -> usize {
    let set = state.settings.max_concurrent_transforms.filter(|set| *set > 0);
    set.unwrap_or_else(|| {
        let workers = match &*state.app.engine().state().borrow() {
            EngineState::Ready(workers) => *workers,
            EngineState::Starting | EngineState::Failed(_) => 1,
        };
        let most = state.app.max_records().min(MOST_AT_ONCE);
        workers.saturating_mul(state.concurrency).clamp(1, most)
    })
}
