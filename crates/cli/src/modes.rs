//! `ai-integration modes`: the list of modes.

use std::process::{Command, Stdio};

use ai_integration::{ExitStatus, environment};
use ai_integration_engine::CustomMode;
use ai_integration_modes::console::say;

use crate::program;

/// Runs `ai-integration modes`.
pub(crate) fn print() -> ExitStatus {
    say(ai_integration_modes::list_with_examples(&custom()).trim_end());
    ExitStatus::Done
}

/// Returns the modes that the environment's Python package adds; none if there is no Python or no
/// package.
fn custom() -> Vec<CustomMode> {
    let listed = Command::new(program::python(&environment::read()))
        .args(["-m", "ai_integration.modes"])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output();
    match listed {
        Ok(output) if output.status.success() => {
            serde_json::from_slice(&output.stdout).unwrap_or_default()
        }
        _ => Vec::new(),
    }
}
