//! All settings, collected from the parts that own them.

use std::fmt::Write as _;

use ai_integration_contract::setting::{FilePath, Text};
use ai_integration_contract::{Setting, choices, settings};
use ai_integration_engine::settings::Config;
use ai_integration_engine::{LINK_VARIABLE, WORKER_VARIABLE};
use ai_integration_modes::{MODES, Usage, platforms};

use crate::logging;

settings! {
    /// Settings that the Python package reads. They are declared here so that the command line has
    /// a flag for each, and refuses wrong values before a model is loaded.
    #[derive(Clone, Debug)]
    pub struct PythonClient under "Model" {
        /// Effect of an exception in the `with` block of a Python model; its request always fails.
        /// stop: the program ends, and is restarted if it serves. continue: the program goes on.
        /// auto: continue in serving modes; stop in other modes and with start_loop. With auto a
        /// serving program is also restarted if the exception means that its process is broken (such
        /// as out of memory or an error of CUDA), or after three failed requests in a row.
        on_exception: OnException = "auto",
        /// Handling of NaN and Infinity in a Python model's JSON results; JSON has no such numbers.
        /// refuse: the request fails, and the error names their place. null: null is sent instead.
        nan: NotANumber = "refuse",
        /// Folders with modes written in Python, separated by colons.
        modes_path: Option<Text> { value_name: "FOLDERS" },
        /// Path of the engine's executable, if the Python package is not installed together with
        /// it.
        binary: Option<FilePath> { flag: None },
    }
}

choices! {
    /// The effect of an exception on a Python program.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum OnException {
        /// A serving program goes on, and is restarted if its process is broken.
        Auto = "auto",
        /// The program ends. A serving program is restarted.
        Stop = "stop",
        /// The program goes on.
        Continue = "continue",
    }
}

choices! {
    /// The handling of numbers that JSON does not have.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum NotANumber {
        /// The request fails.
        Refuse = "refuse",
        /// The number is sent as null.
        Null = "null",
    }
}

settings! {
    /// Variables that the engine sets for its workers.
    #[derive(Clone, Debug)]
    pub struct OfWorkers under "Not for users" {
        /// Set by the engine for its workers: the file descriptor of the worker's link. Not for
        /// users.
        link: Option<Text> { name: LINK_VARIABLE, flag: None },
        /// Set by the engine for its workers: an id by which the engine finds the processes that a
        /// worker started, to end them together with the worker. Not for users.
        worker_id: Option<Text> { name: WORKER_VARIABLE, flag: None },
    }
}

/// Returns every setting, in the order of the documentation.
pub fn all() -> impl Iterator<Item = &'static Setting> + Clone {
    let before =
        [Usage::SETTINGS, platforms::Settings::SETTINGS, PythonClient::SETTINGS, Config::SETTINGS];
    let of_modes = MODES.iter().flat_map(|mode| mode.settings()).copied();
    let after = [logging::Settings::SETTINGS, OfWorkers::SETTINGS];
    before.into_iter().chain(of_modes).chain(after).flatten().copied()
}

/// Returns the variables that are removed from the model's environment.
#[must_use]
pub fn secrets() -> Vec<&'static str> {
    all().filter(|setting| setting.is_secret).flat_map(Setting::names).collect()
}

/// Returns the reference page of the settings in Markdown.
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

An unknown variable that begins with `AI_INTEGRATION_` is an error, so that a misspelt setting
is not silently ignored. Variables that Kubernetes sets for a Service of that name are allowed.
The former name of a setting still works, with a warning.

An empty value means the default. Some settings refuse an empty value, because without them the
server would be open or without a limit: the value may be empty by mistake, such as by an unset
variable in a file of Compose or Kubernetes. The list says which settings do.

Sizes and times can have a unit, in upper or lower case:

| | units | a number without a unit |
|---|---|---|
| sizes | `B`, `kB`, `MB`, `GB`, `TB` (10 MB are 10,000,000 bytes); `KiB`, `MiB`, `GiB`, `TiB` (10 MiB are 10,485,760 bytes) | has the unit that the flag's column names: `BYTES` or `MIB` |
| times | `ms`, `s`, `m` or `min`, `h` | is in seconds and may have a fraction |

A time must be above 0 and at most a day. If a setting has no limit by default, leave it out to
have none.
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
    let empty = if setting.refuses_empty { " Must not be empty." } else { "" };
    let (name, help, words) = (setting.name, setting.help, setting.listed_words());
    format!("| `{name}` | {flag} | {default} | {help}{words}{former}{empty} |")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_flags_are_unique() {
        let mut names: Vec<&str> = all().flat_map(Setting::names).collect();
        let mut flags: Vec<&str> = all().filter_map(|setting| setting.flag).collect();
        for list in [&mut names, &mut flags] {
            let count = list.len();
            list.sort_unstable();
            list.dedup();
            assert_eq!(list.len(), count, "{list:?}");
        }
    }

    #[cfg(all(feature = "http", feature = "runpod"))]
    #[test]
    fn the_servers_token_and_what_gives_access_to_a_queue_are_secrets() {
        let all = secrets();
        let (token, of_queue) = all.split_first().unwrap();
        assert_eq!(*token, "AI_INTEGRATION_TOKEN");
        assert!(of_queue.contains(&"RUNPOD_AI_API_KEY"));
        assert!(of_queue.iter().all(|name| name.starts_with("RUNPOD_")), "{of_queue:?}");
    }
}
