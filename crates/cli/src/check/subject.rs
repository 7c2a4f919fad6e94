//! The subject of the check: a program, or a container image with a program.

use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ai_integration::{environment, settings};
use ai_integration_contract::{Environment, Setting};

use crate::check::container::{FOLDER, Image};
use crate::check::running::Running;
use crate::program;

/// The settings of the environment that also apply to the checked program. Others are removed,
/// because they would change what a server requires of its clients.
const KEPT: [&str; 3] =
    ["AI_INTEGRATION_BINARY", "AI_INTEGRATION_DEVICES", "AI_INTEGRATION_MODES_PATH"];
/// The maximum number of bytes that are read of a program's first line.
const LONGEST_LINE: u64 = 256;
/// Commands that run a program without the network, for root and for another user. The first one
/// that works here is used.
const WITHOUT_NETWORK: [&[&str]; 2] =
    [&["unshare", "--net"], &["unshare", "--user", "--map-current-user", "--net"]];

/// The program or the image that is checked.
pub(crate) enum Subject {
    Program(Program),
    Image(Image),
}

/// A program with its own arguments, in the form in which it is executed.
pub(crate) struct Program {
    name: String,
    command: Vec<OsString>,
    /// The settings that are removed from its environment.
    removed: Vec<&'static str>,
}

/// A way to start the program.
#[derive(Default)]
pub(crate) struct Start<'a> {
    pub(crate) arguments: Vec<OsString>,
    pub(crate) variables: Vec<(&'a str, String)>,
    pub(crate) is_offline: bool,
}

impl Subject {
    /// Finds the subject of these words: a file, a program on the path, or an image.
    pub(crate) fn find(words: &[OsString]) -> Result<Self, String> {
        let environment = environment::read();
        let Some(first) = words.first() else { return Err("no program is named".to_owned()) };
        if let Some(missing) = program::missing_script(words) {
            return Err(format!("there is no program {}", missing.display()));
        }
        if Path::new(first).is_dir() {
            let folder = Path::new(first).display();
            return Err(format!(
                "{folder} is a folder: name the program in it, such as {}",
                Path::new(first).join("entrypoint.py").display()
            ));
        }
        if !is_executable(first, &environment) && !Path::new(first).is_file() {
            if words.len() > 1 {
                let word = first.to_string_lossy();
                return Err(format!(
                    "there is no program {word}, and an image is checked without arguments"
                ));
            }
            return Image::find(first, &environment).map(Subject::Image);
        }
        let names = settings::all().flat_map(Setting::names);
        Ok(Subject::Program(Program {
            name: words.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" "),
            command: program::command(words, &environment),
            removed: names.filter(|name| !KEPT.contains(name)).collect(),
        }))
    }

    /// Returns the name for people.
    pub(crate) fn name(&self) -> String {
        match self {
            Subject::Program(program) => program.name.clone(),
            Subject::Image(image) => image.name.to_string_lossy().into_owned(),
        }
    }

    /// Returns the file of the program.
    pub(crate) fn file(&self) -> Option<PathBuf> {
        let Subject::Program(program) = self else { return None };
        let words = program.command.iter().map(PathBuf::from);
        words.rev().find(|word| word.is_file())
    }

    /// Returns the way out if the program cannot be executed. The program's file decides it. Returns
    /// `None` for an image.
    pub(crate) fn way_to_execute(&self) -> Option<String> {
        let Subject::Program(program) = self else { return None };
        let file = Path::new(program.command.first()?);
        let shown = file.display();
        let mut first = Vec::new();
        let mut start = BufReader::new(File::open(file).ok()?).take(LONGEST_LINE);
        start.read_until(b'\n', &mut first).ok()?;
        let interpreter = first.strip_prefix(b"#!").map(String::from_utf8_lossy);
        if file.metadata().ok()?.permissions().mode() & 0o111 == 0 {
            let line = "give it a first line such as #!/usr/bin/env python3, and ";
            let line = if interpreter.is_some() { "" } else { line };
            return Some(format!("{line}make it executable: chmod +x {shown}"));
        }
        Some(match interpreter {
            Some(line) if line.trim_end_matches('\n').ends_with('\r') => format!(
                "{shown} ends its lines as Windows does (CR LF), which is read as a part of the \
                 interpreter's name: save it with LF"
            ),
            Some(line) => {
                format!(
                    "install the interpreter that its first line names, or correct the line: #!{}",
                    line.trim()
                )
            }
            None => format!("{shown} must be a program for this machine, or begin with #!"),
        })
    }

    /// Returns the path by which the program finds a file that is in `folder` here.
    pub(crate) fn path_of(&self, file: &Path, folder: &Path) -> PathBuf {
        match (self, file.strip_prefix(folder)) {
            (Subject::Image(_), Ok(inside)) => Path::new(FOLDER).join(inside),
            _ => file.to_owned(),
        }
    }

    /// Returns true if the program can run without a network.
    pub(crate) fn can_be_offline(&self) -> bool {
        matches!(self, Subject::Image(_)) || without_network().is_some()
    }

    /// Starts the program. It shares `folder` with this process.
    pub(crate) fn start(&self, start: &Start<'_>, folder: &Path) -> Result<Running, String> {
        let (mut command, outside) = match self {
            Subject::Program(program) => (program.command(start), None),
            Subject::Image(image) => {
                let (command, outside) = image.command(&start.variables, folder, !start.is_offline);
                (command, Some(outside))
            }
        };
        command.args(&start.arguments);
        let name = command.get_program().to_string_lossy().into_owned();
        Running::start(command, outside)
            .map_err(|error| format!("{name} cannot be executed: {error}"))
    }
}

impl Program {
    fn command(&self, start: &Start<'_>) -> Command {
        let prefix = without_network().filter(|_| start.is_offline).unwrap_or_default();
        let mut words = prefix.iter().map(OsString::from).chain(self.command.iter().cloned());
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words);
        for name in &self.removed {
            command.env_remove(name);
        }
        command.envs(start.variables.iter().map(|(name, value)| (name, value)));
        command
    }
}

fn without_network() -> Option<&'static [&'static str]> {
    WITHOUT_NETWORK.into_iter().find(|words| {
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).arg("true");
        let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    })
}

fn is_executable(word: &OsString, environment: &Environment) -> bool {
    let folders = environment.variable("PATH").unwrap_or_default();
    !word.as_encoded_bytes().contains(&b'/')
        && folders.split(':').any(|folder| Path::new(folder).join(word).is_file())
}
