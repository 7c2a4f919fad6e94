//! The trait of the modes, and the context that a mode works with.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use ai_integration_contract::{Environment, Setting};
use ai_integration_engine::Engine;
use ai_integration_engine::settings::Config;
use tokio_util::sync::CancellationToken;

use crate::exit::ExitStatus;

/// A way to use a model.
///
/// A new mode implements this trait in a file of its own, beside the others of this crate, and gets
/// one line in the table `modes!` of `lib.rs`. Here is a whole mode:
///
/// ```
/// use ai_integration_modes::{Context, ExitStatus, Mode, Running};
///
/// /// Prints the names of the model's inputs.
/// struct InputNames;
///
/// impl Mode for InputNames {
///     fn name(&self) -> &'static str {
///         "input_names"
///     }
///
///     fn hint(&self) -> &'static str {
///         "Print the names of the model's inputs"
///     }
///
///     fn run(&self, context: Context) -> Running {
///         Box::pin(async move {
///             let model = tokio::select! {
///                 model = context.engine.model() => model,
///                 () = context.stop.cancelled() => return ExitStatus::Done,
///             };
///             match model {
///                 Ok(model) => {
///                     for name in model.schema.fields().keys() {
///                         println!("{name}");
///                     }
///                     ExitStatus::Done
///                 }
///                 Err(error) => {
///                     eprintln!("error: {error}");
///                     ExitStatus::ModelUnavailable
///                 }
///             }
///         })
///     }
/// }
///
/// // A test can run it on an engine whose model is in this process. This model only says that it is
/// // ready.
/// # use std::sync::Arc;
/// use ai_integration_contract::Environment;
/// use ai_integration_engine::{Embedded, FromWorker, Link, serve_attached, settings::Config};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
/// # runtime.block_on(async {
/// let environment = Environment::default();
/// let config = Arc::new(Config::read(&environment)?);
/// let engine = Embedded::start(config.limits());
/// let (link, mut worker) = Link::in_process();
/// tokio::spawn(serve_attached(engine.clone(), link));
/// let ready = serde_json::json!({"protocol": 1, "inputs_schema": {"text": "text"}});
/// worker.send(FromWorker::Ready(serde_json::from_value(ready)?))?;
///
/// let status = InputNames.run(Context {
///     engine: engine.into(),
///     environment,
///     config,
///     program: "model".to_owned(),
///     arguments: Vec::new(),
///     logs_for_people: true,
///     stop: Default::default(),
/// });
/// assert_eq!(status.await, ExitStatus::Done);
/// # Ok(())
/// # })
/// # }
/// ```
pub trait Mode: Sync {
    /// Returns the value of `MODE` that chooses this mode.
    fn name(&self) -> &'static str;

    /// Returns a few words that tell users what this mode does.
    fn hint(&self) -> &'static str;

    /// Returns a command that shows users how to run this mode in a container.
    fn example(&self) -> Option<&'static str> {
        None
    }

    /// Returns true if this mode serves until it is stopped. Other modes end by themselves.
    fn is_serving(&self) -> bool {
        false
    }

    /// Returns true if the engine must be the parent of the program, even if users start the program
    /// itself. Only then can the engine restart the program, or decide on the exit status.
    fn is_supervised(&self) -> bool {
        self.is_serving()
    }

    /// Returns true if this mode writes its own output to standard output. What the program prints
    /// then goes to standard error.
    fn owns_stdout(&self) -> bool {
        !self.is_serving()
    }

    /// Returns true if this mode reads the program's arguments. They are then not passed to the
    /// program.
    fn takes_arguments(&self) -> bool {
        false
    }

    /// Returns the settings of this mode, table by table.
    fn settings(&self) -> &'static [&'static [&'static Setting]] {
        &[]
    }

    /// Returns the setting of the port that this mode listens on, if it listens on one.
    fn port(&self) -> Option<&'static Setting> {
        None
    }

    /// Uses the model until the work is done or [`Context::stop`] is cancelled.
    fn run(&self, context: Context) -> Running;
}

/// A running mode: a future that ends with the exit status of the process.
pub type Running = Pin<Box<dyn Future<Output = ExitStatus> + Send>>;

/// Runs the work of a mode until it is done or the mode must stop.
pub(crate) async fn unless_stopped(
    stop: CancellationToken,
    work: impl Future<Output = ExitStatus>,
) -> ExitStatus {
    tokio::select! {
        status = work => status,
        () = stop.cancelled() => ExitStatus::Done,
    }
}

/// The engine, the settings and the command line that a mode works with.
#[derive(Clone, Debug)]
pub struct Context {
    /// The engine, through which the mode uses the model.
    pub engine: Engine,
    /// The values of all settings.
    pub environment: Environment,
    /// The engine's settings, read from `environment`.
    pub config: Arc<Config>,
    /// The program as the user called it, for help texts.
    pub program: String,
    /// The arguments that follow the program.
    pub arguments: Vec<std::ffi::OsString>,
    /// True if log lines are written for people, among the lines that the program prints.
    pub logs_for_people: bool,
    /// Cancelled when the mode must stop its work and end.
    pub stop: CancellationToken,
}
