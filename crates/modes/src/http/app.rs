//! The state that the handlers of all addresses share, and the one way from a request to the model.

use std::sync::Arc;
use std::time::Duration;

use ai_integration_contract::{Error, Inputs, Kind, RawInputs, Value};
use ai_integration_engine::{About, Engine, Model, Request, Reservation, Ticket};
use axum::extract::FromRef;
use serde_json::Value as Json;
use tokio::sync::Semaphore;

use crate::http::about;
use crate::http::failure::{Failure, Wording};
use crate::http::inputs::call::Call;
use crate::http::inputs::fetch::{self, Fetcher};
use crate::http::inputs::images;
use crate::http::inputs::intake::Intake;
use crate::http::inputs::request::{RequestInputs, extent, footprint};
use crate::http::large::{LARGE, work_on};
use crate::http::metrics::HttpMetrics;
use crate::http::request_context::RequestContext;
use crate::http::wire::guard::frames::FrameAncestors;

/// The time for which a client that asks for the schema waits for a model that is being loaded.
const DESCRIPTION: Duration = Duration::from_secs(10);

/// The state that the handlers share. A dialect's own state holds it beside what else it needs, and gives it
/// to the extractors by `impl FromRef<State> for App`.
#[derive(Clone)]
pub(crate) struct App {
    shared: Arc<Shared>,
    intake: Intake,
}

/// The parts that the settings make.
pub(crate) struct Shared {
    /// The operator's words on the model.
    pub(crate) about: About,
    pub(crate) images: images::ImageRules,
    pub(crate) fetcher: Fetcher,
    pub(crate) wording: Wording,
    /// The sites that may show the pages in a frame.
    pub(crate) frames: FrameAncestors,
    /// True where requests have to carry a secret.
    pub(crate) needs_token: bool,
    /// True where the program is started anew when its files change, and the page follows that.
    pub(crate) is_watched: bool,
    pub(crate) metrics: Arc<HttpMetrics>,
    /// Requests that may wait until the model has told its schema; only then can they be queued.
    pub(crate) early: Semaphore,
}

impl Shared {
    /// Holds inputs against the schema, and makes room for what they take up once they are read.
    fn resolve(
        &self,
        model: &Model,
        raw: RawInputs,
        counted: usize,
        mut reservation: Reservation,
    ) -> Result<(Inputs, Reservation), Failure> {
        // A value that was JSON already has been counted as it came; text that is read as JSON is
        // counted now.
        let inputs = model.schema.resolve(raw)?;
        let read: usize = inputs.values().map(Value::footprint).sum();
        if !reservation.add(read.saturating_sub(counted)) {
            return Err(Failure::full());
        }
        self.images.check(&model.schema, &inputs)?;
        Ok((inputs, reservation))
    }
}

impl App {
    pub(crate) fn new(shared: Shared, intake: Intake) -> Self {
        App { shared: Arc::new(shared), intake }
    }

    /// The same for addresses whose requests are read by `intake`.
    pub(crate) fn with_intake(&self, intake: Intake) -> Self {
        App { shared: self.shared.clone(), intake }
    }

    /// Holds the inputs against the schema and queues them, whatever the dialect.
    pub(crate) async fn submit(
        &self,
        mut call: Call,
        inputs: RequestInputs,
    ) -> Result<(Arc<Model>, Ticket), Failure> {
        let model = self.model(&mut call).await?;
        let request = self.prepare(&model, &mut call, inputs).await?;
        Ok((model, self.engine().submit(request).await?))
    }

    /// Waits for the model's schema, as long as the call has time.
    pub(crate) async fn model(&self, call: &mut Call) -> Result<Arc<Model>, Failure> {
        call.timeout = self.engine().limit(call.timeout);
        if let Some(model) = self.engine().model_now() {
            return Ok(model);
        }
        let full = |_| Error::new(Kind::QueueFull, "too many requests wait for the model");
        let _place = self.shared.early.try_acquire().map_err(full)?;
        Ok(call.wait_for(self.engine().model()).await??)
    }

    /// Makes a request to the model of inputs that fit its schema. A call may carry several: each
    /// takes its part of the memory that the whole has reserved.
    pub(crate) async fn prepare(
        &self,
        model: &Arc<Model>,
        call: &mut Call,
        inputs: RequestInputs,
    ) -> Result<Request, Failure> {
        let RequestInputs { raw, mut reservation } = inputs;
        let counted: usize = raw.values().map(footprint).sum();
        let mut raw = self.gathered(model, call, raw).await?;
        if fetch::has_address(&model.schema, &raw) {
            // A batch must not wait for another server.
            call.announcement = None;
            let id = call.context.id.clone();
            let fetched = self.shared.fetcher.fetch(&model.schema, &mut raw, &mut reservation, &id);
            Box::pin(call.wait_for(fetched)).await??;
        }
        let size = extent(&raw);
        let (inputs, reservation) = if size < LARGE {
            self.shared.resolve(model, raw, counted, reservation)?
        } else {
            let (model, shared) = (model.clone(), self.shared.clone());
            let resolve = move || shared.resolve(&model, raw, counted, reservation);
            Box::pin(call.wait_for(work_on(size, resolve))).await???
        };
        let request = Request::new(inputs)
            .timeout(call.timeout)
            .timing(call.context.timing.clone())
            .reservation(reservation);
        Ok(if call.is_followed { request.follow() } else { request })
    }

    /// Puts together the values that a form has for each list.
    async fn gathered(
        &self,
        model: &Arc<Model>,
        call: &mut Call,
        mut raw: RawInputs,
    ) -> Result<RawInputs, Failure> {
        if !model.schema.has_lists() {
            return Ok(raw);
        }
        let (model, size) = (model.clone(), extent(&raw));
        let gather = move || model.schema.gather(&mut raw).map(|()| raw);
        Ok(Box::pin(call.wait_for(work_on(size, gather))).await???)
    }

    /// The model, for which a starting one is waited for a little.
    pub(crate) async fn loaded_model(&self) -> Result<Arc<Model>, Error> {
        let starting = |_| Error::new(Kind::ModelUnavailable, "the model is still being loaded");
        tokio::time::timeout(DESCRIPTION, self.engine().model()).await.map_err(starting)?
    }

    /// The model for a front end, such as the page.
    pub(crate) fn for_front_end(&self, model: &Model) -> Json {
        serde_json::json!({
            "inputs_schema": model.schema.source(),
            "inputs": model.schema.describe(),
            "visualizer_config": model.visualizer_config,
            "model": self.about(model),
            "needs_token": self.needs_token(),
        })
    }

    /// The words on the model for people: the operator's, or else the author's.
    pub(crate) fn about(&self, model: &Model) -> About {
        about::over(&self.shared.about, &model.about)
    }

    /// Counts and logs a failure that comes after the head of its answer.
    pub(crate) fn record_late(&self, failure: &Failure, context: &RequestContext) {
        self.shared.metrics.refused(failure.code());
        failure.log(context);
    }

    pub(crate) fn engine(&self) -> &Engine {
        self.intake.engine()
    }

    pub(crate) fn wording(&self) -> Wording {
        self.shared.wording
    }

    pub(crate) fn frames(&self) -> &FrameAncestors {
        &self.shared.frames
    }

    pub(crate) fn needs_token(&self) -> bool {
        self.shared.needs_token
    }

    pub(crate) fn is_watched(&self) -> bool {
        self.shared.is_watched
    }
}

impl<S> FromRef<S> for Intake
where
    App: FromRef<S>,
{
    fn from_ref(state: &S) -> Self {
        App::from_ref(state).intake
    }
}
