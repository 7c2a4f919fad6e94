//! Running a program with a model.

use std::os::unix::process::CommandExt;
use std::process::Command;

use ai_integration::ExitStatus;
use ai_integration::launch::{self, Launch};
use ai_integration_contract::Environment;
use ai_integration_engine::{Output, Program};

use ai_integration_modes::console::note;

use crate::arguments::{Attached, Run, Settings};
use crate::program;

/// `ai-integration run`.
pub(crate) fn run(run: &Run) -> ExitStatus {
    let environment = with_flags(launch::environment(), &run.settings);
    supervise(environment, run)
}

/// `ai-integration serve`.
pub(crate) fn serve(run: &Run) -> ExitStatus {
    let mut environment = launch::environment();
    launch::serve_by_convention(&mut environment);
    let environment = with_flags(environment, &run.settings);
    supervise(environment, run)
}

/// `ai-integration attached`, which the Python client calls.
pub(crate) fn attached(attached: Attached) -> ExitStatus {
    let Some(socket) = launch::inherited_socket(attached.link) else {
        note(format_args!("error: {} is not the descriptor of a link", attached.link));
        return ExitStatus::Usage;
    };
    let launch = Launch {
        environment: launch::environment(),
        name: attached.program.to_string_lossy().into_owned(),
        arguments: attached.arguments,
    };
    launch::attached(launch, socket)
}

fn with_flags(mut environment: Environment, settings: &Settings) -> Environment {
    for (setting, value) in &settings.0 {
        environment.set(setting, value);
    }
    environment
}

fn supervise(environment: Environment, run: &Run) -> ExitStatus {
    if let Some(missing) = program::missing_script(&run.program) {
        note(format_args!("error: there is no program {}", missing.display()));
        return ExitStatus::NotFound;
    }
    let command = program::command(&run.program);
    // The program's own client reads its settings from the environment, flags or not.
    let variables: Vec<(String, String)> = run
        .settings
        .0
        .iter()
        .map(|(setting, value)| (setting.name.to_owned(), value.clone()))
        .collect();
    let mode = environment.variable("MODE");
    if mode.is_some_and(|mode| ai_integration_modes::find(mode).is_none())
        && program::is_python(&command)
    {
        // A custom mode is the Python client's to carry out, or to refuse.
        let error = Command::new(&command[0]).args(&command[1..]).envs(variables).exec();
        note(format_args!("error: {} cannot be executed: {error}", command[0].to_string_lossy()));
        return ExitStatus::NotExecutable;
    }
    let (name, arguments) = program::called_as(&run.program);
    let launch = Launch { environment, name, arguments };
    launch::supervised(launch, Program { command, variables, stdout: Output::Stdout })
}
