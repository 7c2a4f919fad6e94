//! Every setting there is, gathered from the parts that own them.

use std::fmt::Write as _;

use ai_integration_contract::setting::{FilePath, Text};
use ai_integration_contract::{Setting, choices, settings};
use ai_integration_engine::settings::Config;
use ai_integration_engine::{LINK_VARIABLE, WORKER_VARIABLE};
use ai_integration_modes::{MODES, Usage};

use crate::logging;

settings! {
    /// Settings that the Python client reads. They are here so that the command line has them as
    /// flags, and that what they say is refused before a model is loaded.
    #[derive(Clone, Debug)]
    pub struct PythonClient under "Model" {
        /// Reaction to an exception in a Python model's `with` block, which the requester is told in
        /// any case. auto: a serving program goes on, and is replaced when the exception says that the
        /// process is broken (out of memory, an error of CUDA and the like) or after three requests
        /// in a row that ended in one; with start_loop, and in one-shot modes, it is stop. stop ends
        /// the program, and a serving one is started again; continue keeps it in any case.
        on_exception: OnException = "auto",
        /// Reaction to NaN and Infinity, which JSON does not have, in a Python model's JSON results.
        /// refuse is an error that names their place; null sends null instead.
        nan: NotANumber = "refuse",
        /// Folders with usage modes in Python, separated by colons.
        modes_path: Option<Text> { value_name: "FOLDERS" },
        /// The engine's program, for a Python client that is not installed beside it.
        binary: Option<FilePath> { flag: None },
    }
}

choices! {
    /// The reaction of a Python model to an exception.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum OnException {
        /// A serving program goes on, and is replaced when it is broken.
        Auto = "auto",
        /// The program ends, and is started again.
        Stop = "stop",
        /// The program goes on.
        Continue = "continue",
    }
}

choices! {
    /// The reaction to a number that JSON does not have.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum NotANumber {
        /// The result is refused.
        Refuse = "refuse",
        /// It is sent as null.
        Null = "null",
    }
}

settings! {
    /// Variables that the engine sets for its workers.
    #[derive(Clone, Debug)]
    pub struct OfWorkers under "Not for users" {
        /// Set by the engine for its workers: the descriptor of their link. Not for users.
        link: Option<Text> { name: LINK_VARIABLE, flag: None },
        /// Set by the engine for its workers: by this it finds what they started, to end it with
        /// them. Not for users.
        worker_id: Option<Text> { name: WORKER_VARIABLE, flag: None },
    }
}

/// Lists every setting, in the order of the documentation.
pub fn all() -> impl Iterator<Item = &'static Setting> + Clone {
    let before = [Usage::SETTINGS, PythonClient::SETTINGS, Config::SETTINGS];
    let of_modes = MODES.iter().flat_map(|mode| mode.settings()).copied();
    let after = [logging::Settings::SETTINGS, OfWorkers::SETTINGS];
    before.into_iter().chain(of_modes).chain(after).flatten().copied()
}

/// The variables that the model's program does not get to see.
#[must_use]
pub fn secrets() -> Vec<&'static str> {
    all().filter(|setting| setting.is_secret).flat_map(Setting::names).collect()
}

/// The reference page of the settings, in Markdown.
#[must_use]
pub fn reference() -> String {
    let mut page = String::from(INTRODUCTION);
    let mut headings: Vec<&str> = Vec::new();
    for heading in all().map(|setting| setting.heading) {
        if !headings.contains(&heading) {
            headings.push(heading);
        }
    }
    for heading in headings {
        let _ = write!(
            page,
            "\n## {heading}\n\n| variable | flag | default | meaning |\n|---|---|---|---|\n"
        );
        for setting in all().filter(|setting| setting.heading == heading) {
            let _ = writeln!(page, "{}", row(setting));
        }
    }
    page
}

const INTRODUCTION: &str = "\
# Settings

Each setting is an environment variable, and most are also flags of
`ai-integration run`. This page is generated: `make docs`.

An `AI_INTEGRATION_` variable that is not in this list is an error, so that a misspelt one
is not silently without effect; but for those that Kubernetes sets for a Service of that
name. A name that a setting had before still works, with a warning.

An empty value is the same as none, but where that would leave the server open or without a
limit: it is refused for the settings that say so, since an unset variable of Compose or Kubernetes
may be behind it.

Sizes and times can be written with their unit, in any case:

| | units | a number without a unit |
|---|---|---|
| sizes | `B`, `kB`, `MB`, `GB`, `TB` (10 MB are 10,000,000 bytes); `KiB`, `MiB`, `GiB`, `TiB` (10 MiB are 10,485,760) | in what stands behind the flag: `BYTES` or `MIB` |
| times | `ms`, `s`, `m` or `min`, `h` | in seconds, which may have a fraction |

Times are above 0 and at most a day: where there is no limit by default, only leaving it out
means none.
";

fn row(setting: &Setting) -> String {
    let flag = setting.flag.map(|flag| match setting.implied {
        Some(_) => format!("`--{flag}`"),
        None => format!("`--{flag} {}`", setting.value_name),
    });
    let flag = flag.unwrap_or_default().replace('|', "\\|");
    let default = Some(setting.default).filter(|default| !default.is_empty());
    let default = default.map(|default| format!("`{default}`")).unwrap_or_default();
    let former = match setting.was {
        [] => String::new(),
        names => format!(" Formerly `{}`.", names.join("`, `")),
    };
    let empty = if setting.refuses_empty { " Not to be empty." } else { "" };
    format!("| `{}` | {flag} | {default} | {}{former}{empty} |", setting.name, setting.help)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_flags_are_there_once() {
        let mut names: Vec<&str> = all().flat_map(Setting::names).collect();
        let mut flags: Vec<&str> = all().filter_map(|setting| setting.flag).collect();
        for list in [&mut names, &mut flags] {
            let count = list.len();
            list.sort_unstable();
            list.dedup();
            assert_eq!(list.len(), count, "{list:?}");
        }
    }

    #[cfg(feature = "http")]
    #[test]
    fn the_servers_token_is_a_secret() {
        assert_eq!(secrets(), ["AI_INTEGRATION_TOKEN"]);
    }
}
