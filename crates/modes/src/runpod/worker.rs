//! Takes jobs while the model has room for them, runs them and sends their results.

use std::sync::Arc;
use std::time::Duration;

use ai_integration_contract::{Error, Kind, Outcome, SettingError, json as strict};
use ai_integration_engine::{Engine, Event, Reservation, State, Ticket};
use axum::extract::FromRef as _;
use axum::http::{HeaderMap, HeaderValue};
use serde_json::{Map, Value as Json};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::console::eprint;
use crate::exit::ExitStatus;
use crate::http::app::App;
use crate::http::config::HttpSettings;
use crate::http::failure::Failure;
use crate::http::headless;
use crate::http::inputs::call::Call;
use crate::http::inputs::intake::Intake;
use crate::http::inputs::request::RequestInputs;
use crate::http::large::work_on;
use crate::http::limits::ClientLimits;
use crate::http::request_context::{REQUEST_ID, RequestContext, RequestId};
use crate::http::start_failure::start_failure;
use crate::mode::Context;
use crate::running::{Registration, Running};
use crate::runpod::answer;
use crate::runpod::control::{Control, Taken, Unsent};
use crate::runpod::job::Job;
use crate::runpod::parts::Parts;
use crate::runpod::settings::{Addresses, Settings};

/// The label of the jobs in the log.
const ROUTE: &str = "runpod";
/// The shortest times from one request for jobs that had none, or for jobs that must end and had none,
/// to the next. The platform holds such a request open, but may answer at once.
const SHORTEST: Duration = Duration::from_millis(200);
const SHORTEST_FOR_STOPS: Duration = Duration::from_secs(1);
/// The pause if the platform asks for one.
const TOO_OFTEN: Duration = Duration::from_secs(5);
/// The pauses after requests that failed, one after the other.
const AFTER_FAILURES: [Duration; 4] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(3),
    Duration::from_secs(5),
];
/// The time between looks at the room that the model has, while it has none.
const LOOK: Duration = Duration::from_millis(500);
/// The time for sending the last results after the time to stop has passed.
const LAST_RESULTS: Duration = Duration::from_secs(5);

/// Takes jobs until the mode must stop.
pub(crate) async fn serve(context: Context) -> ExitStatus {
    let (worker, stop_timeout) = match Worker::read(&context) {
        Ok((worker, stop_timeout)) => (Arc::new(worker), stop_timeout),
        Err(error) => {
            eprint(format_args!("error: {error}"));
            return ExitStatus::Usage;
        }
    };
    let mut jobs = JoinSet::new();
    // Dropped at the end: the platform is told of the jobs until the last one has ended.
    let mut background = JoinSet::new();
    let mut state = context.engine.state();
    let failed = start_failure(&mut state, context.config.reload, context.logs_for_people);
    let status = tokio::select! {
        () = worker.clone().take_all(&mut jobs, &mut background) => ExitStatus::Done,
        () = context.stop.cancelled() => {
            tracing::info!("stopping; {} jobs run", jobs.len());
            ExitStatus::Done
        }
        () = failed => ExitStatus::ModelUnavailable,
    };
    let times = (stop_timeout, LAST_RESULTS);
    headless::finish(&mut jobs, &context.engine, times, "jobs").await;
    status
}

/// The model as a worker of the platform.
struct Worker {
    app: App,
    engine: Engine,
    intake: Intake,
    control: Control,
    /// The jobs whose results are not yet sent.
    running: Running,
    /// The maximum length of a streamed result, in bytes.
    most: usize,
    logs_for_people: bool,
    host: String,
}

impl Worker {
    fn read(context: &Context) -> Result<(Self, Duration), SettingError> {
        let limits = ClientLimits::read(&context.environment)?;
        let stop_timeout = HttpSettings::read(&context.environment)?.stop_timeout;
        let addresses = Addresses::read(&context.environment)?;
        let control = Control::new(addresses, limits.max_body).map_err(|error| {
            let reason = format!("the HTTP client cannot be started: {error}");
            Settings::get_job().invalid("…", reason)
        })?;
        let app = headless::app(context, limits)?;
        let host = context.environment.variable("RUNPOD_POD_HOSTNAME").unwrap_or("unknown");
        let worker = Worker {
            intake: Intake::from_ref(&app),
            app,
            engine: context.engine.clone(),
            control,
            running: Running::default(),
            most: limits.max_body,
            logs_for_people: context.logs_for_people,
            host: host.to_owned(),
        };
        Ok((worker, stop_timeout))
    }

    /// Takes jobs once the model is ready, and never ends.
    async fn take_all(self: Arc<Self>, jobs: &mut JoinSet<()>, background: &mut JoinSet<()>) {
        let mut state = self.engine.state();
        if state.wait_for(|state| matches!(state, State::Ready(_))).await.is_err() {
            return;
        }
        tracing::info!("ready; taking jobs as the worker {}", self.control.addresses().worker);
        background.spawn(self.clone().ping());
        background.spawn(self.clone().end_stopped());
        let mut failures = 0;
        loop {
            while jobs.try_join_next().is_some() {}
            let room = self.engine.places().saturating_sub(jobs.len());
            if room == 0 {
                let _ = timeout(LOOK, jobs.join_next()).await;
                if jobs.is_empty() {
                    sleep(SHORTEST).await;
                }
                continue;
            }
            let begun = Instant::now();
            match self.take(room, !jobs.is_empty(), jobs).await {
                Ok(pause) => {
                    failures = 0;
                    sleep(pause.saturating_sub(begun.elapsed())).await;
                }
                Err(why) => {
                    let pause = after_failure(&mut failures);
                    // Not every failure of an outage, which the log would be full of.
                    if failures.is_power_of_two() {
                        tracing::warn!("no job was taken, {failures} times in a row: {why}");
                    }
                    sleep(pause).await;
                }
            }
        }
    }

    /// Takes up to `room` jobs and starts them. Returns the shortest time until the next attempt.
    async fn take(
        self: &Arc<Self>,
        room: usize,
        is_busy: bool,
        jobs: &mut JoinSet<()>,
    ) -> Result<Duration, String> {
        let mut reservation = self.intake.reader().reserve_for(None);
        match self.control.take(room, is_busy, &mut reservation).await? {
            Taken::Nothing => Ok(SHORTEST),
            Taken::TooOften => Ok(TOO_OFTEN),
            Taken::Jobs(taken) => {
                let mut started = 0;
                for json in taken {
                    // A job has the memory of its part of the answer until it ends.
                    let part = reservation.split(strict::extent(&json, usize::MAX));
                    match Job::read(json) {
                        Ok(job) => started += usize::from(self.start(job, part, jobs)),
                        Err(why) => tracing::error!("a job cannot be read: {why}"),
                    }
                }
                if started == 0 {
                    return Err("the answer has no job that could be started".to_owned());
                }
                Ok(Duration::ZERO)
            }
        }
    }

    /// Starts a job. Returns false if it is running already.
    fn start(self: &Arc<Self>, job: Job, memory: Reservation, jobs: &mut JoinSet<()>) -> bool {
        let Some(registration) = self.running.register(job.id.clone()) else {
            tracing::warn!(request_id = job.id, "the job is running already");
            return false;
        };
        jobs.spawn(self.clone().work(job, memory, registration));
        true
    }

    /// Runs a job and sends its result, unless the platform ends it.
    async fn work(self: Arc<Self>, job: Job, memory: Reservation, registration: Registration) {
        let Job { id, inputs, timeout } = job;
        let begun = Instant::now();
        let call = self.call(&id, timeout);
        let context = call.context.clone();
        let mut is_stream = false;
        let ended = async {
            let ticket = self.submit(call, inputs?, memory).await?;
            self.follow(&id, ticket, &mut is_stream).await
        };
        let Some(ended) = registration.unless_cancelled(ended).await else {
            tracing::info!(request_id = id, "the job was cancelled");
            return;
        };
        let body = match ended {
            Ok(outcome) => {
                let size = answer::PASSES * outcome.data.len();
                work_on(size, move || answer::whole(&outcome)).await
            }
            Err(failure) => {
                self.app.record_late(&failure, &context);
                Ok(self.error(&failure))
            }
        };
        let body = body.unwrap_or_else(|error| self.error(&error.into()));
        self.send(&id, body, is_stream).await;
        tracing::debug!(request_id = id, "the job took {} ms", begun.elapsed().as_millis());
    }

    /// Submits a job. `memory` is that of the inputs' text.
    async fn submit(
        &self,
        call: Call,
        inputs: Map<String, Json>,
        memory: Reservation,
    ) -> Result<Ticket, Failure> {
        let inputs = RequestInputs::from_members(inputs, memory)?;
        Ok(self.app.submit(call, inputs).await?.1)
    }

    /// Waits for the result. The parts of a streamed result are sent as they arrive.
    async fn follow(
        &self,
        id: &str,
        mut ticket: Ticket,
        is_stream: &mut bool,
    ) -> Result<Outcome, Failure> {
        let Some(Event::Chunk { content_type, data }) = ticket.event().await else {
            return Failure::check_outcome(ticket.outcome().await?);
        };
        *is_stream = true;
        let mut parts = Parts::of(content_type, self.most);
        parts.add(data)?;
        let mut is_heard = self.control.takes_parts();
        let (mut sending, mut has_ended) = (None, false);
        loop {
            if is_heard && sending.is_none() {
                let next = parts.next(has_ended);
                sending = next.map(|body| Box::pin(self.control.part(id, body.into())));
            }
            tokio::select! {
                // The model is never held back by the platform.
                event = ticket.event(), if !has_ended => match event {
                    Some(Event::Chunk { data, .. }) => parts.add(data)?,
                    Some(_) => {}
                    None => has_ended = true,
                },
                sent = async { Some(sending.as_mut()?.await) }, if sending.is_some() => {
                    sending = None;
                    if let Some(Err(Unsent { why, .. })) = sent {
                        tracing::warn!(request_id = id, "no further part is streamed: {why}");
                        is_heard = false;
                    }
                }
                else => break,
            }
        }
        match ticket.outcome().await? {
            outcome if outcome.success => Failure::check_outcome(parts.whole()),
            outcome => Err(Failure::of_model(&outcome)),
        }
    }

    /// Sends the result of a job. If the platform refuses it, such as for its size, sends an error
    /// instead, so that the job does not stay without a result.
    async fn send(&self, id: &str, body: Vec<u8>, is_stream: bool) {
        let size = body.len();
        let Err(Unsent { is_refused, why }) = self.control.output(id, body.into(), is_stream).await
        else {
            return;
        };
        tracing::error!(request_id = id, "the result of {size} bytes was not sent: {why}");
        if is_refused {
            let message = format!("the result of {size} bytes was refused: {why}");
            let error = Error::new(Kind::TooLarge, message);
            let body = self.error(&error.into());
            if let Err(Unsent { why, .. }) = self.control.output(id, body.into(), is_stream).await {
                tracing::error!(request_id = id, "the error was not sent: {why}");
            }
        }
    }

    fn error(&self, failure: &Failure) -> Vec<u8> {
        let worker = &self.control.addresses().worker;
        answer::error(failure, self.app.wording(), worker, &self.host)
    }

    fn call(&self, id: &str, timeout: Option<Duration>) -> Call {
        let id = HeaderValue::try_from(id).map(|id| (REQUEST_ID, id));
        let context = RequestContext {
            id: RequestId::of(&id.into_iter().collect::<HeaderMap>()),
            client: None,
            route: ROUTE,
            traceparent: None,
            timing: None,
            is_logged_for_people: self.logs_for_people,
        };
        Call::plain(context, timeout, self.engine.announce())
    }

    /// Tells the platform regularly that the worker is alive and has these jobs.
    async fn ping(self: Arc<Self>) {
        let Some(url) = &self.control.addresses().ping else {
            tracing::debug!("no address for pings is set");
            return;
        };
        let mut was_heard = true;
        loop {
            let pinged = self.control.ping(url, &self.running.keys()).await;
            match &pinged {
                Err(why) if was_heard => tracing::warn!("a ping failed: {why}"),
                Err(why) => tracing::debug!("a ping failed: {why}"),
                Ok(()) => {}
            }
            was_heard = pinged.is_ok();
            sleep(self.control.addresses().ping_interval).await;
        }
    }

    /// Ends the jobs that the platform names.
    async fn end_stopped(self: Arc<Self>) {
        let Some(url) = &self.control.addresses().stop else {
            tracing::warn!(
                "RUNPOD_WEBHOOK_GET_JOB has an unknown form, so jobs cannot be cancelled"
            );
            return;
        };
        let mut failures = 0;
        loop {
            let begun = Instant::now();
            match self.control.stops(url).await {
                Ok(Some(ids)) => {
                    failures = 0;
                    for id in &ids {
                        self.running.cancel(id);
                    }
                    let shortest = if ids.is_empty() { SHORTEST_FOR_STOPS } else { SHORTEST };
                    sleep(shortest.saturating_sub(begun.elapsed())).await;
                }
                Ok(None) => sleep(TOO_OFTEN).await,
                Err(why) => {
                    tracing::debug!("the platform does not tell which jobs must end: {why}");
                    sleep(after_failure(&mut failures)).await;
                }
            }
        }
    }
}

/// Counts a failure, and returns the pause after it.
fn after_failure(failures: &mut usize) -> Duration {
    let pause = AFTER_FAILURES[(*failures).min(AFTER_FAILURES.len() - 1)];
    *failures += 1;
    pause
}
