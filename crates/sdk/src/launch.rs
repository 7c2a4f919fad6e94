//! Runs a mode, from settings to exit status: reads the environment, starts the engine and the
//! mode, handles signals, and shuts down in order.

use std::ffi::OsString;
use std::fmt::Display;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::sync::Arc;
use std::time::Duration;

use ai_integration_contract::{Environment, SettingError};
#[cfg(feature = "http")]
use ai_integration_engine::ProgramFiles;
use ai_integration_engine::settings::Config;
use ai_integration_engine::{
    CustomMode, Embedded, Engine, Exit, Link, Output, Program, Supervisor, ignore_unwanted,
    save_addresses, serve_attached,
};
use ai_integration_modes::console::eprint;
use ai_integration_modes::platforms::{self, Found};
use ai_integration_modes::{
    Context, DEFAULT_MODE, ExitStatus, Mode, Running, Usage, find, left_out, list, meant,
};
use nix::sys::signal::Signal;
use tokio::net::UnixStream;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::logging::{self, Logging};
use crate::settings;
use crate::settings::{OnException, PythonClient};

/// The mode of a program that must serve although no mode is set: it was started with `--reload`,
/// or with the argument `serve`, which some hosting platforms pass.
pub const SERVING: &str = "http";
/// That argument.
const SERVE: &str = "serve";
/// The setting that only serving modes support, as users write it.
const RELOAD: &str = "AI_INTEGRATION_RELOAD (--reload)";
/// The time that an interrupted one-shot mode has to write its last output.
const LAST_OUTPUT: Duration = Duration::from_secs(1);
/// The time that workers have to exit after their mode is done, before they are killed. A worker
/// that ignores its closed link and SIGTERM takes less. No client waits for a job at that point.
const LEAVE: Duration = Duration::from_secs(7);

/// A mode to run: the settings, and the command line of the program.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The settings.
    pub environment: Environment,
    /// The program as the user called it, for help texts.
    pub name: String,
    /// The arguments that follow the program's name.
    pub arguments: Vec<OsString>,
    /// The hosting platform, which [`on_platform`] finds.
    pub platform: Option<Found>,
}

impl Launch {
    /// Returns the context of a mode that uses the model behind `engine`.
    fn context(self, engine: Engine, config: Config, logs_for_people: bool) -> Context {
        let Launch { environment, name, arguments, platform: _ } = self;
        Context {
            engine,
            environment,
            config: Arc::new(config),
            program: name,
            arguments,
            logs_for_people,
            stop: CancellationToken::new(),
        }
    }
}

/// Finds the hosting platform on which the program runs, and lets it choose the mode and other
/// settings that the user has not set. With the argument `serve` alone, and without a mode, the
/// program serves on port 8080.
///
/// # Errors
/// A variable of the platform has a value that cannot be used.
pub fn on_platform(
    environment: &mut Environment,
    arguments: &[OsString],
) -> Result<Option<Found>, ExitStatus> {
    let mode = environment.variable(Usage::mode().name).unwrap_or_default().trim();
    let may_serve = ["", SERVING].contains(&mode);
    let is_serve = may_serve && arguments.first().is_some_and(|first| first == SERVE);
    settle(environment, is_serve)
}

/// Does what [`on_platform`] does for a program that is started to serve, whatever its arguments are.
///
/// # Errors
/// A variable of the platform has a value that cannot be used.
pub fn to_serve(environment: &mut Environment) -> Result<Option<Found>, ExitStatus> {
    settle(environment, true)
}

fn settle(environment: &mut Environment, is_serve: bool) -> Result<Option<Found>, ExitStatus> {
    platforms::apply(environment, is_serve).map_err(refused)
}

/// Returns the mode that the settings choose, and true if no mode is set and the default applies.
fn choose(environment: &Environment) -> Result<(&'static dyn Mode, bool), String> {
    match environment.variable(Usage::mode().name) {
        None => Ok((DEFAULT_MODE, true)),
        Some(name) => find(name).map(|mode| (mode, false)).ok_or_else(|| name.to_owned()),
    }
}

/// Runs the mode with `program` as its worker, which is restarted when it ends.
#[must_use]
pub fn supervised(launch: Launch, mut program: Program) -> ExitStatus {
    let (mode, is_default) = match choose(&launch.environment) {
        Ok(chosen) => chosen,
        Err(name) => return no_such_mode(&name, &[]),
    };
    let (mut config, client, logging) = match prepare(&launch.environment, mode) {
        Ok(prepared) => prepared,
        Err(error) => return refused(error),
    };
    if config.reload && !mode.is_serving() {
        return refused(format_args!(
            "{RELOAD} needs a mode that serves, but {} ends by itself: run the program again after \
             a change, or serve it with --mode http (MODE=http)",
            mode.name()
        ));
    }
    if !mode.is_serving() {
        if client.on_exception == OnException::Auto {
            // The program cannot tell whether its mode serves, so the engine decides what an
            // exception does. A self-test needs the program for all of its attempts.
            let name = PythonClient::on_exception().name.to_owned();
            let policy = if mode.is_supervised() { "continue" } else { "stop" };
            program.variables.push((name, policy.to_owned()));
        }
        // The mode needs one request or a few, so one worker is enough and a failed start is final.
        config.workers = Some(1);
        config.start_attempts = 1;
    }
    if mode.owns_stdout() {
        // The program's output must not mix with results.
        program.stdout = Output::Stderr;
    }
    program.form = logging.program_form;
    program.variables.extend(from_platform(&launch));
    #[cfg(feature = "http")]
    let files = config.reload.then(|| {
        let python_path = launch.environment.variable("PYTHONPATH").unwrap_or_default();
        ProgramFiles::of(&program.command, python_path)
    });
    announce(&launch);
    let for_people = logging.is_for_people;
    with_runtime(async move {
        let engine = Embedded::start(config.limits());
        let supervisor = match Supervisor::start(engine.clone(), program, config.clone()) {
            Ok(supervisor) => supervisor,
            Err(error) => return refused(error),
        };
        forward_signals(&supervisor);
        if mode.is_serving() {
            reload_on_hangup(&supervisor);
            #[cfg(feature = "http")]
            if let Some(files) = files {
                files.watch(supervisor.clone());
            }
        }
        let mut signals = stop_signals();
        let context = launch.context(engine.into(), config, for_people);
        let ended = run_mode((mode, is_default), context, &mut signals).await;
        let status = match ended {
            ModeEnd::Done(status) => status,
            ModeEnd::Interrupted(status) => {
                supervisor.kill();
                return status;
            }
        };
        let last = timeout(Duration::ZERO, supervisor.given_up()).await.ok();
        let status = status_after(status, last.as_ref(), mode.is_serving());
        tokio::select! {
            stopped = timeout(LEAVE, supervisor.stop()) => {
                if stopped.is_err() {
                    supervisor.kill();
                }
                status
            }
            Some(signal) = signals.recv() => {
                supervisor.kill();
                ExitStatus::Signal(signal)
            }
        }
    })
}

/// Returns the exit status of the engine for a mode that ended with `status`. If the engine gave
/// the program up, the program's `last` exit may decide the status.
fn status_after(status: ExitStatus, last: Option<&Exit>, is_serving: bool) -> ExitStatus {
    match (status, last) {
        (ExitStatus::Done, _) => ExitStatus::Done,
        (_, Some(Exit::NotFound)) => ExitStatus::NotFound,
        (_, Some(Exit::NotExecutable)) => ExitStatus::NotExecutable,
        // In a one-shot mode the user gets no result, so status 0 would be wrong.
        (ExitStatus::ModelUnavailable, Some(Exit::Left(program)))
            if is_serving || *program != 0 =>
        {
            ExitStatus::Program(program.to_le_bytes()[0])
        }
        (status, _) => status,
    }
}

/// Runs the mode for the program at the other end of `socket`. That program started this process
/// and is its worker.
#[must_use]
pub fn attached(launch: Launch, socket: StdUnixStream) -> ExitStatus {
    with_runtime(async move {
        let connected = socket.set_nonblocking(true).and_then(|()| UnixStream::from_std(socket));
        let link = match connected {
            Ok(socket) => Link::over_socket(socket),
            Err(error) => return refused(error),
        };
        let mut launch = launch;
        launch.platform = match on_platform(&mut launch.environment, &[]) {
            Ok(platform) => platform,
            Err(status) => return status,
        };
        let chosen = choose(&launch.environment);
        let mode = chosen.as_ref().map_or(DEFAULT_MODE, |(mode, _)| *mode);
        let (config, _, logging) = match prepare(&launch.environment, mode) {
            Ok(prepared) => prepared,
            Err(error) => return refused(error),
        };
        if config.reload {
            return refused(format_args!(
                "{RELOAD} works only if the engine starts the program: run \
                 ai-integration run --reload --mode http PROGRAM"
            ));
        }
        announce(&launch);
        if mode.is_serving() {
            tracing::warn!(
                "the engine did not start this program (a debugger, a notebook, another server or \
                 `python -c` runs it) and cannot restart it: when the program ends, the server ends; \
                 `ai-integration run PROGRAM` restarts the program"
            );
        }
        let engine = Embedded::start(config.limits());
        tokio::spawn(serve_attached(engine.clone(), link));
        match chosen {
            Ok(chosen) => {
                let mut signals = stop_signals();
                let context = launch.context(engine.into(), config, logging.is_for_people);
                match run_mode(chosen, context, &mut signals).await {
                    ModeEnd::Done(status) | ModeEnd::Interrupted(status) => status,
                }
            }
            Err(name) => {
                let model = Engine::from(engine).model().await;
                let custom = model.as_ref().map_or(&[][..], |model| &model.custom_modes);
                no_such_mode(&name, custom)
            }
        }
    })
}

/// Logs which platform was found, and why.
fn announce(launch: &Launch) {
    if let Some(platform) = &launch.platform {
        tracing::info!("platform: {platform}");
    }
}

/// Returns the variables that tell the program where it runs and where its model is.
fn from_platform(launch: &Launch) -> impl Iterator<Item = (String, String)> {
    let given = [platforms::Settings::platform(), platforms::Settings::model_dir()];
    given.into_iter().filter_map(|setting| {
        let value = launch.environment.variable(setting.name)?;
        Some((setting.name.to_owned(), value.to_owned()))
    })
}

fn prepare(
    environment: &Environment,
    mode: &dyn Mode,
) -> Result<(Config, PythonClient, Logging), SettingError> {
    ignore_unwanted();
    save_addresses();
    environment.check(settings::all())?;
    // Only the Python package applies these settings. They are checked here so that a wrong value
    // is refused before a model is loaded.
    let client = PythonClient::read(environment)?;
    let config = Config::read(environment)?;
    let logging = logging::start(environment, mode.is_serving())?;
    for (former, setting) in environment.renamed(settings::all()) {
        tracing::warn!("{former} is now called {}; please use the new name", setting.name);
    }
    Ok((config, client, logging))
}

fn no_such_mode(name: &str, custom: &[CustomMode]) -> ExitStatus {
    let what = match left_out(name) {
        Some(feature) => format!(
            "MODE={name} is not in this build; it comes with the feature {feature:?} of the crate \
             ai-integration"
        ),
        None if name.is_empty() => "MODE is empty".to_owned(),
        None => match meant(name, custom) {
            Some(mode) => format!("MODE not found: {name}; did you mean {mode}?"),
            None => format!("MODE not found: {name}"),
        },
    };
    eprint(format_args!("error: {what}\nThe modes are:\n{}", list(custom).trim_end()));
    ExitStatus::Failed
}

fn refused(error: impl Display) -> ExitStatus {
    eprint(format_args!("error: {error}"));
    ExitStatus::Usage
}

/// The number of tasks that the runtime polls before it checks for new input and output. One task
/// with much data can take half a millisecond.
const EVENT_INTERVAL: u32 = 16;

/// Runs the work on one thread. That is enough, because the work per request is small, and the
/// other processor cores are left to the model.
fn with_runtime(work: impl Future<Output = ExitStatus>) -> ExitStatus {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime: Runtime = match builder.enable_all().event_interval(EVENT_INTERVAL).build() {
        Ok(runtime) => runtime,
        Err(error) => return refused(error),
    };
    let status = runtime.block_on(work);
    // A thread that blocks in a read of standard input must not delay the exit.
    runtime.shutdown_background();
    status
}

/// The way in which a mode ended.
enum ModeEnd {
    /// The mode ended by itself, or shut down in order after a signal.
    Done(ExitStatus),
    /// A signal interrupted the mode.
    Interrupted(ExitStatus),
}

async fn run_mode(
    (mode, is_default): (&'static dyn Mode, bool),
    context: Context,
    signals: &mut mpsc::Receiver<u8>,
) -> ModeEnd {
    let (engine, stop) = (context.engine.clone(), context.stop.clone());
    let mut running: Running = Box::pin(async move {
        if is_default && let Ok(model) = engine.model().await {
            let listed = list(&model.custom_modes);
            let name = mode.name();
            eprint(format_args!(
                "No MODE is chosen: using {name}. The modes are:\n{listed}\
                 `ai-integration modes` shows how to run each.\n"
            ));
        }
        mode.run(context).await
    });
    let first = tokio::select! {
        status = &mut running => return ModeEnd::Done(status),
        Some(signal) = signals.recv() => signal,
    };
    stop.cancel();
    if !mode.is_serving() {
        let _ = timeout(LAST_OUTPUT, running).await;
        return ModeEnd::Interrupted(ExitStatus::Signal(first));
    }
    tokio::select! {
        status = running => ModeEnd::Done(status),
        Some(second) = signals.recv() => ModeEnd::Interrupted(ExitStatus::Signal(second)),
    }
}

/// Returns the numbers of SIGTERM and SIGINT as they arrive. The first SIGXCPU counts too: the
/// processor time of this process is almost used up, so the mode must shut down.
fn stop_signals() -> mpsc::Receiver<u8> {
    let (sender, receiver) = mpsc::channel(4);
    let out_of_time = SignalKind::from_raw(Signal::SIGXCPU as i32);
    if let Ok(mut signals) = signal(out_of_time) {
        let sender = sender.clone();
        tokio::spawn(async move {
            // The system sends the signal again for each further second of processor time.
            if signals.recv().await.is_some() {
                tracing::error!("the limit of processor time (ulimit -t) is reached: stopping");
                let _ = sender.send(Signal::SIGXCPU as u8).await;
                while signals.recv().await.is_some() {}
            }
        });
    }
    for (kind, number) in [(SignalKind::terminate(), 15), (SignalKind::interrupt(), 2)] {
        let Ok(mut signals) = signal(kind) else { continue };
        let sender = sender.clone();
        tokio::spawn(async move {
            while signals.recv().await.is_some() {
                if sender.send(number).await.is_err() {
                    return;
                }
            }
        });
    }
    receiver
}

/// Forwards signals that may mean something to the model to the workers.
fn forward_signals(supervisor: &Supervisor) {
    let kinds = [
        (SignalKind::user_defined1(), Signal::SIGUSR1),
        (SignalKind::user_defined2(), Signal::SIGUSR2),
    ];
    for (kind, number) in kinds {
        let Ok(mut signals) = signal(kind) else { continue };
        let supervisor = supervisor.clone();
        tokio::spawn(async move {
            while signals.recv().await.is_some() {
                supervisor.forward(number);
            }
        });
    }
}

/// Reloads the program on SIGHUP, the usual signal for a reload.
fn reload_on_hangup(supervisor: &Supervisor) {
    let Ok(mut signals) = signal(SignalKind::hangup()) else { return };
    let supervisor = supervisor.clone();
    tokio::spawn(async move {
        while signals.recv().await.is_some() {
            supervisor.reload(None).await;
        }
    });
}

/// Returns the socket for a descriptor that the parent process named on the command line.
#[must_use]
pub fn inherited_socket(descriptor: i32) -> Option<StdUnixStream> {
    crate::link::socket(descriptor)
}
