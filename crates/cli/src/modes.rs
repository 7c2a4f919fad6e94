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

/// Returns the module of the Python package that lists the built-in modes.
pub(crate) fn python_names() -> String {
    let built_in = words(MODES.iter().copied());
    let serving = words(MODES.iter().copied().filter(|mode| mode.is_serving()));
    let supervised = words(MODES.iter().copied().filter(|mode| mode.is_supervised()));
    let piped = words(MODES.iter().copied().filter(|mode| mode.is_serving() && mode.owns_stdout()));
    format!(
        r#""""The names of the built-in modes.

The package needs them before an engine runs. This file is generated: `make docs`.
"""

BUILT_IN = (
{built_in})

# Modes that outlive a request.
SERVING = (
{serving})

# Modes for which the engine is the parent and the program its worker.
SUPERVISED = (
{supervised})

# Serving modes whose clients read standard output.
PIPED = (
{piped})
"#
    )
}

/// Returns the names of the modes as the lines of a Python tuple.
fn words<'a>(modes: impl Iterator<Item = &'a dyn Mode>) -> String {
    modes.fold(String::new(), |mut lines, mode| {
        let _ = writeln!(lines, "    {:?},", mode.name());
        lines
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_python_client_names_the_same_modes() {
        let written = include_str!("../../../python/ai_integration/_mode_names.py");
        assert_eq!(written, python_names(), "run `make docs`");
    }
}
