//! A model written in Rust.

use std::error::Error;
use std::io;
use std::process::exit;
use std::time::Duration;

use ai_integration_contract::{Environment, Outcome, Task, Tasks};
use ai_integration_engine::settings::Config;
use ai_integration_engine::{
    About, Batching, MOST_CONCURRENT, Output, PROTOCOL, Program, Ready, WorkerSide,
};
use ai_integration_modes::console::eprint;
use serde_json::{Value as Json, json};

use crate::concurrent::tasks::{self, AsyncJob};
use crate::concurrent::threads::{self, ThreadJob};
use crate::concurrent::worker::Worker;
use crate::inputs::Inputs;
use crate::invalid_input::InvalidInput;
use crate::job::{Batches, Jobs};
use crate::launch::{self, Launch};
use crate::{environment, link, settings};

/// A model: its inputs schema, and what people should know about it. Each job dereferences to a
/// `T`: to [`Inputs`] by name, or to a struct of the model's own.
///
/// ```no_run
/// use ai_integration::{Model, Outcome, json};
///
/// let model = Model::new(json!({"text": {"type": "text"}}))
///     .name("shout")
///     .description("Writes a text in capitals.")
///     .version("1.2");
/// for job in model.jobs() {
///     let capitals = job.text("text").to_uppercase();
///     job.send(Outcome::text(capitals));
/// }
/// ```
#[derive(Clone, Debug)]
#[must_use = "a model does nothing until `jobs` or `run` is called"]
pub struct Model<T = Inputs> {
    schema: Json,
    visualizer_config: Json,
    outputs: Json,
    tasks: Tasks,
    about: About,
    read: fn(Inputs) -> Result<T, InvalidInput>,
}

impl Model {
    /// Creates a model with this inputs schema: an object of input names and their properties, such
    /// as `json!({"image": {"type": "image"}})`.
    pub fn new(inputs_schema: Json) -> Self {
        Model::reading(inputs_schema, Inputs::checked)
    }
}

impl<T> Model<T> {
    /// Creates a model that converts the inputs of each job with this function.
    pub(crate) fn reading(schema: Json, read: fn(Inputs) -> Result<T, InvalidInput>) -> Self {
        let (outputs, visualizer_config) = (Json::Null, Json::Null);
        let (tasks, about) = (Tasks::default(), About::default());
        Model { schema, visualizer_config, outputs, tasks, about, read }
    }

    /// Sets the name that people see. By default help texts show the program's name.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.about.name = Some(name.into());
        self
    }

    /// Sets the description that people see: what the model does, in a few sentences.
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.about.description = Some(description.into());
        self
    }

    /// Sets the model's version, in the author's own scheme.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.about.version = Some(version.into());
        self
    }

    /// Adds an example that people can try: an object of input names and values. May be called
    /// several times.
    pub fn example(mut self, inputs: serde_json::Map<String, Json>) -> Self {
        self.about.examples.push(inputs);
        self
    }

    /// Declares what the model's result is: an object with any of `content_type`, `schema` (JSON
    /// Schema 2020-12 of a result that is JSON) and `view` (how the page draws such a result).
    ///
    /// ```
    /// use ai_integration::{Model, json};
    ///
    /// let model = Model::new(json!({"image": {"type": "image"}}))
    ///     .outputs(json!({"schema": {"type": "array"}, "view": "boxes"}));
    /// ```
    pub fn outputs(mut self, outputs: Json) -> Self {
        self.outputs = outputs;
        self
    }

    /// Declares a task of the model, so that clients of protocols with tasks can use the model:
    /// those of OpenAI chat with a model that has the task [`Task::Chat`]. May be called several
    /// times.
    ///
    /// ```
    /// use ai_integration::{Model, Task, json};
    ///
    /// let model = Model::new(json!({"messages": {"type": "json"}})).task(Task::Chat);
    /// ```
    pub fn task(mut self, task: Task) -> Self {
        self.tasks.add(task);
        self
    }

    /// Sets how the page draws results over the input picture, such as `json!({"list_key": "faces",
    /// "label_key": "name"})`.
    pub fn visualizer(mut self, config: Json) -> Self {
        self.visualizer_config = config;
        self
    }

    /// Returns the jobs of this worker, one at a time. In the process that the user started, this
    /// call does not return: it runs the mode and starts this program again as the mode's worker.
    #[must_use]
    pub fn jobs(self) -> Jobs<T> {
        let read = self.read;
        let (link, ready) = self.start(None, None);
        Jobs::new(link, ready, read)
    }

    /// Returns the jobs of this worker in batches of up to `max_size`, for a model that is faster
    /// on several inputs at once. A batch starts at once if the model is idle and no further
    /// request is arriving; otherwise it starts after at most `max_wait`. As with [`Model::jobs`],
    /// the call returns only in a worker.
    ///
    /// ```no_run
    /// use std::time::Duration;
    ///
    /// use ai_integration::{Model, Outcome, json};
    ///
    /// let model = Model::new(json!({"text": {"type": "text"}}));
    /// for batch in model.batches(8, Duration::from_millis(5)) {
    ///     let lengths: Vec<usize> = batch.iter().map(|job| job.text("text").len()).collect();
    ///     for (job, length) in batch.into_iter().zip(lengths) {
    ///         job.send(Outcome::json(length));
    ///     }
    /// }
    /// ```
    #[must_use]
    pub fn batches(self, max_size: usize, max_wait: Duration) -> Batches<T> {
        let read = self.read;
        let max_wait_ms = max_wait.as_secs_f64() * 1000.0;
        let (link, ready) = self.start(Some(Batching { max_size, max_wait_ms }), None);
        Batches::new(link, ready, read)
    }

    /// Makes the worker take up to `most` requests at a time, for a model that waits, such as for
    /// another service. The setting `AI_INTEGRATION_CONCURRENCY` overrides the number. As with
    /// [`Model::jobs`], the call returns only in a worker.
    pub fn concurrency(self, most: usize) -> Concurrent<T> {
        let read = self.read;
        let (link, ready) = self.start(None, Some(most));
        Concurrent(Worker { link, ready, read })
    }

    /// Starts the mode, or returns the link to the engine in a worker. `most` is the number of jobs
    /// that the model takes at a time; `None` if the program handles them one by one.
    fn start(self, batch: Option<Batching>, most: Option<usize>) -> (WorkerSide, Ready) {
        let name = self.about.name.clone();
        let environment = environment::read();
        let wanted = environment.variable(Config::concurrency().name);
        let wanted: Option<usize> = wanted.and_then(|number| number.parse().ok());
        let concurrency = most.map(|most| wanted.unwrap_or(most).clamp(1, MOST_CONCURRENT));
        let ready = Ready {
            protocol: PROTOCOL,
            client: format!("rust/{}", env!("CARGO_PKG_VERSION")),
            inputs_schema: self.schema,
            about: Box::new(self.about),
            outputs: Box::new(self.outputs),
            task: Box::new(if self.tasks.is_empty() { Json::Null } else { json!(self.tasks) }),
            visualizer_config: self.visualizer_config,
            modes: Vec::new(),
            batch,
            concurrency: concurrency.filter(|most| *most > 1),
            shared_memory: false,
            board: false,
        };
        match link::take(&environment) {
            Some(link) => {
                if most.is_none() && wanted.is_some_and(|wanted| wanted > 1) {
                    eprint(format_args!(
                        "warning: {} has no effect: this program takes one request or batch at a \
                         time; use Model::concurrency",
                        Config::concurrency().name
                    ));
                }
                (link, ready)
            }
            None => leave(supervise(name, environment)),
        }
    }

    /// Calls `infer` for every request, and ends the process when the engine shuts down. An
    /// [`InvalidInput`] is reported as an error of the client, over HTTP with status 422. Any other
    /// error becomes a failure with the error's text.
    ///
    /// ```no_run
    /// use ai_integration::{InvalidInput, Model, Outcome, json};
    ///
    /// Model::new(json!({"text": {"type": "text"}})).run(|inputs| {
    ///     let first = inputs.text("text").split_whitespace().next();
    ///     let first = first.ok_or_else(|| InvalidInput::new("text", "it has no words"))?;
    ///     Ok(Outcome::text(first))
    /// })
    /// ```
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

/// A worker that takes several requests at a time. [`Model::concurrency`] makes it.
#[derive(Debug)]
#[must_use = "the worker takes no requests until `run` or `run_async` is called"]
pub struct Concurrent<T = Inputs>(Worker<T>);

impl<T> Concurrent<T> {
    /// Calls `infer` for every request, each on its own thread, and ends the process when the
    /// engine shuts down. Errors are reported as by [`Model::run`]. A panic fails only its own
    /// request, unless the program is built with `panic = "abort"`.
    ///
    /// ```no_run
    /// use std::thread::sleep;
    /// use std::time::Duration;
    ///
    /// use ai_integration::{Model, Outcome, json};
    ///
    /// Model::new(json!({"text": {"type": "text"}})).concurrency(8).run(|job| {
    ///     for word in job.text("text").split_whitespace() {
    ///         // If the client has left, this returns an error, and the function ends.
    ///         job.send_chunk("text/plain", word)?;
    ///         sleep(Duration::from_millis(20));
    ///     }
    ///     Ok(Outcome::text(""))
    /// })
    /// ```
    pub fn run(self, infer: impl Fn(&ThreadJob<T>) -> Result<Outcome, Box<dyn Error>> + Sync) -> ! {
        finish(threads::run(self.0, infer))
    }
}

impl<T: 'static> Concurrent<T> {
    /// Runs the future of `infer` for every request, and ends the process when the engine shuts
    /// down. Errors are reported as by [`Model::run`]. A panic fails only its own request, unless
    /// the program is built with `panic = "abort"`. The future of a request that was cancelled is
    /// dropped.
    ///
    /// The futures run as tasks of one thread, in a runtime of `tokio` 1, so they need not be
    /// `Send`. Move long computations to other threads, for example with
    /// `tokio::task::spawn_blocking`.
    ///
    /// ```no_run
    /// use std::time::Duration;
    ///
    /// use ai_integration::{Model, Outcome, json};
    /// use tokio::time::sleep;
    ///
    /// let model = Model::new(json!({"text": {"type": "text"}}));
    /// model.concurrency(64).run_async(async |job| {
    ///     for word in job.text("text").split_whitespace() {
    ///         job.send_chunk("text/plain", word).await?;
    ///         sleep(Duration::from_millis(20)).await;
    ///     }
    ///     Ok(Outcome::text(""))
    /// })
    /// ```
    pub fn run_async(
        self,
        infer: impl AsyncFn(AsyncJob<T>) -> Result<Outcome, Box<dyn Error>> + 'static,
    ) -> ! {
        finish(tasks::run(self.0, infer))
    }
}

/// Ends a process whose jobs ran at the same time.
fn finish(run: io::Result<()>) -> ! {
    let Err(error) = run else { leave(0) };
    eprint(format_args!("error: the model cannot run several requests at a time: {error}"));
    leave(1)
}

/// Ends the process with this status.
#[expect(clippy::disallowed_methods, reason = "a model's loop has no caller to return to")]
fn leave(status: i32) -> ! {
    exit(status)
}

/// Runs the mode with this program as its worker.
fn supervise(name: Option<String>, mut environment: Environment) -> i32 {
    let executable = match std::env::current_exe() {
        Ok(executable) => executable,
        Err(error) => {
            eprint(format_args!(
                "error: this program cannot find its own file to start it as a worker: {error}"
            ));
            return 1;
        }
    };
    let mut words = std::env::args_os();
    let called_as = words.next().map(|word| word.to_string_lossy().into_owned());
    let arguments: Vec<_> = words.collect();
    let platform = match launch::on_platform(&mut environment, &arguments) {
        Ok(platform) => platform,
        Err(status) => return status.code().into(),
    };
    let mut command = vec![executable.into_os_string()];
    command.extend(arguments.iter().cloned());
    let hidden = settings::secrets();
    let program =
        Program { command, variables: Vec::new(), hidden, stdout: Output::Stdout, form: None };
    let name = name.or(called_as).unwrap_or_else(|| "model".to_owned());
    launch::supervised(Launch { environment, name, arguments, platform }, program).code().into()
}
