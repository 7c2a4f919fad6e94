//! `ai-integration healthcheck`: asks the server of this container for its health.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::time::Duration;

use ai_integration::{ExitStatus, environment, launch};
use ai_integration_contract::Environment;
use ai_integration_modes::console::eprint;
use ai_integration_modes::{Mode, Question, Usage, find, healthcheck};
use clap::Parser;

use crate::arguments::{Action, Arguments, Healthcheck, Run};
use crate::program::{self, Called};
use crate::run::with_flags;

/// The words of the container's first process, which is the server or its parent.
const FIRST: &str = "/proc/1/cmdline";

/// Runs `ai-integration healthcheck`.
pub(crate) fn run(asked: &Healthcheck) -> ExitStatus {
    let words = fs::read(FIRST).unwrap_or_default();
    let words = words.split(|byte| *byte == 0).map(|word| OsString::from_vec(word.to_vec()));
    let words: Vec<OsString> = words.filter(|word| !word.is_empty()).collect();
    let Ok(environment) = of_server(environment::read(), &words) else {
        return ExitStatus::Failed;
    };
    // Without a mode in the variables a flag may have chosen one, so the server is asked.
    let mode = environment.variable(Usage::mode().name).and_then(find);
    if let Some(mode) = mode.filter(|mode| mode.port().is_none()) {
        return without_port(mode, asked.ready);
    }
    let question = if asked.ready { Question::IsReady } else { Question::IsAlive };
    match healthcheck(&environment, question, Duration::from_secs(asked.timeout)) {
        Ok(()) => ExitStatus::Done,
        Err(reason) => {
            eprint(format_args!("unhealthy: {reason}"));
            ExitStatus::Failed
        }
    }
}

/// Answers for a mode that listens on no port. Its process is alive, since this is its container.
fn without_port(mode: &dyn Mode, asks_readiness: bool) -> ExitStatus {
    if asks_readiness {
        eprint(format_args!(
            "unhealthy: MODE={} listens on no port, so nothing can be asked",
            mode.name()
        ));
        return ExitStatus::Failed;
    }
    ExitStatus::Done
}

/// Returns the settings of the server: those of this process, which has the variables of the
/// container, with what the command line of the first process adds: flags, and the argument `serve`.
fn of_server(mut environment: Environment, words: &[OsString]) -> Result<Environment, ExitStatus> {
    let started = words
        .iter()
        .position(|word| Path::new(word).file_name().is_some_and(|name| name == "ai-integration"));
    let parsed = started.and_then(|place| Arguments::try_parse_from(&words[place..]).ok());
    match parsed.map(|parsed| parsed.action) {
        Some(Action::Serve(run)) => {
            environment.set_variable(Usage::mode().name, "");
            environment = with_flags(environment, &run.settings);
            launch::to_serve(&mut environment)?;
        }
        Some(Action::Run(Run { settings, program })) => {
            environment = with_flags(environment, &settings);
            let Called { arguments, .. } = program::called_as(&program);
            launch::on_platform(&mut environment, &arguments)?;
        }
        _ => {
            let arguments = words.iter().skip(1).skip_while(|word| *word != "serve").cloned();
            launch::on_platform(&mut environment, &arguments.collect::<Vec<_>>())?;
        }
    }
    Ok(environment)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(words: &str, variables: &[(&str, &str)]) -> Option<String> {
        let variables = variables.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        let words: Vec<OsString> = words.split_whitespace().map(OsString::from).collect();
        let environment = of_server(Environment::new(variables), &words).unwrap();
        environment.variable("PORT").map(str::to_owned)
    }

    #[test]
    fn the_port_is_that_of_the_first_process() {
        let engine = "/usr/local/bin/ai-integration";
        for (words, variables, expected) in [
            ("/sbin/init", &[][..], None),
            ("/sbin/init", &[("PORT", "9000")], Some("9000")),
            ("tini -- python3 entrypoint.py serve", &[], Some("8080")),
            ("/app/model serve", &[("PORT", "9000")], Some("9000")),
            ("python3 entrypoint.py", &[("K_SERVICE", "a")], Some("8080")),
            (&format!("{engine} serve -- python3 entrypoint.py serve"), &[], Some("8080")),
            (&format!("{engine} serve --port 7000 entrypoint.py"), &[], Some("7000")),
            (&format!("{engine} run -- python3 entrypoint.py"), &[("MODE", "http")], None),
            (&format!("tini -- {engine} run --port 7001 model.py"), &[], Some("7001")),
        ] {
            assert_eq!(port(words, variables).as_deref(), expected, "{words}");
        }
    }
}
