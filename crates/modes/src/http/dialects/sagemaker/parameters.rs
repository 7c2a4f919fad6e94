//! The limits of batch transform: `GET /execution-parameters` tells it those that its user has not set.

use ai_integration_contract::setting::{Count, SettingType};
use ai_integration_contract::{Environment, SettingError, settings};
use ai_integration_engine::State as EngineState;
use ai_integration_engine::settings::Config;
use axum::Json;
use axum::extract::{FromRef, State};
use serde::Serialize;

use crate::http::app::App;
use crate::http::inputs::unnamed::needs_file;
use crate::http::limits::ClientLimits;

/// The largest request in MB unless somebody sets another limit: that of batch transform itself.
const PAYLOAD: usize = 6;
/// The maximum of MaxConcurrentTransforms times MaxPayloadInMB, by the platform's contract.
const MOST_AT_ONCE: usize = 100;

settings! {
    /// The limits that the user of batch transform has set. The platform passes them on as variables.
    #[derive(Clone, Copy, Debug)]
    pub(crate) struct Settings under "Amazon SageMaker" {
        /// Largest request of a batch transform in MB, which Amazon SageMaker sets. 0 means that it
        /// sets no limit.
        max_payload: Option<Count<0, 100>> { name: "SAGEMAKER_MAX_PAYLOAD_IN_MB", flag: None },
        /// Records that a request of a batch transform has, which Amazon SageMaker sets.
        batch_strategy: Option<BatchStrategy> { name: "SAGEMAKER_BATCH_STRATEGY", flag: None },
        /// Requests of a batch transform at a time, which Amazon SageMaker sets. 0 means that it
        /// asks the server.
        max_concurrent_transforms: Option<Count<0, 10_000>> {
            name: "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS",
            flag: None
        },
    }
}

/// The number of records in a request of a batch transform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BatchStrategy {
    /// A request has as many lines as fit into it.
    Multi,
    /// A request has one line.
    Single,
}

impl BatchStrategy {
    const ALL: [BatchStrategy; 2] = [BatchStrategy::Multi, BatchStrategy::Single];

    /// Returns the name that containers know.
    fn name(self) -> &'static str {
        match self {
            BatchStrategy::Multi => "MULTI_RECORD",
            BatchStrategy::Single => "SINGLE_RECORD",
        }
    }
}

impl SettingType for BatchStrategy {
    type Value = Self;
    const VALUE_NAME: &'static str = "MULTI_RECORD|SINGLE_RECORD";

    /// Reads the name that containers know, or the one of the platform's API: `MultiRecord`.
    fn read(text: &str) -> Result<Self, String> {
        let is_named = |strategy: &BatchStrategy| {
            let name = strategy.name();
            text == name || text.eq_ignore_ascii_case(&name.replace('_', ""))
        };
        let found = BatchStrategy::ALL.into_iter().find(is_named);
        found.ok_or_else(|| BatchStrategy::ALL.map(BatchStrategy::name).join(" or "))
    }
}

/// The state that the handlers share.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) app: App,
    settings: Settings,
    /// The requests that a worker runs at a time, if the operator has set it.
    concurrency: usize,
    /// The maximum length of a body in bytes.
    max_body: usize,
}

impl Shared {
    /// Reads the settings.
    ///
    /// # Errors
    /// A setting that cannot be used.
    pub(super) fn read(environment: &Environment, app: &App) -> Result<Self, SettingError> {
        let settings = Settings::read(environment)?;
        let concurrency = Config::read(environment)?.concurrency.unwrap_or(1);
        let max_body = ClientLimits::read(environment)?.max_body;
        Ok(Shared { app: app.clone(), settings, concurrency, max_body })
    }

    /// Returns the number of requests that a batch transform sends at a time: what its user has set, or as
    /// many as the workers run.
    pub(super) fn transforms(&self) -> usize {
        let set = self.settings.max_concurrent_transforms.filter(|set| *set > 0);
        set.unwrap_or_else(|| {
            let workers = match &*self.app.engine().state().borrow() {
                EngineState::Ready(workers) => *workers,
                EngineState::Starting | EngineState::Failed(_) => 1,
            };
            let most = self.app.max_records().min(MOST_AT_ONCE);
            workers.saturating_mul(self.concurrency).clamp(1, most)
        })
    }
}

impl FromRef<Shared> for App {
    fn from_ref(state: &Shared) -> App {
        state.app.clone()
    }
}

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
    let takes_file = model.is_some_and(|model| needs_file(&model.schema));
    let usual = if takes_file { BatchStrategy::Single } else { BatchStrategy::Multi };
    let strategy = state.settings.batch_strategy.unwrap_or(usual).name();
    let transforms = state.transforms();
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
