//! The command line of `ai-integration`: its commands, flags and help.

use std::ffi::{OsStr, OsString};

use ai_integration::settings;
use ai_integration_contract::Setting;
use ai_integration_modes::console::say;
use clap::builder::{PossibleValue, PossibleValuesParser, StringValueParser, TypedValueParser};
use clap::{Arg, ArgMatches, Args, Command, CommandFactory, FromArgMatches, Parser, Subcommand};
use clap_complete::Shell;

use crate::init::templates;

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
    /// Create a folder with a small model to start from
    Init(Init),
    /// Check a program with a model, or a container image, before you ship it
    #[command(override_usage = "ai-integration check [OPTIONS] PROGRAM [ARGS]...\n       \
                                ai-integration check [OPTIONS] IMAGE")]
    Check(Check),
    /// List the modes
    Modes,
    /// List the hosting platforms whose port, health checks and addresses are known
    Platforms,
    /// Ask the server of this container for its health, for HEALTHCHECK and exec probes: the exit
    /// status is 0 or 1
    Healthcheck(Healthcheck),
    /// Print a shell completion script
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Run a mode for the program that started this process
    #[command(hide = true)]
    Attached(Attached),
    /// Print the reference page of the settings
    #[command(hide = true)]
    SettingsReference,
    /// Print the Python package's module with the names of the modes and tasks
    #[command(hide = true)]
    PythonNames,
}

/// A program to run, and the settings from flags.
#[derive(Debug, Args)]
pub(crate) struct Run {
    #[command(flatten)]
    pub(crate) settings: Settings,
    /// The program, followed by its own arguments
    #[arg(required = true, trailing_var_arg = true)]
    #[arg(value_name = "PROGRAM")]
    pub(crate) program: Vec<OsString>,
}

/// A folder to write.
#[derive(Debug, Args)]
pub(crate) struct Init {
    /// The name of the model and of its folder
    pub(crate) name: String,
    /// The kind of model
    #[arg(long, value_name = "KIND", default_value = "text")]
    #[arg(value_parser = PossibleValuesParser::new(templates::NAMES))]
    pub(crate) template: String,
}

/// A program or an image to check, with the options of the check.
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// Time limit for each run of the program, including the loading of the model
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) timeout: u64,
    /// Print one JSON object at the end, instead of lines
    #[arg(long)]
    pub(crate) json: bool,
    /// The program as ENTRYPOINT names it, and its own arguments; or the name of an image
    #[arg(required = true, trailing_var_arg = true)]
    #[arg(value_name = "PROGRAM")]
    pub(crate) program: Vec<OsString>,
}

/// A question for the server of this container.
#[derive(Debug, Args)]
pub(crate) struct Healthcheck {
    /// Ask whether the model is ready, not only whether the server is alive
    #[arg(long)]
    pub(crate) ready: bool,
    /// Time limit for the response
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) timeout: u64,
}

/// The link to the program that started this process, and that program's command line.
#[derive(Debug, Args)]
pub(crate) struct Attached {
    /// The file descriptor of the link
    #[arg(long)]
    pub(crate) link: i32,
    /// The program's name; `-c` for code on Python's command line
    #[arg(long, allow_hyphen_values = true)]
    pub(crate) program: OsString,
    /// The program's arguments
    #[arg(last = true)]
    pub(crate) arguments: Vec<OsString>,
}

/// The settings that are given as flags. The flags are made from the table of settings.
#[derive(Debug, Default)]
pub(crate) struct Settings(pub(crate) Vec<Given>);

/// A setting and the value of its flag.
#[derive(Debug)]
pub(crate) struct Given {
    pub(crate) setting: &'static Setting,
    /// The variable that the flag sets: the current or a former name of the setting.
    pub(crate) name: &'static str,
    pub(crate) value: String,
}

impl FromArgMatches for Settings {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = settings::all().flat_map(|setting| {
            let flag = setting.flag.map(|flag| (flag.to_owned(), setting.name));
            flag.into_iter().chain(setting.former_flags()).filter_map(move |(flag, name)| {
                let value = matches.get_one::<String>(&flag)?.clone();
                Some(Given { setting, name, value })
            })
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
        settings::all().fold(command, |command, setting| {
            let Some(flag) = setting.flag else { return command };
            let former = setting.former_flags().map(|(former, _)| {
                Arg::new(former.clone()).long(former).hide(true).conflicts_with(flag)
            });
            command.arg(argument(setting, flag)).args(former)
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

fn argument(setting: &'static Setting, flag: &'static str) -> Arg {
    let default = match setting.default {
        "" => String::new(),
        default => format!("; default: {default}"),
    };
    let named = Arg::new(flag).long(flag);
    let named = match setting.implied {
        // The value must be joined by `=`, because the next word is the program.
        Some(value) => named.num_args(0..=1).require_equals(true).default_missing_value(value),
        None => named,
    };
    named
        .value_name(setting.value_name)
        .value_parser(Completed((setting.choices)()))
        .hide_possible_values(true)
        .help(format!("{}{} [{}{default}]", setting.help, setting.listed_words(), setting.name))
        .help_heading(setting.heading)
}

/// Accepts any text, and lets shells complete these words. The setting checks the value itself,
/// whether it comes from a flag or from a variable.
#[derive(Clone, Debug)]
struct Completed(Vec<&'static str>);

impl TypedValueParser for Completed {
    type Value = String;

    fn parse_ref(
        &self,
        command: &Command,
        argument: Option<&Arg>,
        value: &OsStr,
    ) -> Result<String, clap::Error> {
        StringValueParser::new().parse_ref(command, argument, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let words = self.0.iter().map(PossibleValue::new);
        (!self.0.is_empty()).then(|| Box::new(words) as Box<dyn Iterator<Item = PossibleValue>>)
    }
}

/// Prints the completion script of a shell.
pub(crate) fn print_completions(shell: Shell) {
    say(completions(shell).trim_end());
}

fn completions(shell: Shell) -> String {
    let mut command = visible(&Arguments::command()).version(env!("CARGO_PKG_VERSION"));
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// Returns the command without its hidden parts, which `clap_complete` would complete.
fn visible(command: &Command) -> Command {
    let arguments = command.get_arguments().filter(|argument| !argument.is_hide_set());
    let subcommands = command.get_subcommands().filter(|subcommand| !subcommand.is_hide_set());
    let about = command.get_about().cloned().unwrap_or_default();
    Command::new(command.get_name().to_owned())
        .about(about)
        .args(arguments.cloned())
        .subcommands(subcommands.map(visible))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_is_valid_and_its_help_is_unchanged() {
        Arguments::command().debug_assert();
        let mut command = Arguments::command();
        let run = command.find_subcommand_mut("run").map(|run| run.render_help().to_string());
        insta::assert_snapshot!(run.unwrap());
    }

    #[test]
    fn the_help_of_init_and_check_is_unchanged() {
        let mut command = Arguments::command();
        for name in ["init", "check"] {
            let help = command.find_subcommand_mut(name).map(|one| one.render_help().to_string());
            insta::assert_snapshot!(name, help.unwrap());
        }
    }

    #[test]
    fn flags_after_the_program_belong_to_it() {
        let words = ["ai-integration", "run", "--workers", "3", "model.py", "--workers", "4", "-x"];
        let Action::Run(run) = Arguments::parse_from(words).action else { panic!() };
        assert_eq!(run.program, ["model.py", "--workers", "4", "-x"]);
        let settings: Vec<_> =
            run.settings.0.iter().map(|given| (given.name, given.value.as_str())).collect();
        assert_eq!(settings, [("AI_INTEGRATION_WORKERS", "3")]);
    }

    #[test]
    fn a_switch_needs_no_value() {
        for (words, value) in [
            (&["ai-integration", "run", "--reload", "model.py"][..], "1"),
            (&["ai-integration", "run", "--reload=0", "model.py", "--reload"], "0"),
        ] {
            let Action::Run(run) = Arguments::parse_from(words).action else { panic!() };
            assert_eq!(
                (run.settings.0[0].value.as_str(), &*run.program[0]),
                (value, OsStr::new("model.py"))
            );
        }
    }

    #[test]
    fn a_former_flag_of_a_setting_still_works() {
        let parse = |flags: &[&str]| {
            let words = ["ai-integration", "run"].iter().chain(flags).chain(&["model.py"]);
            Arguments::try_parse_from(words)
        };
        let Action::Run(run) = parse(&["--grace", "3"]).unwrap().action else { panic!() };
        let given = &run.settings.0[0];
        assert_eq!(given.setting.name, "AI_INTEGRATION_TIMEOUT_GRACE");
        assert_eq!((given.name, given.value.as_str()), ("AI_INTEGRATION_GRACE", "3"));
        let both = parse(&["--grace", "3", "--timeout-grace", "3"]).unwrap_err().to_string();
        assert!(both.contains("--grace") && both.contains("--timeout-grace"), "{both}");
    }

    #[test]
    fn shells_complete_known_values_and_other_values_are_accepted() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let script = completions(shell);
            for word in ["test_single_image", "brief", "debug", "continue", "version"] {
                assert!(script.contains(word), "{shell}: {word}");
            }
            for hidden in ["url-inputs", "attached"] {
                assert!(!script.contains(hidden), "{shell}: {hidden}");
            }
        }
        let words = ["ai-integration", "run", "--mode", "a_custom_one", "model.py"];
        assert!(Arguments::try_parse_from(words).is_ok());
    }
}
