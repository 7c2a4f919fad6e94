//! The state that all handlers share, and the steps from a request to a job of the model.

use std::sync::Arc;
use std::time::Duration;

use ai_integration_contract::{Error, Inputs, Kind, RawInputs, Value};
use ai_integration_engine::{About, Engine, Model, Request, Reservation, State, Ticket};
use axum::extract::FromRef;
use serde_json::Value as Json;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::http::about::Operator;
use crate::http::failure::{Failure, Wording};
use crate::http::inputs::call::Call;
use crate::http::inputs::fetch::{self, Fetcher};
use crate::http::inputs::files;
use crate::http::inputs::images;
use crate::http::inputs::intake::Intake;
use crate::http::inputs::request::{RequestInputs, extent, footprint};
use crate::http::large::{LARGE, work_on};
use crate::http::metrics::HttpMetrics;
use crate::http::request_context::RequestContext;
use crate::http::tensors::statistics::Statistics;
use crate::http::wire::guard::frames::FrameAncestors;

/// The time that a request for the schema waits while the model is being loaded.
const SCHEMA_TIMEOUT: Duration = Duration::from_secs(10);

/// The state that all handlers share. A dialect with a state of its own keeps an `App` in it, and
/// gives the `App` to the extractors with `impl FromRef<State> for App`.
#[derive(Clone)]
pub(crate) struct App {
    parts: Arc<Parts>,
    intake: Intake,
}

/// The parts of an [`App`] that are the same for all addresses.
pub(crate) struct Parts {
    /// The operator's name, description, version and id of the model.
    pub(crate) operator: Operator,
    pub(crate) images: images::ImageRules,
    pub(crate) fetcher: Fetcher,
    pub(crate) wording: Wording,
    /// The sites that may show the pages in a frame.
    pub(crate) frames: FrameAncestors,
    /// The names of the dialects that are served.
    pub(crate) dialects: Vec<&'static str>,
    /// True if requests must have a token.
    pub(crate) needs_token: bool,
    /// True if the engine restarts the program when its files change. An open page then polls the
    /// revision.
    pub(crate) is_watched: bool,
    pub(crate) metrics: Arc<HttpMetrics>,
    /// Limits the requests that wait for the inputs schema. They cannot be queued without it.
    pub(crate) early: Semaphore,
    /// The maximum number of records in a request, which is the length of the queue.
    pub(crate) max_records: usize,
    /// Counts the requests of protocols with tensors.
    pub(crate) statistics: Statistics,
    /// Cancelled when the server begins to stop.
    pub(crate) stop: CancellationToken,
    /// The work that goes on when its client disconnects. The server waits for it when it stops.
    pub(crate) detached: TaskTracker,
}

impl Parts {
    /// Checks inputs against the schema, and reserves the memory that their values take up.
    fn resolve(
        &self,
        model: &Model,
        mut raw: RawInputs,
        counted: usize,
        mut reservation: Reservation,
    ) -> Result<(Inputs, Reservation), Failure> {
        files::decode(&model.schema, &mut raw);
        // JSON was counted when it was read. Text that has only now been parsed as JSON is counted
        // here.
        let inputs = model.schema.resolve(raw)?;
        let needed: usize = inputs.values().map(Value::footprint).sum();
        if !reservation.add(needed.saturating_sub(counted)) {
            return Err(Failure::full());
        }
        self.images.check(&model.schema, &inputs)?;
        Ok((inputs, reservation))
    }
}

impl App {
    pub(crate) fn new(parts: Parts, intake: Intake) -> Self {
        App { parts: Arc::new(parts), intake }
    }

    /// Returns the same state for addresses whose requests `intake` reads.
    pub(crate) fn with_intake(&self, intake: Intake) -> Self {
        App { parts: self.parts.clone(), intake }
    }

    /// Checks the inputs against the schema and submits them to the engine, for every dialect.
    pub(crate) async fn submit(
        &self,
        mut call: Call,
        inputs: RequestInputs,
    ) -> Result<(Arc<Model>, Ticket), Failure> {
        let model = self.model(&mut call).await?;
        let request = self.prepare(&model, &mut call, inputs).await?;
        Ok((model, self.engine().submit(request).await?))
    }

    /// Waits for the model and its schema, at most until the call's timeout.
    pub(crate) async fn model(&self, call: &mut Call) -> Result<Arc<Model>, Failure> {
        call.timeout = self.engine().limit(call.timeout);
        if let Some(model) = self.engine().model_now() {
            return Ok(model);
        }
        let full = |_| Error::new(Kind::QueueFull, "too many requests wait for the model");
        let _permit = self.parts.early.try_acquire().map_err(full)?;
        Ok(call.wait_for(self.engine().model()).await??)
    }

    /// Checks the inputs against the schema, and makes the engine's request from them. A call may
    /// have the inputs of several jobs. Each job then takes a part of the memory reserved for the
    /// call.
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
            // A batch must not wait for a download.
            call.announcement = None;
            let id = call.context.id.clone();
            let fetched = self.parts.fetcher.fetch(&model.schema, &mut raw, &mut reservation, &id);
            Box::pin(call.wait_for(fetched)).await??;
        }
        let size = extent(&raw);
        let (inputs, reservation) = if size < LARGE {
            self.parts.resolve(model, raw, counted, reservation)?
        } else {
            let (model, parts) = (model.clone(), self.parts.clone());
            let resolve = move || parts.resolve(&model, raw, counted, reservation);
            Box::pin(call.wait_for(work_on(size, resolve))).await???
        };
        let request = Request::new(inputs)
            .timeout(call.timeout)
            .timing(call.context.timing.clone())
            .reservation(reservation);
        Ok(if call.is_followed { request.follow() } else { request })
    }

    /// Collects the values that a form has for each list.
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

    /// Returns the model. While it is being loaded, waits up to 10 s.
    pub(crate) async fn loaded_model(&self) -> Result<Arc<Model>, Error> {
        let starting = |_| Error::new(Kind::ModelUnavailable, "the model is still being loaded");
        tokio::time::timeout(SCHEMA_TIMEOUT, self.engine().model()).await.map_err(starting)?
    }

    /// Returns the reason why the model cannot take requests now, or `None` if it can. The reason
    /// leaves out the program's output.
    pub(crate) fn unready(&self) -> Option<String> {
        match &*self.engine().state().borrow() {
            State::Ready(_) => None,
            State::Starting => Some("the model is being loaded".to_owned()),
            State::Failed(error) => Some(error.message.to_string()),
        }
    }

    /// Describes the model for a front end, such as the page.
    pub(crate) fn for_front_end(&self, model: &Model) -> Json {
        serde_json::json!({
            "inputs_schema": model.schema.source(),
            "inputs": model.schema.describe(),
            "outputs": model.outputs.describe(),
            "tasks": model.tasks,
            "dialects": self.parts.dialects,
            "visualizer_config": model.visualizer_config,
            "model": self.about(model),
            "model_id": self.model_id(model),
            "needs_token": self.needs_token(),
        })
    }

    /// Returns the model's name, description and version: the operator's, completed with the author's.
    pub(crate) fn about(&self, model: &Model) -> About {
        self.parts.operator.about(&model.about)
    }

    /// Returns the model's id, by which clients of other protocols name it.
    pub(crate) fn model_id(&self, model: &Model) -> String {
        self.parts.operator.id(&model.about)
    }

    /// Returns the model's version for clients that need one: 1 if the model has none.
    pub(crate) fn model_version<'a>(&'a self, model: &'a Model) -> &'a str {
        self.parts.operator.version(&model.about)
    }

    /// Counts and logs a failure that happens after the head of the response was sent.
    pub(crate) fn record_late(&self, failure: &Failure, context: &RequestContext) {
        self.parts.metrics.refused(failure.code());
        failure.log(context);
    }

    pub(crate) fn engine(&self) -> &Engine {
        self.intake.engine()
    }

    pub(crate) fn wording(&self) -> Wording {
        self.parts.wording
    }

    pub(crate) fn frames(&self) -> &FrameAncestors {
        &self.parts.frames
    }

    /// Returns the maximum number of records in a request.
    pub(crate) fn max_records(&self) -> usize {
        self.parts.max_records
    }

    /// Returns the counts of the requests of protocols with tensors.
    pub(crate) fn statistics(&self) -> &Statistics {
        &self.parts.statistics
    }

    /// Returns the token that is cancelled when the server begins to stop. A stream that its client
    /// keeps open must end then.
    #[cfg_attr(not(feature = "grpc"), expect(dead_code, reason = "only gRPC has such streams"))]
    pub(crate) fn stop(&self) -> &CancellationToken {
        &self.parts.stop
    }

    /// Starts work that goes on when its client disconnects.
    pub(crate) fn detach<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        self.parts.detached.spawn(work)
    }

    /// Returns true if the dialect of this name is served.
    pub(crate) fn serves(&self, dialect: &str) -> bool {
        self.parts.dialects.contains(&dialect)
    }

    pub(crate) fn needs_token(&self) -> bool {
        self.parts.needs_token
    }

    pub(crate) fn is_watched(&self) -> bool {
        self.parts.is_watched
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
