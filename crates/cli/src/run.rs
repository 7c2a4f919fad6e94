//! `ai-integration run` and `serve`: run a program with a model.

use std::os::unix::process::CommandExt;
use std::process::Command;

use ai_integration::ExitStatus;
use ai_integration::launch::{self, Launch, SERVING};
use ai_integration::{environment, settings};
use ai_integration_contract::Environment;
use ai_integration_contract::setting::Switch;
use ai_integration_engine::settings::Config;
use ai_integration_engine::{Output, Program};

use ai_integration_modes::console::eprint;
use ai_integration_modes::platforms::Found;
use ai_integration_modes::{DEFAULT_MODE, Mode, Usage, find};

use crate::arguments::{Attached, Given, Run, Settings};
use crate::program::{self, Called};

/// Runs `ai-integration run`.
pub(crate) fn run(run: &Run) -> ExitStatus {
    let mut environment = with_flags(environment::read(), &run.settings);
    let has_mode = environment.variable(Usage::mode().name).is_some();
    if !has_mode && environment.is_set_by_flag(Config::reload()) {
        // A reload makes sense in serving modes only, so this is the default mode with it.
        environment.set(Usage::mode(), SERVING);
    }
    let Called { arguments, .. } = program::called_as(&run.program);
    match launch::on_platform(&mut environment, &arguments) {
        Ok(platform) => supervise(environment, run, platform),
        Err(status) => status,
    }
}

/// Runs `ai-integration serve`.
pub(crate) fn serve(run: &Run) -> ExitStatus {
    let mut environment = environment::read();
    // The variable is for the program without this command.
    environment.set_variable(Usage::mode().name, "");
    let mut environment = with_flags(environment, &run.settings);
    match launch::to_serve(&mut environment) {
        Ok(platform) => supervise(environment, run, platform),
        Err(status) => status,
    }
}

/// Runs `ai-integration attached`, which the Python package calls.
pub(crate) fn attached(attached: Attached) -> ExitStatus {
    let Some(socket) = launch::inherited_socket(attached.link) else {
        eprint(format_args!("error: {} is not the descriptor of a link", attached.link));
        return ExitStatus::Usage;
    };
    let launch = Launch {
        environment: environment::read(),
        name: attached.program.to_string_lossy().into_owned(),
        arguments: attached.arguments,
        platform: None,
    };
    launch::attached(launch, socket)
}

pub(crate) fn with_flags(mut environment: Environment, settings: &Settings) -> Environment {
    for Given { setting, name, value } in &settings.0 {
        environment.set_as(name, setting, value);
    }
    environment
}

fn supervise(environment: Environment, run: &Run, platform: Option<Found>) -> ExitStatus {
    if let Some(missing) = program::missing_script(&run.program) {
        eprint(format_args!("error: there is no program {}", missing.display()));
        return ExitStatus::NotFound;
    }
    let mut command = program::command(&run.program, &environment);
    // The Python package in the program reads its settings from the environment, so flags are
    // copied there.
    let given = &run.settings.0;
    let variables: Vec<(String, String)> =
        given.iter().map(|given| (given.name.to_owned(), given.value.clone())).collect();
    let mode = environment.variable(Usage::mode().name);
    if mode.is_some_and(|mode| find(mode).is_none()) && program::is_python(&command) {
        // The Python package runs a custom mode, or refuses it. There is no engine that could
        // restart the program.
        if environment.read::<Switch>(Config::reload()).unwrap_or_default() {
            eprint(format_args!("error: {} does not work in a custom mode", Config::reload().name));
            return ExitStatus::Usage;
        }
        let mut program = Command::new(&command[0]);
        for name in given.iter().flat_map(|given| given.setting.names()) {
            program.env_remove(name);
        }
        let error = program.args(&command[1..]).envs(variables).exec();
        eprint(format_args!("error: {} cannot be executed: {error}", command[0].to_string_lossy()));
        return ExitStatus::NotExecutable;
    }
    let Called { name, arguments, is_separable } = program::called_as(&run.program);
    if is_separable && mode.map_or(Some(DEFAULT_MODE), find).is_some_and(Mode::takes_arguments) {
        // Libraries of the program that read its arguments would refuse those of the mode.
        command.truncate(command.len() - arguments.len());
        // This word separated the arguments from a launcher's words.
        command.pop_if(|word| word == "--");
    }
    let launch = Launch { environment, name, arguments, platform };
    let hidden = settings::secrets();
    launch::supervised(
        launch,
        Program { command, variables, hidden, stdout: Output::Stdout, form: None },
    )
}
