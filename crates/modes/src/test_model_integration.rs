//! The self-test: runs the model a few times on samples of its declared inputs.

use ai_integration_contract::Inputs;
use ai_integration_engine::{Model, Request};

use crate::console::{eprint, say};
use crate::exit::ExitStatus;
use crate::inspection;
use crate::mode::{Context, Mode, Running, unless_stopped};
use crate::test_single_image::CONVENTION;

/// How often the model is tried.
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
            // What the program printed last stands above.
            eprint(format_args!("error: {}", error.message));
            return ExitStatus::Failed;
        }
    };
    if !has_samples(&model) {
        tell_mistakes(&model);
        return ExitStatus::Failed;
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
        let answer = context.engine.ask(Request::new(inputs)).await;
        say("Inference finished. Now inspecting the result.");
        let report = inspection::inspect(&answer);
        if !report.is_happy && try_number == 1 && image_alone.take().is_some() {
            say("The model asks for more than an image. Beginning again with all of its inputs.");
            with_image_alone = Some(report);
            continue;
        }
        say(format_args!("{report}"));
        sad += usize::from(!report.is_happy);
        try_number += 1;
    }
    let mistakes = tell_mistakes(&model);
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

/// Tells the mistakes in the schema, and returns how many there are.
fn tell_mistakes(model: &Model) -> usize {
    let mistakes = model.schema.mistakes();
    for mistake in mistakes {
        say(format_args!("Sad! A mistake in the inputs schema: {mistake}"));
    }
    mistakes.len()
}

/// Returns whether there is a sample of every required input, and tells users which inputs have none.
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

/// The inputs of the ancestor's self-test, a picture named `image` and nothing else; `None` where the
/// schema says more than the ancestor's did. Its programs passed with these, and may read their other
/// inputs as numbers, say, which a sample of text is not.
fn image_alone(model: &Model) -> Option<Inputs> {
    let fields = model.schema.fields();
    let image =
        fields.get(CONVENTION).filter(|field| field.shape().is_image() && fields.len() > 1)?;
    let inputs = Inputs::from([(CONVENTION.to_owned(), image.sample()?)]);
    model.schema.names_types_only().then_some(inputs)
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
