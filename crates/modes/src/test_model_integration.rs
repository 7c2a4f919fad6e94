//! The self-test: runs the model a few times on samples of its declared inputs.

use ai_integration_contract::{Error, Inputs, Outcome, Task};
use ai_integration_engine::{Model, Request};

use crate::console::{eprint, say};
use crate::exit::ExitStatus;
use crate::inspection;
use crate::mode::{Context, Mode, Running, unless_stopped};
use crate::test_single_image::CONVENTION;

/// The number of runs.
const TRIES: usize = 5;

pub(crate) struct TestModelIntegration;

impl Mode for TestModelIntegration {
    fn name(&self) -> &'static str {
        "test_model_integration"
    }

    fn hint(&self) -> &'static str {
        "Test the model on samples of its inputs"
    }

    fn example(&self) -> Option<&'static str> {
        Some("docker run --rm -e MODE=test_model_integration IMAGE")
    }

    fn is_supervised(&self) -> bool {
        true
    }

    fn run(&self, context: Context) -> Running {
        Box::pin(unless_stopped(context.stop.clone(), test(context)))
    }
}

async fn test(context: Context) -> ExitStatus {
    let model = match context.engine.model().await {
        Ok(model) => model,
        Err(error) => {
            // The last output of the program is on standard error already.
            eprint(format_args!("error: {}", error.message));
            return ExitStatus::Failed;
        }
    };
    if !has_samples(&model) {
        print_mistakes(&model);
        return ExitStatus::Failed;
    }
    if !model.tasks.is_empty() {
        let tasks: Vec<&str> = model.tasks.iter().map(Task::name).collect();
        say(format_args!("The model declares the tasks: {}.", tasks.join(", ")));
    }
    say("Attempting inference a few times...");
    let mut sad = 0;
    let mut image_alone = image_alone(&model);
    let mut with_image_alone = None;
    let mut try_number = 1;
    while try_number <= TRIES {
        let inputs = image_alone.clone().unwrap_or_else(|| sample(&model, try_number));
        let names: Vec<&str> = inputs.keys().map(String::as_str).collect();
        say(format_args!(
            "Attempting inference {try_number} of {TRIES} with {}...",
            names.join(", ")
        ));
        let outcome = context.engine.ask(Request::new(inputs)).await;
        say("Inference finished. Now inspecting the result.");
        let report = inspection::inspect(&outcome);
        if !report.is_happy && try_number == 1 && image_alone.take().is_some() {
            say("The model asks for more than an image. Beginning again with all of its inputs.");
            with_image_alone = Some(report);
            continue;
        }
        say(format_args!("{report}"));
        warn_of_other_type(&model, &outcome);
        sad += usize::from(!report.is_happy);
        try_number += 1;
    }
    let mistakes = print_mistakes(&model);
    if let Some(report) = with_image_alone.filter(|_| sad > 0) {
        say(format_args!("With image alone:\n{report}"));
    }
    if sad > 0 {
        say(format_args!("Sad! {sad} of {TRIES} tries went wrong; see above."));
    } else if mistakes == 0 {
        say(format_args!("All {TRIES} tries went well. The model is integrated right!"));
    }
    if sad == 0 && mistakes == 0 { ExitStatus::Done } else { ExitStatus::Failed }
}

/// Prints the mistakes in the inputs schema and in the outputs, and returns their number.
fn print_mistakes(model: &Model) -> usize {
    let parts = [("inputs schema", model.schema.mistakes()), ("outputs", model.outputs.mistakes())];
    for (part, mistakes) in parts {
        for mistake in mistakes {
            say(format_args!("Sad! A mistake in the {part}: {mistake}"));
        }
    }
    parts.iter().map(|(_, mistakes)| mistakes.len()).sum()
}

/// Prints a warning if a result has another content type than the author declares.
fn warn_of_other_type(model: &Model, outcome: &Result<Outcome, Error>) {
    let Ok(outcome) = outcome else { return };
    let (declared, actual) = (model.outputs.media_type(), outcome.media_type());
    if let Some(declared) = declared.filter(|declared| outcome.success && *declared != actual) {
        say(format_args!(
            "Warning: the outputs name the content type {declared}, and the result is {actual:?}."
        ));
    }
}

/// Returns true if every required input has a sample, and prints which inputs have none.
fn has_samples(model: &Model) -> bool {
    let mut has_all = true;
    for (name, field) in model.schema.fields() {
        if field.sample().is_some() {
            continue;
        }
        has_all &= !field.required;
        let sad = if field.required { "Sad! There" } else { "There" };
        let formats: Vec<&str> = field.constraints.formats.names().collect();
        say(format_args!(
            "{sad} is no sample of the input {name:?} in its formats ({}): give one under \
             \"examples\", as base64 or a data: URL.",
            formats.join(", ")
        ));
    }
    has_all
}

/// Returns the only input that the self-test of ai_integration 1.0 used: a picture named `image`.
/// Programs for 1.0 pass the self-test with it. With samples of their other inputs they may fail,
/// because they may read text samples as numbers.
///
/// Returns `None` if the schema has more than names and types, because a schema for 1.0 has no
/// more. Also returns `None` if the model has no such input, or no other input.
fn image_alone(model: &Model) -> Option<Inputs> {
    let fields = model.schema.fields();
    let image =
        fields.get(CONVENTION).filter(|field| field.shape().is_image() && fields.len() > 1)?;
    let inputs = Inputs::from([(CONVENTION.to_owned(), image.sample()?)]);
    model.schema.names_types_only().then_some(inputs)
}

/// Returns a sample of every input. The last run leaves out optional inputs without a default.
fn sample(model: &Model, try_number: usize) -> Inputs {
    let mut inputs = model.schema.samples();
    if try_number == TRIES {
        let fields = model.schema.fields();
        inputs.retain(|name, _| fields[name].required || fields[name].default.is_some());
    }
    inputs
}
