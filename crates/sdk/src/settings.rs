//! Every setting there is, gathered from the parts that own them.

use std::fmt::Write as _;

use ai_integration_contract::{Environment, Setting, SettingError};
use ai_integration_engine::{LINK_VARIABLE, WORKER_VARIABLE};
use ai_integration_modes::{MODE, MODES};

/// How much is logged.
pub static LOG: Setting = Setting {
    name: "AI_INTEGRATION_LOG",
    flag: Some("log"),
    value_name: "LEVEL",
    default: "",
    help: "How much is told on standard error: error, warn, info, debug or trace. By default info \
           when serving and warn otherwise.",
};

/// How it is logged.
pub static LOG_FORMAT: Setting = Setting {
    name: "AI_INTEGRATION_LOG_FORMAT",
    flag: Some("log-format"),
    value_name: "human|json",
    default: "",
    help: "The form of the log: lines for people, or a JSON object a line. By default JSON when \
           serving where standard error is no terminal. What the model's program prints passes \
           through as it is.",
};

/// Read by the Python client.
pub static ON_EXCEPTION: Setting = Setting {
    name: "AI_INTEGRATION_ON_EXCEPTION",
    flag: Some("on-exception"),
    value_name: "stop|continue",
    default: "stop",
    help: "What a Python model does after an exception in its `with` block, which the requester is \
           told in either case: stop ends the program, and it is started again; continue keeps it.",
};

/// What `ON_EXCEPTION` may be.
const POLICIES: &[&str] = &["stop", "continue"];

/// Holds what only the Python client reads against what it will accept, before anything is started.
pub(crate) fn check(environment: &Environment) -> Result<(), SettingError> {
    let expected = POLICIES.join(" or ");
    let is_known = |policy: &String| POLICIES.contains(&policy.as_str());
    environment.parse(&ON_EXCEPTION, &expected, is_known).map(drop)
}

/// Read by the Python client.
pub static MODES_PATH: Setting = Setting {
    name: "AI_INTEGRATION_MODES_PATH",
    flag: Some("modes-path"),
    value_name: "FOLDERS",
    default: "",
    help: "Folders with usage modes in Python, separated by colons.",
};

/// Read by the Python client.
pub static BINARY: Setting = Setting {
    name: "AI_INTEGRATION_BINARY",
    flag: None,
    value_name: "FILE",
    default: "",
    help: "The engine's program, for a Python client that is not installed beside it.",
};

/// Set by the engine for its workers.
pub static LINK: Setting = Setting {
    name: LINK_VARIABLE,
    flag: None,
    value_name: "DESCRIPTOR",
    default: "",
    help: "Set by the engine for its workers: the descriptor of their link. Not for users.",
};

/// Set by the engine for its workers.
pub static WORKER: Setting = Setting {
    name: WORKER_VARIABLE,
    flag: None,
    value_name: "NAME",
    default: "",
    help: "Set by the engine for its workers: by this it finds what they started, to end it with \
           them. Not for users.",
};

/// Every setting, in the order of the documentation.
#[must_use]
pub fn all() -> Vec<&'static Setting> {
    let mut settings = vec![&MODE];
    settings.extend(MODES.iter().flat_map(|mode| mode.settings()));
    settings.extend(ai_integration_engine::settings::SETTINGS);
    settings.extend([&ON_EXCEPTION, &MODES_PATH, &LOG, &LOG_FORMAT, &BINARY, &LINK, &WORKER]);
    settings
}

/// The reference page of the settings, in Markdown.
#[must_use]
pub fn reference() -> String {
    let mut page = String::from(
        "# Settings\n\n\
         Each setting is an environment variable, and most are also flags of\n\
         `ai-integration run`. This page is generated: `make docs`.\n\n\
         | variable | flag | default | meaning |\n|---|---|---|---|\n",
    );
    for setting in all() {
        let flag = setting.flag.map(|flag| format!("`--{flag} {}`", setting.value_name));
        let default = Some(setting.default).filter(|default| !default.is_empty());
        let _ = writeln!(
            page,
            "| `{}` | {} | {} | {} |",
            setting.name,
            flag.unwrap_or_default().replace('|', "\\|"),
            default.map(|default| format!("`{default}`")).unwrap_or_default(),
            setting.help,
        );
    }
    page.push_str(
        "\nAn `AI_INTEGRATION_` variable that is not in this list is an error, so that a misspelt \
         one\nis not silently without effect; but for those that Kubernetes sets for a Service of \
         that\nname. Times are above 0 and at most a day: where there is no limit by default, only \
         leaving\nit out means none.\n",
    );
    page
}
