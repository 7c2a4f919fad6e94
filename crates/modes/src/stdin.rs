//! Runs a pipe mode: reads all of standard input, runs the model once and reports on its result.
//! The inputs schema is only a hint here: an input that does not fit it is passed to the model
//! unchanged if possible, with a warning.

use std::io::{IsTerminal, Read};

use ai_integration_contract::{Error, FieldError, Hints, Kind, RawInputs};
use ai_integration_engine::{Model, Request};

use crate::console::{eprint, say};
use crate::exit::ExitStatus;
use crate::inspection;
use crate::mode::{Context, Running, unless_stopped};

/// The maximum number of bytes that are read from standard input: 1 GiB.
const MAX_INPUT: u64 = 1 << 30;

/// Reads all of standard input.
fn read_all() -> Result<Vec<u8>, String> {
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        eprint("reading from the terminal; Ctrl-D ends the input");
    }
    let mut bytes = Vec::new();
    match stdin.lock().take(MAX_INPUT + 1).read_to_end(&mut bytes) {
        Err(error) => Err(format!("standard input cannot be read: {error}")),
        Ok(_) if bytes.len() as u64 > MAX_INPUT => {
            Err(format!("the input is larger than {MAX_INPUT} bytes"))
        }
        Ok(_) if bytes.is_empty() => {
            Err("standard input is empty; pipe the inputs in, with docker's -i flag".to_owned())
        }
        Ok(_) => Ok(bytes),
    }
}

/// Runs the model once on the inputs that `read` finds in standard input, and inspects the result.
pub(crate) fn run_once(
    context: Context,
    read: impl FnOnce(Vec<u8>, &Model) -> Result<RawInputs, String> + Send + 'static,
) -> Running {
    Box::pin(unless_stopped(context.stop.clone(), ask(context, read)))
}

async fn ask(
    context: Context,
    read: impl FnOnce(Vec<u8>, &Model) -> Result<RawInputs, String> + Send,
) -> ExitStatus {
    let model = match context.engine.model().await {
        Ok(model) => model,
        Err(error) => {
            // The last output of the program is on standard error already.
            eprint(format_args!("error: {}", error.message));
            return ExitStatus::ModelUnavailable;
        }
    };
    let raw = tokio::task::spawn_blocking(read_all).await;
    let raw = raw.map_err(|error| error.to_string()).flatten();
    let inputs = raw
        .and_then(|bytes| {
            say(format_args!("Got {} bytes of input.", bytes.len()));
            read(bytes, &model)
        })
        .and_then(|raw| {
            let mut hints = Hints::default();
            let inputs = model.schema.resolve_as_hint(raw, &mut hints);
            for FieldError { name, message } in hints.missing {
                eprint(format_args!("warning: the model may need more inputs: {name}: {message}"));
            }
            for FieldError { name, message } in hints.misfits {
                eprint(format_args!("warning: passed to the model unchanged: {name}: {message}"));
            }
            inputs.map_err(|error| invalid(&error))
        });
    let inputs = match inputs {
        Ok(inputs) => inputs,
        Err(message) => {
            eprint(format_args!("error: {message}"));
            return ExitStatus::Usage;
        }
    };
    say("Attempting inference...");
    let outcome = context.engine.ask(Request::new(inputs)).await;
    if let Err(error) = &outcome
        && error.kind == Kind::InvalidInput
    {
        eprint(format_args!("error: {}", invalid(error)));
        return ExitStatus::Usage;
    }
    say("Inference finished. Now inspecting the result.");
    let report = inspection::inspect(&outcome);
    say(format_args!("{report}"));
    if report.is_happy { ExitStatus::Done } else { ExitStatus::Failed }
}

fn invalid(error: &Error) -> String {
    format!("the inputs are not valid: {error}")
}
