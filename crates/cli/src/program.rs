//! What to execute for a program that a user names.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use ai_integration_contract::Environment;

/// The command for a program and its arguments: a `.py` file is run by the environment's Python.
pub(crate) fn command(program: &[OsString], environment: &Environment) -> Vec<OsString> {
    let mut command = program.to_vec();
    if program.first().is_some_and(|name| is_script(name)) {
        command.insert(0, python(environment));
    } else if let Some(name) = command.first_mut() {
        // A file of this folder is meant, as `./model` would say in a shell.
        if !name.as_encoded_bytes().contains(&b'/') && Path::new(&*name).is_file() {
            *name = Path::new(".").join(&*name).into();
        }
    }
    command
}

/// The script that is named but is not there: Python would say so only after it has started.
pub(crate) fn missing_script(program: &[OsString]) -> Option<&Path> {
    let script = Path::new(program.first().filter(|name| is_script(name))?);
    (!script.exists()).then_some(script)
}

fn is_script(name: &OsStr) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension == "py")
}

/// Whether a command runs Python, whose client knows modes that this command does not.
pub(crate) fn is_python(command: &[OsString]) -> bool {
    let name = command.first().map(Path::new).and_then(Path::file_name);
    name.is_some_and(|name| {
        let name = name.to_string_lossy();
        name.starts_with("python") || name.starts_with("pypy")
    })
}

/// How a user would name the program in a help text, and the arguments which are the program's:
/// those after the script, when an interpreter of Python is named first.
pub(crate) fn called_as(program: &[OsString]) -> (String, Vec<OsString>) {
    let script = if is_python(program) { script_position(program) } else { 0 };
    let name = program.get(script).or(program.first());
    let name = name.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    (name, program.get(script + 1..).unwrap_or_default().to_vec())
}

/// Where the script or the module's name stands in a command line of Python.
fn script_position(command: &[OsString]) -> usize {
    let mut position = 1;
    while let Some(word) = command.get(position).map(|word| word.to_string_lossy()) {
        match word.as_ref() {
            "-m" => return position + 1,
            "-W" | "-X" => position += 2,
            flag if flag.starts_with('-') => position += 1,
            _ => break,
        }
    }
    position
}

/// The Python of the environment: the active virtual environment's, the one this command is
/// installed beside, or the one on the path.
pub(crate) fn python(environment: &Environment) -> OsString {
    let active = environment.variable("VIRTUAL_ENV").map(|folder| Path::new(folder).join("bin"));
    let beside = std::env::current_exe().ok().and_then(|file| Some(file.parent()?.to_owned()));
    [active, beside]
        .into_iter()
        .flatten()
        .flat_map(|folder| ["python3", "python"].map(|name| folder.join(name)))
        .find(|file| file.is_file())
        .map_or_else(|| "python3".into(), Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_programs_own_arguments_are_found() {
        for (words, name, rest) in [
            ("model.py --x 1", "model.py", "--x 1"),
            ("./model --x", "./model", "--x"),
            ("/bin/python3 -u -X dev model.py --x", "model.py", "--x"),
            ("python3 -m package --x", "package", "--x"),
            ("python3", "python3", ""),
        ] {
            let words: Vec<OsString> = words.split(' ').map(OsString::from).collect();
            let rest: Vec<OsString> = rest.split_whitespace().map(OsString::from).collect();
            assert_eq!(called_as(&words), (name.to_owned(), rest));
        }
    }

    #[test]
    fn scripts_are_run_by_python_and_all_else_is_executed() {
        let words = ["dir/model.py", "--x"].map(OsString::from);
        let environment = Environment::default();
        let command = command(&words, &environment);
        assert!(is_python(&command), "{command:?}");
        assert_eq!(command[1..], words);
        assert!(!is_python(&super::command(&["/bin/model".into()], &environment)));
        assert!(is_python(&["/usr/bin/python3.11".into()]));
    }
}
