//! What to execute for a program that a user names.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::path::Path;

use ai_integration_contract::Environment;

/// Commands that start the program which their arguments name, and have flags of their own.
const LAUNCHERS: &[&str] = &[
    "catchsegv",
    "chrt",
    "conda",
    "cpulimit",
    "dumb-init",
    "env",
    "gdb",
    "gosu",
    "hatch",
    "ionice",
    "ltrace",
    "mamba",
    "micromamba",
    "ncu",
    "nice",
    "nohup",
    "nsys",
    "numactl",
    "pdm",
    "perf",
    "pipenv",
    "pixi",
    "poetry",
    "prlimit",
    "py-spy",
    "rye",
    "setpriv",
    "setsid",
    "stdbuf",
    "strace",
    "su-exec",
    "sudo",
    "taskset",
    "time",
    "timeout",
    "tini",
    "unshare",
    "valgrind",
    "xvfb-run",
];
/// Commands and modules of Python's that start the script which their arguments name, or the module
/// behind their `-m`.
const PYTHON_LAUNCHERS: &[&str] = &[
    "accelerate",
    "cProfile",
    "coverage",
    "ddtrace-run",
    "debugpy",
    "deepspeed",
    "kernprof",
    "line_profiler",
    "memory_profiler",
    "memray",
    "mprof",
    "opentelemetry-instrument",
    "pdb",
    "profile",
    "pyinstrument",
    "runpy",
    "scalene",
    "torch",
    "torchrun",
    "trace",
    "uv",
    "viztracer",
];

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
    let name = command.first().map(|word| file_name(word));
    name.is_some_and(|name| name.starts_with("python") || name.starts_with("pypy"))
}

/// The program that a command line names, and its arguments.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Called {
    /// The program's name, as a help text has it.
    pub(crate) name: String,
    /// The arguments which are the program's: those after the script, when an interpreter of Python or
    /// a launcher is named first.
    pub(crate) arguments: Vec<OsString>,
    /// True where the program is one that a launcher starts, as far as that can be told.
    pub(crate) is_launched: bool,
}

/// Finds the program among the words of a command line, and its arguments.
pub(crate) fn called_as(words: &[OsString]) -> Called {
    let script = find_script(words);
    let place = match script {
        Script::At(place) | Script::Behind(place) => place,
        // All words are the launcher's.
        Script::Unknown => words.len(),
    };
    let word = words.get(place).or(words.first());
    let word = word.map(|word| word.to_string_lossy().into_owned()).unwrap_or_default();
    Called {
        name: module(words, place).unwrap_or(word),
        arguments: words.get(place + 1..).unwrap_or_default().to_vec(),
        is_launched: !matches!(script, Script::At(_)),
    }
}

/// Where the script, the module's name or the program stands.
#[derive(Clone, Copy)]
enum Script {
    At(usize),
    /// Behind a launcher, as far as that can be told.
    Behind(usize),
    /// A launcher starts something else.
    Unknown,
}

fn find_script(words: &[OsString]) -> Script {
    let (place, name) = if is_python(words) {
        let place = script_position(words);
        let module = module(words, place).unwrap_or_default();
        let package = module.split('.').next().unwrap_or_default().to_owned();
        if !PYTHON_LAUNCHERS.contains(&package.as_str()) {
            return Script::At(place);
        }
        (place, package)
    } else {
        (0, words.first().map(|word| file_name(word).into_owned()).unwrap_or_default())
    };
    let is_pythons = PYTHON_LAUNCHERS.contains(&name.as_str());
    let is_known = is_pythons || LAUNCHERS.contains(&name.as_str());
    for (index, word) in words.iter().enumerate().skip(place + 1) {
        let is_flag = word.as_encoded_bytes().starts_with(b"-");
        if !is_known && (is_flag || is_script(&words[0])) {
            // A program that is not known to be a launcher has its inputs from here on.
            return Script::At(place);
        }
        if is_script(word) {
            return Script::Behind(index);
        }
        if is_pythons && word.as_encoded_bytes().starts_with(b"-m") {
            return Script::Behind(if word == "-m" { index + 1 } else { index });
        }
        let name = file_name(word);
        if is_interpreter(&name) || LAUNCHERS.contains(&name.as_ref()) {
            // What is launched may be a launcher in turn: `env python -m cProfile`.
            return match find_script(&words[index..]) {
                Script::At(inner) | Script::Behind(inner) => Script::Behind(index + inner),
                Script::Unknown => Script::Unknown,
            };
        }
    }
    if is_known { Script::Unknown } else { Script::At(place) }
}

/// Whether a name is that of an interpreter, as `python3.13` is and `python-dateutil` is not.
fn is_interpreter(name: &str) -> bool {
    let version = name.strip_prefix("python").or_else(|| name.strip_prefix("pypy"));
    version.is_some_and(|rest| {
        rest.chars().all(|letter| letter.is_ascii_digit() || ".t".contains(letter))
    })
}

/// The module that a command line of Python names at a place, alone or behind its flag.
fn module(words: &[OsString], place: usize) -> Option<String> {
    let word = words.get(place)?.to_string_lossy();
    if let Some(('m', name)) = flag(&word) {
        return Some(name.to_owned());
    }
    let before = words.get(place.checked_sub(1)?)?.to_string_lossy();
    matches!(flag(&before), Some(('m', ""))).then(|| word.into_owned())
}

fn file_name(word: &OsStr) -> Cow<'_, str> {
    Path::new(word).file_name().unwrap_or_default().to_string_lossy()
}

/// Finds the first letter of a cluster of Python's flags that takes a value, and the value's part that
/// stands in the same word: `-um` has `m` and none, `-mpackage` has `m` and `package`.
fn flag(word: &str) -> Option<(char, &str)> {
    let letters = word.strip_prefix('-').filter(|letters| !letters.starts_with('-'))?;
    let at = letters.find(['c', 'm', 'W', 'X', 'Q'])?;
    Some((char::from(letters.as_bytes()[at]), &letters[at + 1..]))
}

/// Where the script, the module's name or the code stands in a command line of Python.
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
            ("python -mpackage --x", "package", "--x"),
            ("python -um package --x", "package", "--x"),
            ("python -uWignore -Xdev -B model.py --x", "model.py", "--x"),
            ("python -c code --x", "code", "--x"),
            ("env A=1 python model.py --x", "model.py", "--x"),
            ("nice -n 5 timeout 9 python3 -m package --x", "package", "--x"),
            ("uv run --with torch model.py --x", "model.py", "--x"),
            ("python -m cProfile -o out loop.py --x", "loop.py", "--x"),
            ("env python -m cProfile -m package --x", "package", "--x"),
            ("env model --x", "env", ""),
            ("./wrapper.sh python model.py --x", "model.py", "--x"),
            ("./model --text notes.py", "./model", "--text notes.py"),
            ("numactl -m 0 python model.py --x", "model.py", "--x"),
            ("uv run --with python-dateutil --with numpy model.py --x", "model.py", "--x"),
            ("env python -m cProfile -mpackage --x", "package", "--x"),
        ] {
            let words: Vec<OsString> = words.split(' ').map(OsString::from).collect();
            let rest: Vec<OsString> = rest.split_whitespace().map(OsString::from).collect();
            let called = called_as(&words);
            assert_eq!((called.name, called.arguments), (name.to_owned(), rest));
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
