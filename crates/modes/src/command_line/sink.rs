//! Where a result goes: standard output or a file.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use ai_integration_contract::{Data, Outcome, json};
use tempfile::{NamedTempFile, TempPath};

use crate::console::eprint;

/// Takes one result, whole or in pieces.
pub(super) struct Sink {
    target: Target,
    ends_with_newline: bool,
}

enum Target {
    Stdout {
        is_terminal: bool,
        as_is: bool,
    },
    /// A file that takes its name only when it is complete, so that a failed run leaves neither an
    /// empty file nor half a result. Opened with the first piece.
    File {
        path: PathBuf,
        partial: Option<NamedTempFile>,
    },
    /// The files of a list, which are complete and get their names together.
    Files(Vec<(PathBuf, TempPath)>),
    /// A device, a pipe: whatever has a name but is no file of its own.
    Special {
        path: PathBuf,
        open: Option<File>,
    },
}

impl Sink {
    pub(super) fn new(output: Option<&Path>) -> Self {
        let is_terminal = io::stdout().is_terminal();
        let target = match output {
            None => Target::Stdout { is_terminal, as_is: false },
            Some(path) if path == Path::new("-") => Target::Stdout { is_terminal, as_is: true },
            Some(path) => {
                let path = path.to_owned();
                match std::fs::metadata(&path) {
                    Ok(known) if !known.is_file() => Target::Special { path, open: None },
                    _ => Target::File { path, partial: None },
                }
            }
        };
        Sink { target, ends_with_newline: true }
    }

    /// Whether what it takes appears on a terminal.
    pub(super) fn is_shown(&self) -> bool {
        matches!(self.target, Target::Stdout { is_terminal: true, .. })
    }

    /// Takes a whole result.
    pub(super) fn whole(&mut self, outcome: &Outcome) -> Result<(), String> {
        let text = outcome.data.as_text();
        if let (Target::Stdout { is_terminal: true, as_is: false }, Some(text)) =
            (&self.target, text)
            && outcome.is_json()
            && let Ok(json) = json::parse(text.as_bytes())
        {
            return self.write(format!("{json:#}").as_bytes());
        }
        self.stream(outcome)
    }

    /// Takes a piece of a result.
    pub(super) fn stream(&mut self, piece: &Outcome) -> Result<(), String> {
        let bytes = match &piece.data {
            Data::None => return Ok(()),
            Data::List(list) => return self.list(list, &piece.media_type()),
            Data::Text(text) | Data::Json(text) => text.as_bytes(),
            Data::Bytes(bytes) => {
                let is_text = piece.is_json() || piece.media_type().starts_with("text/");
                let shown =
                    matches!(self.target, Target::Stdout { is_terminal: true, as_is: false });
                if shown && !(is_text && std::str::from_utf8(bytes).is_ok()) {
                    return Err(format!(
                        "the result is {} bytes of {}, which a terminal cannot show; write it to a \
                         file with --output FILE",
                        bytes.len(),
                        piece.content_type.as_deref().unwrap_or("an unknown type"),
                    ));
                }
                bytes
            }
        };
        // Text on standard output ends with a newline; bytes stay as they are.
        let is_text = matches!(piece.data, Data::Text(_) | Data::Json(_));
        self.ends_with_newline = !is_text || bytes.ends_with(b"\n");
        self.write(bytes)
    }

    /// Writes a list, each member of which gets a file of its own.
    fn list(&mut self, list: &[impl AsRef<[u8]>], media: &str) -> Result<(), String> {
        let target = std::mem::replace(&mut self.target, Target::Files(Vec::new()));
        let place = match &target {
            Target::File { path, .. } => {
                let numbered = (1..=list.len()).map(|number| numbered(path, number));
                self.target = Target::Files(write_all(numbered.zip(list))?);
                return Ok(());
            }
            Target::Special { path, .. } => path.display().to_string(),
            Target::Stdout { .. } | Target::Files(_) => "standard output".to_owned(),
        };
        Err(format!(
            "the result is a list of {} of {media}, which cannot go to {place}; write each to a \
             file of its own with --output FILE: out.png gives out-1.png, out-2.png and so on",
            list.len(),
        ))
    }

    /// Completes the result.
    pub(super) fn finish(mut self) -> Result<(), String> {
        if !self.ends_with_newline && matches!(self.target, Target::Stdout { as_is: false, .. }) {
            self.write(b"\n")?;
        }
        if let Target::File { partial: None, .. } = self.target {
            self.write(b"")?;
        }
        match self.target {
            Target::File { path, partial: Some(partial) } => match partial.persist(&path) {
                Ok(_) => {
                    eprint(format_args!("wrote the result to {}", path.display()));
                    Ok(())
                }
                Err(error) => Err(cannot_write(&path, &error.error)),
            },
            Target::Files(files) => name_all(files),
            Target::Stdout { .. } | Target::Special { .. } | Target::File { .. } => Ok(()),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), String> {
        match &mut self.target {
            Target::Files(_) => Ok(()),
            Target::Stdout { .. } => {
                let mut out = io::stdout().lock();
                let written = out.write_all(bytes).and_then(|()| out.flush());
                written.map_err(|error| cannot_write(Path::new("standard output"), &error))
            }
            Target::File { path, partial } => {
                let file = match partial {
                    Some(file) => Ok(file),
                    None => open_partial(path).map(|file| partial.insert(file)),
                };
                let written = file.and_then(|file| file.write_all(bytes));
                written.map_err(|error| cannot_write(path, &error))
            }
            Target::Special { path, open } => {
                let file = match open {
                    Some(file) => Ok(file),
                    None => File::options().write(true).open(&*path).map(|file| open.insert(file)),
                };
                let written = file.and_then(|file| file.write_all(bytes));
                written.map_err(|error| cannot_write(path, &error))
            }
        }
    }
}

/// Writes the members of a list into temporary files, each with the path that it is to have.
fn write_all(
    members: impl Iterator<Item = (PathBuf, impl AsRef<[u8]>)>,
) -> Result<Vec<(PathBuf, TempPath)>, String> {
    let written = members.map(|(path, bytes)| {
        if std::fs::metadata(&path).is_ok_and(|known| !known.is_file()) {
            return Err(cannot_write(&path, &io::Error::other("it exists and is not a file")));
        }
        let written = open_partial(&path).and_then(|mut file| {
            file.write_all(bytes.as_ref())?;
            // Closed, since a process may not have a thousand files open.
            Ok(file.into_temp_path())
        });
        match written {
            Ok(file) => Ok((path, file)),
            Err(error) => Err(cannot_write(&path, &error)),
        }
    });
    written.collect()
}

/// Gives the files of a list their names. If one cannot get its name, those before it are removed: a part
/// of a list must not pass for the whole.
fn name_all(files: Vec<(PathBuf, TempPath)>) -> Result<(), String> {
    let mut named: Vec<PathBuf> = Vec::new();
    for (path, file) in files {
        if let Err(error) = file.persist(&path) {
            for path in named {
                // The error that is told is the one that came first.
                let _ = std::fs::remove_file(path);
            }
            return Err(cannot_write(&path, &error.error));
        }
        named.push(path);
    }
    for path in named {
        eprint(format_args!("wrote the result to {}", path.display()));
    }
    Ok(())
}

/// The path of a member of a list: `out.png` becomes `out-1.png`.
fn numbered(path: &Path, number: usize) -> PathBuf {
    let mut name = path.file_stem().unwrap_or_default().to_owned();
    name.push(format!("-{number}"));
    if let Some(extension) = path.extension() {
        name.push(".");
        name.push(extension);
    }
    path.with_file_name(name)
}

/// Opens a temporary file in the folder of the path that it is to have.
fn open_partial(path: &Path) -> io::Result<NamedTempFile> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    tempfile::Builder::new()
        .prefix(".ai-integration-")
        // What the umask takes away from this is what an ordinary new file has.
        .permissions(std::fs::Permissions::from_mode(0o666))
        .tempfile_in(folder.unwrap_or(Path::new(".")))
}

fn cannot_write(path: &Path, error: &io::Error) -> String {
    format!("the result cannot be written to {}: {error}", path.display())
}
