//! The usage modes: how a model is used from outside. Each mode is a file here and a line in the
//! table below; all of them meet the model through [`Engine::submit`] and know nothing else of it.

pub mod console;
mod exit;
#[cfg(fuzzing)]
pub mod fuzzing;
mod inspection;
mod listing;
mod pickle;
mod stdin;

use std::future::Future;
use std::pin::Pin;

use ai_integration_contract::{Environment, Setting};
use ai_integration_engine::Engine;
use tokio_util::sync::CancellationToken;

pub use exit::ExitStatus;
pub use listing::list;

/// A way to use a model.
pub trait Mode: Sync {
    /// The value of `MODE` that chooses it.
    fn name(&self) -> &'static str;

    /// A line on how to use it.
    fn hint(&self) -> &'static str;

    /// Whether it serves until it is stopped, rather than being done at some time by itself.
    fn is_serving(&self) -> bool {
        false
    }

    /// The settings that steer it.
    fn settings(&self) -> Vec<&'static Setting> {
        Vec::new()
    }

    /// Uses the model until the mode is done or told to stop.
    fn run(&self, context: Context) -> Running;
}

/// A mode at work.
pub type Running = Pin<Box<dyn Future<Output = ExitStatus> + Send>>;

/// Carries out the work of a mode that leaves when it is told to stop, wherever it is.
async fn unless_stopped(
    stop: CancellationToken,
    work: impl Future<Output = ExitStatus>,
) -> ExitStatus {
    tokio::select! {
        status = work => status,
        () = stop.cancelled() => ExitStatus::Done,
    }
}

/// What a mode works with.
#[derive(Clone, Debug)]
pub struct Context {
    /// The model.
    pub engine: Engine,
    /// The settings.
    pub environment: Environment,
    /// The program as it was called, for help texts.
    pub program: String,
    /// The arguments after the program.
    pub arguments: Vec<std::ffi::OsString>,
    /// Cancelled when the mode is to end what it does and leave.
    pub stop: CancellationToken,
}

macro_rules! modes {
    ($($module:ident :: $name:ident),+ $(,)?) => {
        $(mod $module;)+
        /// Every built-in mode.
        pub const MODES: &[&dyn Mode] = &[$(&$module::$name),+];
    };
}

modes! {
    command_line::CommandLine,
    http::Http,
    test_inputs_dict_json::TestInputsDictJson,
    test_inputs_pickled_dict::TestInputsPickledDict,
    test_model_integration::TestModelIntegration,
    test_single_image::TestSingleImage,
}

/// The mode that is used when none is chosen.
pub const DEFAULT_MODE: &dyn Mode = &command_line::CommandLine;

/// The setting that chooses the mode.
pub static MODE: Setting = Setting {
    name: "MODE",
    flag: Some("mode"),
    value_name: "MODE",
    default: "",
    help: "How the model is used; without it the modes are listed and command_line is used.",
};

/// The built-in mode of that name.
#[must_use]
pub fn find(name: &str) -> Option<&'static dyn Mode> {
    MODES.iter().copied().find(|mode| mode.name() == name)
}
