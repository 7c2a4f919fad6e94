//! The parts of a mode that reads requests as `http` does, but listens on no port: the state of the
//! handlers, with the same limits and checks of inputs, and the end.

use std::sync::Arc;
use std::time::Duration;

use ai_integration_contract::SettingError;
use ai_integration_contract::setting::Absent;
use ai_integration_engine::{Budget, Engine};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;
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

/// Waits until the tasks have ended. If they take longer than `time`, ends their jobs, and gives the
/// tasks the time `last` to send their answers. `what` names the tasks in the log.
pub(crate) async fn finish<T: 'static>(
    tasks: &mut JoinSet<T>,
    engine: &Engine,
    (time, last): (Duration, Duration),
    what: &str,
) {
    if timeout(time, all_ended(tasks)).await.is_err() {
        tracing::warn!("some {what} did not end within AI_INTEGRATION_STOP_TIMEOUT");
        engine.shut_down();
        let _ = timeout(last, all_ended(tasks)).await;
    }
}

async fn all_ended<T: 'static>(tasks: &mut JoinSet<T>) {
    while tasks.join_next().await.is_some() {}
}

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
