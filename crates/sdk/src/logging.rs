//! Logs on standard error.

use std::io::{self, IsTerminal};

use ai_integration_contract::setting::SettingType;
use ai_integration_contract::{Environment, SettingError, choices, settings};
use tracing::Level;
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};

settings! {
    /// The level and the form of the log.
    #[derive(Clone, Debug)]
    pub(crate) struct Settings under "Logs" {
        /// Least level that is logged on standard error: error, warn, info, debug or trace. By default
        /// info when serving and warn otherwise.
        log: Option<LogLevel>,
        /// The form of the log: lines for people, or a JSON object a line. By default JSON when
        /// serving where standard error is no terminal. What the model's program prints passes
        /// through as it is.
        log_format: Option<LogFormat>,
    }
}

choices! {
    /// The form of the log.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) enum LogFormat {
        /// Lines for people.
        Human = "human",
        /// A JSON object a line.
        Json = "json",
    }
}

/// The least level of what is logged.
#[derive(Debug)]
pub(crate) struct LogLevel;

impl SettingType for LogLevel {
    type Value = Level;
    const VALUE_NAME: &'static str = "LEVEL";

    fn choices() -> Vec<&'static str> {
        vec!["error", "warn", "info", "debug", "trace"]
    }

    fn read(text: &str) -> Result<Level, String> {
        text.parse().map_err(|_| "error, warn, info, debug or trace".to_owned())
    }
}

/// Lines that may wait for a reader of standard error; further ones are lost.
const WAITING_LINES: usize = 4096;

/// Begins to log. What is logged has been written when the guard is dropped.
///
/// The lines go through a thread of their own: a standard error that nobody reads (a full pipe, a
/// stopped terminal) must not stop the engine.
pub(crate) fn start(
    environment: &Environment,
    is_serving: bool,
) -> Result<WorkerGuard, SettingError> {
    let settings = Settings::read(environment)?;
    let default = if is_serving { Level::INFO } else { Level::WARN };
    let level = settings.log.unwrap_or(default);
    let (writer, guard) = NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(WAITING_LINES)
        .finish(io::stderr());
    let log = tracing_subscriber::fmt()
        .with_writer(writer)
        .with_max_level(level)
        .with_target(false)
        .log_internal_errors(false);
    let is_terminal = io::stderr().is_terminal();
    // One-shot modes speak to whoever called them, terminal or not.
    let is_json = match settings.log_format {
        Some(format) => format == LogFormat::Json,
        None => is_serving && !is_terminal,
    };
    // A second call keeps the first one's way of logging.
    let _ = if is_json {
        log.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init()
    } else {
        log.with_ansi(is_terminal).try_init()
    };
    Ok(guard)
}
