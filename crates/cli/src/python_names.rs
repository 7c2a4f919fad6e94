//! Writes the module of the Python package that lists names which the engine defines.

use std::fmt::Write as _;

use ai_integration::Task;
use ai_integration_modes::MODES;

/// Returns the module.
pub(crate) fn module() -> String {
    let modes = MODES.iter().copied();
    let all = words(modes.clone().map(|mode| mode.name()));
    let serving = words(modes.clone().filter(|mode| mode.is_serving()).map(|mode| mode.name()));
    let supervised = words(modes.filter(|mode| mode.is_supervised()).map(|mode| mode.name()));
    let tasks = words(Task::ALL.iter().map(|task| task.name()));
    format!(
        r#""""The names of the built-in modes and of the tasks.

The package needs them before an engine runs. This file is generated: `make docs`.
"""

MODES = (
{all})

# Modes that outlive a request.
SERVING_MODES = (
{serving})

# Modes for which the engine is the parent and the program its worker.
SUPERVISED_MODES = (
{supervised})

TASKS = (
{tasks})
"#
    )
}

/// Returns names as the lines of a Python tuple.
fn words(names: impl Iterator<Item = &'static str>) -> String {
    names.fold(String::new(), |mut lines, name| {
        let _ = writeln!(lines, "    {name:?},");
        lines
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_python_package_has_the_same_names() {
        let written = include_str!("../../../python/ai_integration/_names.py");
        assert_eq!(written, module(), "run `make docs`");
    }
}
