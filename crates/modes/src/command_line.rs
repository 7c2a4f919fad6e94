//! The mode `command_line`: one flag for each input, and the result on standard output or in a file.

mod arguments;
mod path_likeness;
#[cfg(feature = "terminal")]
mod progress;
#[cfg(not(feature = "terminal"))]
#[path = "command_line/no_progress.rs"]
mod progress;
mod result_file;
mod sink;
mod timing;

use std::path::PathBuf;
use std::time::Instant;

use ai_integration_contract::{Data, Error, Inputs, Kind, Outcome};
use ai_integration_engine::{Event, Request, Ticket};

use self::arguments::{Arguments, Refusal};
use self::progress::Progress;
use self::sink::Sink;
use self::timing::Timing;
use crate::console::eprint;
use crate::exit::ExitStatus;
use crate::mode::{Context, Mode, Running};

pub(crate) struct CommandLine;

impl Mode for CommandLine {
    fn name(&self) -> &'static str {
        "command_line"
    }

    fn hint(&self) -> &'static str {
        "Pass files and values as options; --help lists them"
    }

    fn takes_arguments(&self) -> bool {
        true
    }

    fn run(&self, context: Context) -> Running {
        Box::pin(run(context))
    }
}

async fn run(context: Context) -> ExitStatus {
    match ask(&context).await {
        Ok(task) => work(&context, task).await,
        Err(status) => status,
    }
}

/// The work that the command line asks for.
struct Task {
    inputs: Inputs,
    output: Option<PathBuf>,
    /// True if the model is run until the user stops it (`--loop`).
    is_endless: bool,
}

/// Waits for the inputs schema and reads the command line. An error is the exit status of the mode;
/// the message has been printed.
async fn ask(context: &Context) -> Result<Task, ExitStatus> {
    let mut progress = Progress::new("waiting for the model");
    let model = tokio::select! {
        model = context.engine.model() => model,
        () = context.stop.cancelled() => return Err(ExitStatus::Done),
    };
    progress.clear();
    let model = model.map_err(|error| {
        // The last output of the program is on standard error already.
        eprint(format_args!("error: {}", error.message));
        ExitStatus::ModelUnavailable
    })?;
    // Reading a file or standard input may block, and signals must still be handled.
    let (schema, program, words) =
        (model.schema.clone(), context.program.clone(), context.arguments.clone());
    let parse = move || {
        let arguments = arguments::parse(&schema, &program, &words)?;
        // Otherwise the model would work for a result that cannot be written.
        let sink = Sink::new(arguments.output.as_deref()).and_then(|sink| sink.check());
        sink.map_err(Refusal::Message).map(|()| arguments)
    };
    let parsed = tokio::task::spawn_blocking(parse)
        .await
        .unwrap_or_else(|error| Err(Refusal::Message(error.to_string())));
    let Arguments { raw, output, is_endless } = parsed.map_err(|refusal| match refusal {
        Refusal::Clap(error) => {
            // Help goes to standard output, with status 0. A usage error goes to standard error.
            let _ = error.print();
            if error.exit_code() == 0 { ExitStatus::Done } else { ExitStatus::Usage }
        }
        Refusal::Message(message) => {
            eprint(format_args!("error: {message}"));
            ExitStatus::Usage
        }
    })?;
    let inputs = model.schema.resolve(raw).map_err(|invalid| refuse(&invalid))?;
    Ok(Task { inputs, output, is_endless })
}

/// Reports inputs that are not valid.
fn refuse(invalid: &Error) -> ExitStatus {
    eprint(format_args!("error: the inputs are not valid: {invalid}; see --help"));
    ExitStatus::Usage
}

/// Runs the model, once or until it is stopped.
async fn work(context: &Context, task: Task) -> ExitStatus {
    let mut timing = Timing::default();
    let mut status = ExitStatus::Done;
    loop {
        // Only the first result is written. The further runs of a loop measure the time.
        let sink = (timing.runs() == 0).then(|| Sink::new(task.output.as_deref())).transpose();
        let sink = match sink {
            Ok(sink) => sink,
            Err(problem) => {
                eprint(format_args!("error: {problem}"));
                return ExitStatus::Usage;
            }
        };
        let begin = Instant::now();
        let request = Request::new(task.inputs.clone()).follow();
        let ticket = match context.engine.submit(request).await {
            Ok(ticket) => ticket,
            Err(error) => {
                // There is no other requester, so the next request would be refused too.
                eprint(format_args!("error: {error}"));
                status = ExitStatus::Failed;
                break;
            }
        };
        let run = tokio::select! {
            run = follow(ticket, sink) => run,
            () = context.stop.cancelled() => break,
        };
        match run {
            Ok(()) => timing.record(begin.elapsed()),
            Err(RunError::Output(problem)) => {
                eprint(format_args!("error: {problem}"));
                return ExitStatus::Usage;
            }
            // Each run has the same inputs.
            Err(RunError::Inputs(invalid)) => return refuse(&invalid),
            Err(RunError::Model(message)) => {
                eprint(format_args!("the model failed:\n{}", message.trim_end()));
                status = ExitStatus::Failed;
                timing.record_failure();
            }
        }
        if !task.is_endless {
            if status == ExitStatus::Done {
                eprint(format_args!("the model succeeded in {}", timing.last()));
            }
            return status;
        }
        eprint(format_args!("{timing}"));
    }
    if task.is_endless {
        eprint(format_args!("stopped after {} runs: {timing}", timing.runs()));
    }
    status
}

/// The reason why a run of the model has no result to write.
enum RunError {
    /// The model process cannot read the inputs.
    Inputs(Error),
    /// The model failed with this message.
    Model(String),
    /// The result cannot be written.
    Output(String),
}

/// Follows one run of the model.
async fn follow(mut ticket: Ticket, mut sink: Option<Sink>) -> Result<(), RunError> {
    let mut progress = Progress::new("running the model");
    while let Some(event) = ticket.event().await {
        match (event, &mut sink) {
            (Event::Progress { fraction, message }, _) => progress.update(fraction, message),
            (Event::Chunk { content_type, data }, Some(sink)) => {
                // The progress bar would overwrite the text on the terminal.
                if sink.is_shown() {
                    progress.clear();
                }
                let chunk = Outcome { success: true, content_type, data, ..Outcome::default() };
                // An error drops the ticket, which cancels the job: nobody can get its result.
                sink.stream(&chunk).map_err(RunError::Output)?;
            }
            _ => {}
        }
    }
    let outcome = ticket.outcome().await.map_err(|error| match error.kind {
        Kind::InvalidInput => RunError::Inputs(error),
        // The last output of the program is on standard error already.
        _ => RunError::Model(error.message.into_owned()),
    })?;
    progress.clear();
    if !outcome.success {
        return Err(RunError::Model(outcome.error_beside_output().into_owned()));
    }
    let Some(mut sink) = sink else { return Ok(()) };
    if let Some(fault) = outcome.json_fault() {
        let media = outcome.content_type.as_deref().unwrap_or_default();
        eprint(format_args!(
            "warning: the content type of the result is {media:?}, but the result is not JSON: \
             {fault}"
        ));
    }
    let written = if outcome.data == Data::None { Ok(()) } else { sink.whole(&outcome) };
    written.and_then(|()| sink.finish()).map_err(RunError::Output)
}
