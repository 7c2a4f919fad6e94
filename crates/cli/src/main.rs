//! The command `ai-integration`. It runs a program with a model in any mode, lists the modes,
//! starts new models (`init`), and checks finished ones (`check`). The crate `ai-integration` does
//! the work of `run` and `serve`.

mod arguments;
#[expect(clippy::disallowed_methods, reason = "`check` has a thread of its own to wait on")]
mod check;
mod healthcheck;
mod init;
mod modes;
mod platforms;
mod program;
mod python_names;
mod run;

use std::process::ExitCode;

use ai_integration::{ExitStatus, settings};
use ai_integration_modes::console::say;
use clap::Parser;

use crate::arguments::{Action, Arguments};

fn main() -> ExitCode {
    carry_out(Arguments::parse().action).into()
}

fn carry_out(action: Action) -> ExitStatus {
    match action {
        Action::Run(run) => run::run(&run),
        Action::Serve(run) => run::serve(&run),
        Action::Attached(attached) => run::attached(attached),
        Action::Init(new) => init::run(&new),
        Action::Check(check) => check::run(&check),
        Action::Modes => modes::print(),
        Action::Platforms => platforms::print(),
        Action::Healthcheck(asked) => healthcheck::run(&asked),
        Action::Completions { shell } => {
            arguments::print_completions(shell);
            ExitStatus::Done
        }
        Action::SettingsReference => {
            say(settings::reference().trim_end());
            ExitStatus::Done
        }
        Action::PythonNames => {
            say(python_names::module().trim_end());
            ExitStatus::Done
        }
    }
}
