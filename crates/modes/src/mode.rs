//! What a usage mode is, and what it works with.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use ai_integration_contract::{Environment, Setting};
use ai_integration_engine::Engine;
use ai_integration_engine::settings::Config;
use tokio_util::sync::CancellationToken;

use crate::exit::ExitStatus;

/// A way to use a model.
pub trait Mode: Sync {
    /// The value of `MODE` that chooses it.
    fn name(&self) -> &'static str;

    /// A few words that tell users what this mode does.
    fn hint(&self) -> &'static str;

    /// A command that runs this mode in a container, where there is more to it than `MODE`.
    fn example(&self) -> Option<&'static str> {
        None
    }

    /// Tells whether it serves until it is stopped, rather than being done at some time by itself.
    fn is_serving(&self) -> bool {
        false
    }

    /// Tells whether the engine has to be the parent of the program, also where users start the program
    /// itself: to start it again, or to decide on the exit status.
    fn is_supervised(&self) -> bool {
        self.is_serving()
    }

    /// Tells whether the mode reads the program's arguments, so that the program is not given them.
    fn takes_arguments(&self) -> bool {
        false
    }

    /// The settings that steer it, table by table.
    fn settings(&self) -> &'static [&'static [&'static Setting]] {
        &[]
    }

    /// The setting of the port that it listens on, if it does.
    fn port(&self) -> Option<&'static Setting> {
        None
    }

    /// Uses the model until the mode is done or told to stop.
    fn run(&self, context: Context) -> Running;
}

/// A mode at work.
pub type Running = Pin<Box<dyn Future<Output = ExitStatus> + Send>>;

/// Carries out the work of a mode that leaves when it is told to stop, wherever it is.
pub(crate) async fn unless_stopped(
    stop: CancellationToken,
    work: impl Future<Output = ExitStatus>,
) -> ExitStatus {
    tokio::select! {
        status = work => status,
        () = stop.cancelled() => ExitStatus::Done,
    }
}

/// The engine, settings and words that a mode works with.
#[derive(Clone, Debug)]
pub struct Context {
    /// The model.
    pub engine: Engine,
    /// The settings.
    pub environment: Environment,
    /// The engine's settings, read from them.
    pub config: Arc<Config>,
    /// The program as it was called, for help texts.
    pub program: String,
    /// The arguments after the program.
    pub arguments: Vec<std::ffi::OsString>,
    /// True where the log is in lines for people, between those that the program prints.
    pub logs_for_people: bool,
    /// Cancelled when the mode is to end what it does and leave.
    pub stop: CancellationToken,
}
