//! Logs on standard error.

use std::io::IsTerminal;

use ai_integration_contract::{Environment, SettingError};
use tracing::Level;

use crate::settings::LOG;

/// Begins to log. A second call changes nothing.
pub(crate) fn start(environment: &Environment, is_serving: bool) -> Result<(), SettingError> {
    let levels = "error, warn, info, debug or trace";
    let default = if is_serving { Level::INFO } else { Level::WARN };
    let level = environment.parse::<Level>(&LOG, levels, |_| true)?.unwrap_or(default);
    let _ = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_max_level(level)
        .with_target(false)
        .log_internal_errors(false)
        .try_init();
    Ok(())
}
