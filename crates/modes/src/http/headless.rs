//! Makes the state of the handlers for a mode that reads requests as `http` does, but listens on no
//! port: with the same limits and checks of inputs.

use std::sync::Arc;

use ai_integration_contract::SettingError;
use ai_integration_contract::setting::Absent;
use ai_integration_engine::Budget;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use crate::http::about::Operator;
use crate::http::app::{App, Parts};
use crate::http::failure;
use crate::http::inputs::body::BodyReader;
use crate::http::inputs::fetch::Fetcher;
use crate::http::inputs::images::ImageRules;
use crate::http::inputs::intake::Intake;
use crate::http::limits::ClientLimits;
use crate::http::metrics::HttpMetrics;
use crate::http::tensors::statistics::Statistics;
use crate::http::wire::guard::frames::FrameAncestors;
use crate::mode::Context;

/// Makes the state, for requests within these limits.
pub(crate) fn app(context: &Context, limits: ClientLimits) -> Result<App, SettingError> {
    let environment = &context.environment;
    let reader = BodyReader::new(limits, Budget::new(limits.in_flight()));
    let parts = Parts {
        operator: Operator::read(environment)?,
        images: ImageRules::read(environment)?,
        fetcher: Fetcher::read(environment, limits.max_body)?,
        wording: failure::Settings::read(environment)?.errors,
        frames: FrameAncestors::absent(),
        dialects: Vec::new(),
        needs_token: false,
        is_watched: context.config.reload,
        metrics: Arc::new(HttpMetrics::default()),
        early: Semaphore::new(context.config.queue),
        max_records: context.config.queue,
        statistics: Statistics::default(),
        stop: context.stop.clone(),
        detached: TaskTracker::new(),
    };
    Ok(App::new(parts, Intake::new(context.engine.clone(), reader)))
}
