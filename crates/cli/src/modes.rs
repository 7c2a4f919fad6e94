//! The list of modes.

use std::process::{Command, Stdio};

use ai_integration::{ExitStatus, environment};
use ai_integration_engine::CustomMode;

use crate::program;

/// `ai-integration modes`.
pub(crate) fn print() -> ExitStatus {
    print!("{}", ai_integration_modes::list(&custom()));
    ExitStatus::Done
}

/// The modes that the environment's Python adds; none where there is no Python, or no client.
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
