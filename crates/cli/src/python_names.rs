//! Writes the module of the Python package that lists names which the engine defines.

use std::fmt::Write as _;

use ai_integration::Task;
use ai_integration_modes::{MODES, Mode, platforms};

/// Returns the module.
pub(crate) fn module() -> String {
    let all = modes(|_| true);
    let serving = modes(|mode| mode.is_serving());
    let supervised = modes(|mode| mode.is_supervised());
    let piped = modes(|mode| mode.is_serving() && mode.owns_stdout());
    let variables = platforms::variables().into_iter().fold(String::new(), |mut lines, one| {
        let value = one.1.map_or("None".to_owned(), |value| format!("{value:?}"));
        let _ = writeln!(lines, "    ({:?}, {value}),", one.0);
        lines
    });
    let tasks = words(Task::ALL.iter().map(|task| task.name()));
    format!(
        r#""""The names of the built-in modes, of the tasks, and of what shows a hosting platform.

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

# Serving modes whose clients read standard output.
PIPED_MODES = (
{piped})

# Variables that hosting platforms set, each with its value if only one counts.
PLATFORM_VARIABLES = (
{variables})

TASKS = (
{tasks})
"#
    )
}

/// Returns the names of the modes that fit, as the lines of a Python tuple.
fn modes(fits: fn(&dyn Mode) -> bool) -> String {
    words(MODES.iter().filter(|mode| fits(**mode)).map(|mode| mode.name()))
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
