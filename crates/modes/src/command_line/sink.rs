//! Where a result goes: standard output or a file.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use ai_integration_contract::{Data, Outcome, json};
use tempfile::NamedTempFile;

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
            Target::Stdout { .. } | Target::Special { .. } | Target::File { .. } => Ok(()),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), String> {
        match &mut self.target {
            Target::Stdout { .. } => {
                let mut out = io::stdout().lock();
                let written = out.write_all(bytes).and_then(|()| out.flush());
                written.map_err(|error| cannot_write(Path::new("standard output"), &error))
            }
            Target::File { path, partial } => {
                let written = open_partial(path, partial).and_then(|file| file.write_all(bytes));
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

fn open_partial<'a>(
    path: &Path,
    partial: &'a mut Option<NamedTempFile>,
) -> io::Result<&'a mut NamedTempFile> {
    if partial.is_none() {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let file = tempfile::Builder::new()
            .prefix(".ai-integration-")
            // What the umask takes away from this is what an ordinary new file has.
            .permissions(std::fs::Permissions::from_mode(0o666))
            .tempfile_in(folder.unwrap_or(Path::new(".")))?;
        *partial = Some(file);
    }
    partial.as_mut().ok_or_else(|| io::ErrorKind::NotFound.into())
}

fn cannot_write(path: &Path, error: &io::Error) -> String {
    format!("the result cannot be written to {}: {error}", path.display())
}
