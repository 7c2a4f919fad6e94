//! What the command line of `ai-integration` may say.

use std::ffi::OsString;

use ai_integration::settings;
use ai_integration_contract::Setting;
use clap::{Arg, ArgMatches, Args, Command, CommandFactory, FromArgMatches, Parser, Subcommand};
use clap_complete::Shell;

/// Runs an AI model on a command line, through pipes, or as an HTTP server.
#[derive(Debug, Parser)]
#[command(name = "ai-integration", version, max_term_width = 100, arg_required_else_help = true)]
#[command(after_help = "Example: ai-integration run --mode http entrypoint.py")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) action: Action,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// Run a program with a model: a .py file by this environment's Python, anything else by
    /// executing it
    #[command(override_usage = "ai-integration run [OPTIONS] PROGRAM [ARGS]...")]
    Run(Run),
    /// Serve a program with a model over HTTP on port 8080
    #[command(override_usage = "ai-integration serve [OPTIONS] PROGRAM [ARGS]...")]
    Serve(Run),
    /// List the usage modes
    Modes,
    /// Print a script that completes this command's words in your shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Carry out a mode for the program that started this process
    #[command(hide = true)]
    Attached(Attached),
    /// Print the reference page of the settings
    #[command(hide = true)]
    SettingsReference,
}

/// A program to run, and the settings that flags set.
#[derive(Debug, Args)]
pub(crate) struct Run {
    #[command(flatten)]
    pub(crate) settings: Settings,
    /// The program, then its own arguments
    #[arg(required = true, trailing_var_arg = true)]
    #[arg(value_name = "PROGRAM")]
    pub(crate) program: Vec<OsString>,
}

/// The link to a program that started this process, and how that was called.
#[derive(Debug, Args)]
pub(crate) struct Attached {
    /// The descriptor of the link
    #[arg(long)]
    pub(crate) link: i32,
    /// The program's name, which is `-c` for code on Python's command line
    #[arg(long, allow_hyphen_values = true)]
    pub(crate) program: OsString,
    /// The program's arguments
    #[arg(last = true)]
    pub(crate) arguments: Vec<OsString>,
}

/// The settings given as flags, each with its value. The flags are drawn from the table of
/// settings.
#[derive(Debug, Default)]
pub(crate) struct Settings(pub(crate) Vec<(&'static Setting, String)>);

impl FromArgMatches for Settings {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = settings::all().into_iter().filter_map(|setting| {
            let value = matches.get_one::<String>(setting.flag?)?;
            Some((setting, value.clone()))
        });
        Ok(Settings(given.collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Settings::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for Settings {
    fn augment_args(command: Command) -> Command {
        settings::all().into_iter().fold(command, |command, setting| {
            let Some(flag) = setting.flag else { return command };
            let default = match setting.default {
                "" => String::new(),
                default => format!("; default: {default}"),
            };
            command.arg(
                Arg::new(flag)
                    .long(flag)
                    .value_name(setting.value_name)
                    .help(format!("{} [{}{default}]", setting.help, setting.name)),
            )
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

/// Prints the completion script of a shell.
pub(crate) fn print_completions(shell: Shell) {
    let mut command = Arguments::command();
    let name = command.get_name().to_owned();
    clap_complete::generate(shell, &mut command, name, &mut std::io::stdout());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_is_well_formed_and_its_help_is_this() {
        Arguments::command().debug_assert();
        let mut command = Arguments::command();
        let run = command.find_subcommand_mut("run").map(|run| run.render_help().to_string());
        insta::assert_snapshot!(run.unwrap());
    }

    #[test]
    fn flags_after_the_program_are_the_programs() {
        let words = ["ai-integration", "run", "--workers", "3", "model.py", "--workers", "4", "-x"];
        let Action::Run(run) = Arguments::parse_from(words).action else { panic!() };
        assert_eq!(run.program, ["model.py", "--workers", "4", "-x"]);
        let settings: Vec<_> =
            run.settings.0.iter().map(|(setting, value)| (setting.name, value.as_str())).collect();
        assert_eq!(settings, [("AI_INTEGRATION_WORKERS", "3")]);
    }
}
