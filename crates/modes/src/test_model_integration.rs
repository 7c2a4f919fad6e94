//! The self-test: runs the model a few times on samples of its declared inputs.

use ai_integration_contract::Inputs;
use ai_integration_engine::{Model, Request};

use crate::console::{eprint, say};
use crate::exit::ExitStatus;
use crate::inspection;
use crate::mode::{Context, Mode, Running, unless_stopped};

/// How often the model is tried.
const TRIES: usize = 5;

pub(crate) struct TestModelIntegration;

impl Mode for TestModelIntegration {
    fn name(&self) -> &'static str {
        "test_model_integration"
    }

    fn hint(&self) -> &'static str {
        "Test the model on a sample of each of its inputs: docker run --rm -e \
         MODE=test_model_integration IMAGE"
    }

    fn run(&self, context: Context) -> Running {
        Box::pin(unless_stopped(context.stop.clone(), test(context)))
    }
}

async fn test(context: Context) -> ExitStatus {
    let model = match context.engine.model().await {
        Ok(model) => model,
        Err(error) => {
            eprint(format_args!("error: {error}"));
            return ExitStatus::ModelUnavailable;
        }
    };
    say("Attempting inference a few times...");
    let mut sad = 0;
    for try_number in 1..=TRIES {
        let inputs = sample(&model, try_number);
        let names: Vec<&str> = inputs.keys().map(String::as_str).collect();
        say(format_args!(
            "Attempting inference {try_number} of {TRIES} with {}...",
            names.join(", ")
        ));
        let answer = context.engine.ask(Request::new(inputs)).await;
        say("Inference finished. Now inspecting the result.");
        let report = inspection::inspect(&answer);
        say(format_args!("{report}"));
        sad += usize::from(!report.is_happy);
    }
    let mistakes = model.schema.mistakes();
    for mistake in mistakes {
        say(format_args!("Sad! A mistake in the inputs schema: {mistake}"));
    }
    if sad > 0 {
        say(format_args!("Sad! {sad} of {TRIES} tries went wrong; see above."));
    } else if mistakes.is_empty() {
        say(format_args!("All {TRIES} tries went well. The model is integrated right!"));
    }
    if sad == 0 && mistakes.is_empty() { ExitStatus::Done } else { ExitStatus::Failed }
}

/// A sample of every input; the last try leaves out what may be left out.
fn sample(model: &Model, try_number: usize) -> Inputs {
    let mut inputs = model.schema.samples();
    if try_number == TRIES {
        let fields = model.schema.fields();
        inputs.retain(|name, _| fields[name].required || fields[name].default.is_some());
    }
    inputs
}
