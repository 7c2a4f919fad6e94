//! Logs on standard error.

use std::io::{self, IsTerminal};

use ai_integration_contract::{Environment, SettingError};
use tracing::Level;
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};

use crate::settings::{LOG, LOG_FORMAT};

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
    let levels = "error, warn, info, debug or trace";
    let default = if is_serving { Level::INFO } else { Level::WARN };
    let level = environment.parse::<Level>(&LOG, levels, |_| true)?.unwrap_or(default);
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
    let is_format = |word: &String| ["human", "json"].contains(&word.as_str());
    let is_json = match environment.parse(&LOG_FORMAT, "human or json", is_format)?.as_deref() {
        Some(format) => format == "json",
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
