//! From settings to an exit status: reads the environment, starts the engine and the mode, listens
//! to signals, and leaves in good order.

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

/// The mode of programs that are to serve and name none: that are started with the argument `serve`, a
/// hosting convention, or with `--reload`.
pub const SERVING: &str = "http";
/// The port of such programs.
const CONVENTION_PORT: &str = "8080";
/// The setting that is of no use outside of servers, as users write it.
const RELOAD: &str = "AI_INTEGRATION_RELOAD (--reload)";
/// What a one-shot mode gets to say its last words when it is interrupted.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// What workers get to leave once their mode is done, before they are ended. Longer than those take
/// that have to be told twice; nobody waits for what one may still work on.
const LEAVE: Duration = Duration::from_secs(7);

/// What is to be carried out.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The settings.
    pub environment: Environment,
    /// The program as the user called it, for help texts.
    pub name: String,
    /// The arguments after the program.
    pub arguments: Vec<OsString>,
}

impl Launch {
    /// Returns the context of a mode that uses the model behind `engine`.
    fn context(self, engine: Engine, config: Config, logs_for_people: bool) -> Context {
        let Launch { environment, name, arguments } = self;
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

/// Sets what the argument `serve` means: `MODE=http` on port 8080, unless `PORT` says otherwise.
pub fn serve_by_convention(environment: &mut Environment) {
    environment.set(Usage::mode(), SERVING);
    let port = find(SERVING).and_then(Mode::port);
    if let Some(port) = port.filter(|port| environment.variable(port.name).is_none()) {
        environment.set(port, CONVENTION_PORT);
    }
}

/// The mode that the settings choose, and whether nobody chose it.
fn choose(environment: &Environment) -> Result<(&'static dyn Mode, bool), String> {
    match environment.variable(Usage::mode().name) {
        None => Ok((DEFAULT_MODE, true)),
        Some(name) => find(name).map(|mode| (mode, false)).ok_or_else(|| name.to_owned()),
    }
}

/// Carries out the mode with `program` as its worker, kept running.
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
            "{RELOAD} is for a program that serves, and {} ends by itself: run it again after a \
             change, or serve it (--mode http, or MODE=http)",
            mode.name()
        ));
    }
    if !mode.is_serving() {
        if client.on_exception == OnException::Auto {
            // The program cannot tell whether its mode serves. A self-test makes all of its tries.
            let name = PythonClient::on_exception().name.to_owned();
            let policy = if mode.is_supervised() { "continue" } else { "stop" };
            program.variables.push((name, policy.to_owned()));
        }
        // Done after one request or a few: one worker, which either starts or does not. What it
        // prints stays apart from results.
        config.workers = Some(1);
        config.start_attempts = 1;
        program.stdout = Output::Stderr;
    }
    program.form = logging.program_form;
    #[cfg(feature = "http")]
    let files = config.reload.then(|| {
        let python_path = launch.environment.variable("PYTHONPATH").unwrap_or_default();
        ProgramFiles::of(&program.command, python_path)
    });
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
        let ended = carry_out((mode, is_default), context, &mut signals).await;
        let status = match ended {
            ModeEnd::Done(status) => status,
            ModeEnd::BrokenOff(status) => {
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

/// Returns the exit status of the engine once the mode ended with `status`. Where the program was given up,
/// its `last` exit may tell more.
fn status_after(status: ExitStatus, last: Option<&Exit>, is_serving: bool) -> ExitStatus {
    match (status, last) {
        (ExitStatus::Done, _) => ExitStatus::Done,
        (_, Some(Exit::NotFound)) => ExitStatus::NotFound,
        (_, Some(Exit::NotExecutable)) => ExitStatus::NotExecutable,
        // Outside of servers somebody waits for a result, and there is none.
        (ExitStatus::ModelUnavailable, Some(Exit::Left(program)))
            if is_serving || *program != 0 =>
        {
            ExitStatus::Program(program.to_le_bytes()[0])
        }
        (status, _) => status,
    }
}

/// Carries out the mode for the program at the other end of `socket`, which started this process
/// and is its worker.
#[must_use]
pub fn attached(launch: Launch, socket: StdUnixStream) -> ExitStatus {
    with_runtime(async move {
        let connected = socket.set_nonblocking(true).and_then(|()| UnixStream::from_std(socket));
        let link = match connected {
            Ok(socket) => Link::over_socket(socket),
            Err(error) => return refused(error),
        };
        let chosen = choose(&launch.environment);
        let mode = chosen.as_ref().map_or(DEFAULT_MODE, |(mode, _)| *mode);
        let (config, _, logging) = match prepare(&launch.environment, mode) {
            Ok(prepared) => prepared,
            Err(error) => return refused(error),
        };
        if config.reload {
            return refused(format_args!(
                "{RELOAD} needs a program that the engine starts, to start it again: \
                 ai-integration run --reload --mode http PROGRAM"
            ));
        }
        if mode.is_serving() {
            tracing::warn!(
                "the program was not handed over to the engine (a debugger, a notebook, another server \
                 or `python -c` runs it): when it ends, the server ends, and nothing starts it again; \
                 `ai-integration run PROGRAM` does"
            );
        }
        let engine = Embedded::start(config.limits());
        tokio::spawn(serve_attached(engine.clone(), link));
        match chosen {
            Ok(chosen) => {
                let mut signals = stop_signals();
                let context = launch.context(engine.into(), config, logging.is_for_people);
                match carry_out(chosen, context, &mut signals).await {
                    ModeEnd::Done(status) | ModeEnd::BrokenOff(status) => status,
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

fn prepare(
    environment: &Environment,
    mode: &dyn Mode,
) -> Result<(Config, PythonClient, Logging), SettingError> {
    ignore_unwanted();
    save_addresses();
    environment.check(settings::all())?;
    // Only the Python client acts on these; it does not get to refuse them before a model is loaded.
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

/// The turns of tasks that have something to do until the runtime looks again for what has come in. A
/// turn with much data takes up to half a millisecond.
const TURNS: u32 = 16;

/// One thread is enough: the work per request is small, and the other cores are the model's.
fn with_runtime(work: impl Future<Output = ExitStatus>) -> ExitStatus {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime: Runtime = match builder.enable_all().event_interval(TURNS).build() {
        Ok(runtime) => runtime,
        Err(error) => return refused(error),
    };
    let status = runtime.block_on(work);
    // A thread that is blocked in a read of standard input must not keep us.
    runtime.shutdown_background();
    status
}

/// How a mode ended.
enum ModeEnd {
    /// By itself, or stopped in good order.
    Done(ExitStatus),
    /// By a signal, at once.
    BrokenOff(ExitStatus),
}

async fn carry_out(
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
        let _ = timeout(LAST_WORDS, running).await;
        return ModeEnd::BrokenOff(ExitStatus::Signal(first));
    }
    tokio::select! {
        status = running => ModeEnd::Done(status),
        Some(second) = signals.recv() => ModeEnd::BrokenOff(ExitStatus::Signal(second)),
    }
}

/// The numbers of SIGTERM and SIGINT as they come, and of the first SIGXCPU, which says that the
/// processor time of this process is almost used up: time to stop in good order.
fn stop_signals() -> mpsc::Receiver<u8> {
    let (sender, receiver) = mpsc::channel(4);
    let out_of_time = SignalKind::from_raw(Signal::SIGXCPU as i32);
    if let Ok(mut signals) = signal(out_of_time) {
        let sender = sender.clone();
        tokio::spawn(async move {
            // It comes again with each further second of processor time.
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

/// Passes signals that have a meaning for the model, if any, on to the workers.
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

/// Starts the program anew on SIGHUP, the signal by which servers are usually told to.
fn reload_on_hangup(supervisor: &Supervisor) {
    let Ok(mut signals) = signal(SignalKind::hangup()) else { return };
    let supervisor = supervisor.clone();
    tokio::spawn(async move {
        while signals.recv().await.is_some() {
            supervisor.reload(None).await;
        }
    });
}

/// The socket behind a descriptor that the starting process named.
#[must_use]
pub fn inherited_socket(descriptor: i32) -> Option<StdUnixStream> {
    crate::link::socket(descriptor)
}
