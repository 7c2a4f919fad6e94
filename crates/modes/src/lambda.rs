//! The mode `lambda`: the model as a function of AWS Lambda. A loop asks the Runtime API for the next
//! event, runs the model, and sends the answer back.
//!
//! 1. `runtime_api.rs` is the client of the Runtime API, and `invocation.rs` an event with its
//!    deadline.
//! 2. `function.rs` answers an invocation. `http_event.rs` makes requests of events that are HTTP
//!    requests; the parts of the mode `http` answer them.
//! 3. `http_answer.rs` and `stream.rs` write the answers, and `function_error.rs` the errors.

mod function;
mod function_error;
mod http_answer;
mod http_event;
mod invocation;
mod runtime_api;
mod stream;

use std::sync::Arc;
use std::time::Duration;

use ai_integration_contract::setting::{Count, SettingType, Switch};
use ai_integration_contract::{Environment, Setting, SettingError, settings};
use ai_integration_engine::State;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use self::function::Function;
use self::function_error::FunctionError;
use self::runtime_api::{Lost, RuntimeApi};
use crate::console::eprint;
use crate::exit::ExitStatus;
use crate::http::headless::finish;
use crate::http::in_process::InProcess;
use crate::http::start_failure::start_failure;
use crate::mode::{Context, Mode, Running};

settings! {
    /// The form of the answers.
    #[derive(Clone, Copy, Debug)]
    pub(crate) struct Settings under "AWS Lambda" {
        /// Sends answers as streams in MODE=lambda, of up to 200 MB. Set it only if the function is
        /// invoked with response streaming, as by a function URL with the invoke mode
        /// RESPONSE_STREAM: a function cannot see how it is invoked, and a caller without response
        /// streaming cannot read such answers. Without it, answers have at most 6 MB.
        lambda_stream: Switch = "0",
    }
}

/// The variable with the address of the Runtime API, which Lambda sets.
const RUNTIME_API: &str = "AWS_LAMBDA_RUNTIME_API";
/// The variable with the number of invocations at a time. Lambda sets it on Managed Instances.
const MAX_CONCURRENCY: &str = "AWS_LAMBDA_MAX_CONCURRENCY";
/// The variable with the way in which Lambda starts this process.
const INITIALIZATION_TYPE: &str = "AWS_LAMBDA_INITIALIZATION_TYPE";

/// The time that the model has to load before the first event is asked for. Lambda ends a process
/// that takes 10 s, and starts it again. Invocations wait for a model that takes longer.
const ON_DEMAND: Duration = Duration::from_secs(9);
/// The same time if Lambda starts processes ahead of their first event.
const AHEAD: Duration = Duration::from_mins(15);
/// The time that running invocations have to send their answer after they were ended.
const LAST_ANSWERS: Duration = Duration::from_secs(2);

pub(crate) struct Lambda;

impl Mode for Lambda {
    fn name(&self) -> &'static str {
        "lambda"
    }

    fn hint(&self) -> &'static str {
        "Answer the events of AWS Lambda"
    }

    fn is_serving(&self) -> bool {
        true
    }

    fn settings(&self) -> &'static [&'static [&'static Setting]] {
        &[Settings::SETTINGS]
    }

    fn run(&self, context: Context) -> Running {
        Box::pin(run(context))
    }
}

/// The values of Lambda's variables.
struct Platform {
    runtime_api: String,
    loops: usize,
    init_time: Duration,
}

impl Platform {
    fn read(environment: &Environment) -> Result<Self, String> {
        let variable = |name| environment.variable(name).filter(|value| !value.is_empty());
        let Some(runtime_api) = variable(RUNTIME_API) else {
            return Err(format!(
                "MODE=lambda needs the variable {RUNTIME_API}, which AWS Lambda sets; to try a model \
                 elsewhere, use another mode, such as MODE=http"
            ));
        };
        let loops = variable(MAX_CONCURRENCY).map_or(Ok(1), Count::<1, 1000>::read);
        Ok(Platform {
            runtime_api: runtime_api.to_owned(),
            loops: loops.map_err(|expected| format!("{MAX_CONCURRENCY} is not {expected}"))?,
            init_time: match variable(INITIALIZATION_TYPE) {
                None | Some("on-demand") => ON_DEMAND,
                Some(_) => AHEAD,
            },
        })
    }
}

async fn run(context: Context) -> ExitStatus {
    let platform = match Platform::read(&context.environment) {
        Ok(platform) => platform,
        Err(problem) => {
            eprint(format_args!("error: {problem}"));
            return ExitStatus::Usage;
        }
    };
    let function = match function(&context) {
        Ok(function) => Arc::new(function),
        Err(error) => {
            eprint(format_args!("error: {error}"));
            return ExitStatus::Usage;
        }
    };
    let api = || RuntimeApi::new(&platform.runtime_api);
    let is_loaded = tokio::select! {
        is_loaded = load(&context, platform.init_time) => is_loaded,
        () = context.stop.cancelled() => return ExitStatus::Done,
    };
    let status = if is_loaded {
        serve(&context, &function, (0..platform.loops).map(|_| api())).await
    } else {
        report_failed_start(&context, &function, api()).await
    };
    function.server.stop().await;
    status
}

fn function(context: &Context) -> Result<Function, SettingError> {
    Ok(Function {
        server: InProcess::new(context)?,
        is_streaming: Settings::read(&context.environment)?.lambda_stream,
        logs_for_people: context.logs_for_people,
    })
}

/// Waits until the model is ready, at most for this time. Returns false if it has failed for good.
async fn load(context: &Context, time: Duration) -> bool {
    let mut state = context.engine.state();
    let loaded = state.wait_for(|state| !matches!(state, State::Starting));
    match timeout(time, loaded).await {
        Ok(Ok(state)) => !matches!(*state, State::Failed(_)),
        Ok(Err(_)) => true,
        Err(_) => {
            tracing::info!("the model is still being loaded; the first event waits for it");
            true
        }
    }
}

/// Tells Lambda why the model cannot be started.
async fn report_failed_start(
    context: &Context,
    function: &Function,
    mut api: RuntimeApi,
) -> ExitStatus {
    let mut state = context.engine.state();
    start_failure(&mut state, false, context.logs_for_people).await;
    let failed = match &*state.borrow() {
        State::Failed(error) => Some(error.clone()),
        _ => None,
    };
    if let Some(error) = failed {
        let error = FunctionError::of(&error.into(), function.server.app().wording());
        if let Err(Lost(problem)) = api.init_error(&error).await {
            tracing::error!("{problem}");
        }
    }
    ExitStatus::ModelUnavailable
}

/// Takes events until the mode must stop, the model has failed or the Runtime API is lost.
async fn serve(
    context: &Context,
    function: &Arc<Function>,
    apis: impl Iterator<Item = RuntimeApi>,
) -> ExitStatus {
    let end = CancellationToken::new();
    let mut loops = JoinSet::new();
    for api in apis {
        loops.spawn(take_all(function.clone(), api, end.clone()));
    }
    tracing::info!("waiting for events of AWS Lambda");
    let mut state = context.engine.state();
    let failed = start_failure(&mut state, context.config.reload, context.logs_for_people);
    let status = tokio::select! {
        () = context.stop.cancelled() => ExitStatus::Done,
        () = failed => ExitStatus::ModelUnavailable,
        Some(Ok(Err(Lost(problem)))) = loops.join_next() => {
            tracing::error!("{problem}");
            return ExitStatus::Failed;
        }
    };
    end.cancel();
    let times = (function.server.stop_timeout, LAST_ANSWERS);
    finish(&mut loops, &context.engine, times, "invocations").await;
    status
}

/// Takes one event after another, until the end.
async fn take_all(
    function: Arc<Function>,
    mut api: RuntimeApi,
    end: CancellationToken,
) -> Result<(), Lost> {
    loop {
        let invocation = tokio::select! {
            biased;
            () = end.cancelled() => return Ok(()),
            invocation = api.next() => invocation?,
        };
        function.answer(invocation, &mut api).await?;
    }
}
