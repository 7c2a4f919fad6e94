//! A model in Rust.

use std::error::Error;
use std::process::exit;
use std::time::Duration;

use ai_integration_contract::{Environment, Outcome};
use ai_integration_engine::{About, Batching, Output, PROTOCOL, Program, Ready, WorkerSide};
use ai_integration_modes::Usage;
use ai_integration_modes::console::eprint;
use serde_json::Value as Json;

use crate::inputs::Inputs;
use crate::invalid_input::InvalidInput;
use crate::job::{Batches, Jobs};
use crate::launch::{self, Launch};
use crate::{environment, link, settings};

/// A model: its inputs schema, and how its results may be drawn. Its jobs read like a `T`: like
/// [`Inputs`] by name, or like a struct of the model's own.
#[derive(Clone, Debug)]
#[must_use = "a model does nothing until `jobs` or `run` is called"]
pub struct Model<T = Inputs> {
    schema: Json,
    visualizer_config: Json,
    about: About,
    read: fn(Inputs) -> Result<T, InvalidInput>,
}

impl Model {
    /// A model with this inputs schema: an object of input names to properties, such as
    /// `json!({"image": {"type": "image"}})`.
    pub fn new(inputs_schema: Json) -> Self {
        Model::reading(inputs_schema, Inputs::checked)
    }
}

impl<T> Model<T> {
    /// Creates a model of whose inputs this function makes what the jobs read like.
    pub(crate) fn reading(schema: Json, read: fn(Inputs) -> Result<T, InvalidInput>) -> Self {
        Model { schema, visualizer_config: Json::Null, about: About::default(), read }
    }

    /// The model's name, for people. In help texts by default the program's.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.about.name = Some(name.into());
        self
    }

    /// What the model does, in some sentences, for people.
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.about.description = Some(description.into());
        self
    }

    /// Which version of the model this is, for people.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.about.version = Some(version.into());
        self
    }

    /// Inputs that people may try: an object of input names to values. May be called again.
    pub fn example(mut self, inputs: serde_json::Map<String, Json>) -> Self {
        self.about.examples.push(inputs);
        self
    }

    /// How results may be drawn over the input picture, such as
    /// `json!({"list_key": "faces", "label_key": "name"})`.
    pub fn visualizer(mut self, config: Json) -> Self {
        self.visualizer_config = config;
        self
    }

    /// The jobs to work on, one by one. In the process that the user started this call does not
    /// return: it carries out the mode, with this program started again as its worker.
    #[must_use]
    pub fn jobs(self) -> Jobs<T> {
        let read = self.read;
        let (link, ready) = self.start(None);
        Jobs::new(link, ready, read)
    }

    /// The jobs to work on, in batches of up to `max_size`, for a model that is faster on several
    /// inputs at once. A batch starts at once when the model is idle and nothing more is on its
    /// way, and otherwise waits for up to `max_wait`. Returns as [`Model::jobs`] does.
    #[must_use]
    pub fn batches(self, max_size: usize, max_wait: Duration) -> Batches<T> {
        let read = self.read;
        let max_wait_ms = max_wait.as_secs_f64() * 1000.0;
        let (link, ready) = self.start(Some(Batching { max_size, max_wait_ms }));
        Batches::new(link, ready, read)
    }

    fn start(self, batch: Option<Batching>) -> (WorkerSide, Ready) {
        let name = self.about.name.clone();
        let ready = Ready {
            protocol: PROTOCOL,
            client: format!("rust/{}", env!("CARGO_PKG_VERSION")),
            inputs_schema: self.schema,
            about: Box::new(self.about),
            visualizer_config: self.visualizer_config,
            modes: Vec::new(),
            batch,
            shared_memory: false,
            board: false,
        };
        let environment = environment::read();
        match link::take(&environment) {
            Some(link) => (link, ready),
            None => leave(supervise(name, environment)),
        }
    }

    /// The function form: answers every request by calling `infer`. An [`InvalidInput`] becomes an
    /// error of the client, any other error a failed result with its text. Ends with the process.
    pub fn run(self, mut infer: impl FnMut(&T) -> Result<Outcome, Box<dyn Error>>) -> ! {
        for job in self.jobs() {
            match infer(&job) {
                Ok(outcome) => job.send(outcome),
                Err(error) => match error.downcast::<InvalidInput>() {
                    Ok(invalid) => job.refuse(*invalid),
                    Err(error) => job.send(Outcome::failure(error.to_string())),
                },
            }
        }
        leave(0)
    }
}

/// Ends the process with this status.
#[expect(clippy::disallowed_methods, reason = "a model's loop has no caller to return to")]
fn leave(status: i32) -> ! {
    exit(status)
}

/// Carries out the mode with this very program as its worker.
fn supervise(name: Option<String>, mut environment: Environment) -> i32 {
    let executable = match std::env::current_exe() {
        Ok(executable) => executable,
        Err(error) => {
            eprint(format_args!(
                "error: this program cannot find itself to start its worker: {error}"
            ));
            return 1;
        }
    };
    let mut words = std::env::args_os();
    let called_as = words.next().map(|word| word.to_string_lossy().into_owned());
    let arguments: Vec<_> = words.collect();
    let chosen = environment.variable(Usage::mode().name);
    if chosen.is_none() && arguments.first().is_some_and(|a| a == "serve") {
        launch::serve_by_convention(&mut environment);
    }
    let mut command = vec![executable.into_os_string()];
    command.extend(arguments.iter().cloned());
    let hidden = settings::secrets();
    let program =
        Program { command, variables: Vec::new(), hidden, stdout: Output::Stdout, form: None };
    let name = name.or(called_as).unwrap_or_else(|| "model".to_owned());
    launch::supervised(Launch { environment, name, arguments }, program).code().into()
}
