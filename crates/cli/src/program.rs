//! The command that executes a user's program.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use ai_integration_contract::Environment;

/// Returns the command for a program and its arguments. A `.py` file is run by the environment's
/// Python.
pub(crate) fn command(program: &[OsString], environment: &Environment) -> Vec<OsString> {
    let mut command = program.to_vec();
    if program.first().is_some_and(|name| is_script(name)) {
        command.insert(0, python(environment));
    } else if let Some(name) = command.first_mut() {
        // The name means a file in this folder, which a shell would call `./model`.
        if !name.as_encoded_bytes().contains(&b'/') && Path::new(&*name).is_file() {
            *name = Path::new(".").join(&*name).into();
        }
    }
    command
}

/// Returns the named script if it does not exist. Python would report that only after it has
/// started.
pub(crate) fn missing_script(program: &[OsString]) -> Option<&Path> {
    let script = Path::new(program.first().filter(|name| is_script(name))?);
    (!script.exists()).then_some(script)
}

fn is_script(name: &OsStr) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension == "py")
}

/// Returns true if a command runs Python. The Python package has modes that this command does not
/// know.
pub(crate) fn is_python(command: &[OsString]) -> bool {
    let name = command.first().map(Path::new).and_then(Path::file_name);
    name.is_some_and(|name| {
        let name = name.to_string_lossy();
        name.starts_with("python") || name.starts_with("pypy")
    })
}

/// The program that a command line names, and its arguments.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Called {
    /// The program's name in help texts.
    pub(crate) name: String,
    /// The program's arguments: the words after the script if the first word is a Python
    /// interpreter, or the words after `--` if it is a launcher.
    pub(crate) arguments: Vec<OsString>,
    /// True if the program can be run without these arguments.
    pub(crate) is_separable: bool,
}

/// Finds the program and its arguments among the words of a command line.
pub(crate) fn called_as(words: &[OsString]) -> Called {
    let place = if is_python(words) { script_position(words) } else { 0 };
    let word = words.get(place).or(words.first());
    let word = word.map(|word| word.to_string_lossy().into_owned()).unwrap_or_default();
    let behind = words.get(place + 1..).unwrap_or_default();
    // A launcher (`env python model.py`, `python -m cProfile model.py`) has its own words before
    // those of the program.
    let is_other =
        |word: &OsString| is_script(word) || word == "-m" || is_python(std::slice::from_ref(word));
    let is_script = words.get(place).is_some_and(|word| is_script(word));
    let is_launcher = !is_script && behind.iter().any(is_other);
    let separator = behind.iter().position(|word| is_launcher && word == "--");
    Called {
        name: module(&word).unwrap_or(word),
        arguments: behind[separator.map_or(0, |at| at + 1)..].to_vec(),
        is_separable: !is_launcher || separator.is_some(),
    }
}

/// Returns the module in a word that also contains its flag, such as `-mpackage`.
fn module(word: &str) -> Option<String> {
    flag(word).filter(|(letter, _)| *letter == 'm').map(|(_, name)| name.to_owned())
}

/// Finds the first flag in a group of Python's flags that takes a value, and the part of the value
/// in the same word. `-um` gives `m` and an empty value, `-mpackage` gives `m` and `package`.
fn flag(word: &str) -> Option<(char, &str)> {
    let letters = word.strip_prefix('-').filter(|letters| !letters.starts_with('-'))?;
    let at = letters.find(['c', 'm', 'W', 'X', 'Q'])?;
    Some((char::from(letters.as_bytes()[at]), &letters[at + 1..]))
}

/// Returns the position of the script, the module's name or the code in a Python command line.
fn script_position(command: &[OsString]) -> usize {
    let mut position = 1;
    while let Some(word) = command.get(position).map(|word| word.to_string_lossy()) {
        match (word.as_ref(), flag(&word)) {
            ("--", _) | (_, Some(('c' | 'm', ""))) => return position + 1,
            (_, Some(('c' | 'm', _))) => return position,
            (_, Some((_, ""))) | ("--check-hash-based-pycs", _) => position += 2,
            (word, _) if word.starts_with('-') && word != "-" => position += 1,
            _ => break,
        }
    }
    position
}

/// Returns the Python of the environment: that of the active virtual environment, the one beside
/// this command, or the one on the path.
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
            ("python -mpackage --x", "package", "--x"),
            ("python -um package --x", "package", "--x"),
            ("python -uWignore -Xdev -B model.py --x", "model.py", "--x"),
            ("python -c code --x", "code", "--x"),
            ("python -- model.py --x", "model.py", "--x"),
            ("./model --text notes.py", "./model", "--text notes.py"),
            ("model.py --text -- --x", "model.py", "--text -- --x"),
            ("env A=1 python model.py -- --x", "env", "--x"),
            ("python -m cProfile -o out loop.py -- --x --", "cProfile", "--x --"),
        ] {
            let words: Vec<OsString> = words.split(' ').map(OsString::from).collect();
            let rest: Vec<OsString> = rest.split_whitespace().map(OsString::from).collect();
            let called = called_as(&words);
            assert_eq!((called.name, called.arguments), (name.to_owned(), rest));
        }
    }

    #[test]
    fn the_arguments_of_a_possible_launcher_are_not_separable() {
        for (words, is_separable) in [
            ("model.py --text notes.py", true),
            ("python3 model.py --text python", true),
            ("python3 -m package --x", true),
            ("./model --x", true),
            ("env python model.py --x", false),
            ("uv run model.py --x", false),
            ("python -m cProfile loop.py --x", false),
            ("env python model.py -- --x", true),
        ] {
            let line: Vec<OsString> = words.split(' ').map(OsString::from).collect();
            assert_eq!(called_as(&line).is_separable, is_separable, "{words}");
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
