//! The target of a result: standard output or a file.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use ai_integration_contract::{Data, Outcome, json};

use super::result_file::ResultFile;
use crate::console::eprint;

/// Writes one result, whole or in chunks.
pub(super) struct Sink {
    target: Target,
    ending: Ending,
}

/// The end of the bytes that have been written so far.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// A newline, or bytes that need none.
    Complete,
    /// Text without a newline. People and programs expect a newline after text.
    OpenText,
    /// Bytes of a text type without a newline. Only a terminal needs a newline after them.
    OpenBytes,
}

enum Target {
    Stdout {
        is_terminal: bool,
        /// True if the user named standard output, so that the bytes are written unchanged.
        as_is: bool,
    },
    File(ResultFile),
    /// The files of a list. They are complete, and get their names together.
    Files(Vec<ResultFile>),
}

impl Sink {
    /// Finds the target that `output` names. No file is opened before there is something to write.
    pub(super) fn new(output: Option<&Path>) -> Result<Self, String> {
        let is_terminal = io::stdout().is_terminal();
        let target = match output {
            None => Target::Stdout { is_terminal, as_is: false },
            Some(path) if path == Path::new("-") => Target::Stdout { is_terminal, as_is: true },
            Some(path) => match ResultFile::find(path) {
                Ok(Some(file)) => Target::File(file),
                Ok(None) => Target::Stdout { is_terminal, as_is: true },
                Err(error) => return Err(cannot_write(path, &error)),
            },
        };
        Ok(Sink { target, ending: Ending::Complete })
    }

    /// Returns the error that a write would give, as far as it can be known before the write.
    pub(super) fn check(&self) -> Result<(), String> {
        match &self.target {
            Target::File(file) => file.check().map_err(|error| cannot_write(file.name(), &error)),
            Target::Stdout { .. } | Target::Files(_) => Ok(()),
        }
    }

    /// Returns true if the result appears on a terminal.
    pub(super) fn is_shown(&self) -> bool {
        matches!(self.target, Target::Stdout { is_terminal: true, .. })
    }

    /// Writes a whole result.
    pub(super) fn whole(&mut self, outcome: &Outcome) -> Result<(), String> {
        let text = outcome.data.as_text();
        if let (Target::Stdout { is_terminal: true, as_is: false }, Some(text)) =
            (&self.target, text)
            && outcome.is_json()
            && let Ok(json) = json::parse(text.as_bytes())
        {
            self.ending = Ending::OpenText;
            return self.write(format!("{json:#}").as_bytes());
        }
        self.stream(outcome)
    }

    /// Writes a chunk of a result.
    pub(super) fn stream(&mut self, chunk: &Outcome) -> Result<(), String> {
        let (bytes, open) = match &chunk.data {
            Data::None => return Ok(()),
            Data::List(list) => return self.list(list, &chunk.media_type()),
            Data::Text(text) | Data::Json(text) => (text.as_bytes(), Ending::OpenText),
            Data::Bytes(bytes) => {
                let has_text_type = chunk.is_json() || chunk.media_type().starts_with("text/");
                let is_text = has_text_type && std::str::from_utf8(bytes).is_ok();
                let shown =
                    matches!(self.target, Target::Stdout { is_terminal: true, as_is: false });
                if shown && !is_text {
                    return Err(format!(
                        "the result is {} bytes of {}, which a terminal cannot show; write it to a \
                         file with --output FILE",
                        bytes.len(),
                        chunk.content_type.as_deref().unwrap_or("an unknown type"),
                    ));
                }
                (&**bytes, if is_text { Ending::OpenBytes } else { Ending::Complete })
            }
        };
        self.ending = if bytes.ends_with(b"\n") { Ending::Complete } else { open };
        self.write(bytes)
    }

    /// Writes each member of a list to a file of its own.
    fn list(&mut self, list: &[impl AsRef<[u8]>], media: &str) -> Result<(), String> {
        let target = std::mem::replace(&mut self.target, Target::Files(Vec::new()));
        let place = match &target {
            Target::File(file) if file.is_special() => file.name().display().to_string(),
            Target::File(file) => {
                let numbered = (1..=list.len()).map(|number| numbered(file.name(), number));
                self.target = Target::Files(write_all(numbered.zip(list))?);
                return Ok(());
            }
            Target::Stdout { .. } | Target::Files(_) => "standard output".to_owned(),
        };
        Err(format!(
            "the result is a list of {} files of {media}, which cannot go to {place}; write each \
             to a file of its own with --output FILE: out.png gives out-1.png, out-2.png and so on",
            list.len(),
        ))
    }

    /// Ends the result with a newline if it needs one, and gives the files their names.
    pub(super) fn finish(mut self) -> Result<(), String> {
        let takes_newline = match (&self.target, self.ending) {
            (_, Ending::Complete) | (Target::File(_) | Target::Files(_), _) => false,
            // The shell's prompt comes next on a terminal.
            (Target::Stdout { is_terminal: true, .. }, _) => true,
            (Target::Stdout { as_is, .. }, ending) => !as_is && ending == Ending::OpenText,
        };
        if takes_newline {
            self.write(b"\n")?;
        }
        self.write(b"")?;
        match self.target {
            Target::File(file) => name_all(vec![file]),
            Target::Files(files) => name_all(files),
            Target::Stdout { .. } => Ok(()),
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
            Target::File(file) => {
                file.write(bytes).map_err(|error| cannot_write(file.name(), &error))
            }
        }
    }
}

/// Writes the members of a list. [`name_all`] gives the files their names.
fn write_all(
    members: impl Iterator<Item = (PathBuf, impl AsRef<[u8]>)>,
) -> Result<Vec<ResultFile>, String> {
    let written = members.map(|(path, bytes)| {
        let file = ResultFile::find(&path).and_then(|file| {
            let mut file = file.ok_or_else(|| io::Error::other("it is standard output"))?;
            file.check()?;
            file.write(bytes.as_ref())?;
            // Each file is closed at once, because the number of open files is limited.
            file.complete();
            Ok(file)
        });
        file.map_err(|error| cannot_write(&path, &error))
    });
    written.collect()
}

/// Gives files their names. If a file cannot get its name, the files before it are removed, so that a
/// part of a list does not look like the whole list.
fn name_all(files: Vec<ResultFile>) -> Result<(), String> {
    let mut named: Vec<PathBuf> = Vec::new();
    let mut reported: Vec<PathBuf> = Vec::new();
    for mut file in files {
        let is_special = file.is_special();
        match file.finish() {
            Ok(true) => named.push(file.path().to_owned()),
            Ok(false) => {}
            Err(error) => {
                for path in named {
                    // The first error is the one to report.
                    let _ = std::fs::remove_file(path);
                }
                return Err(cannot_write(file.name(), &error));
            }
        }
        if !is_special {
            reported.push(file.name().to_owned());
        }
    }
    for name in reported {
        eprint(format_args!("wrote the result to {}", name.display()));
    }
    Ok(())
}

/// Returns the path of a member of a list: `out.png` becomes `out-1.png`.
fn numbered(path: &Path, number: usize) -> PathBuf {
    let mut name = path.file_stem().unwrap_or_default().to_owned();
    name.push(format!("-{number}"));
    if let Some(extension) = path.extension() {
        name.push(".");
        name.push(extension);
    }
    path.with_file_name(name)
}

fn cannot_write(path: &Path, error: &io::Error) -> String {
    format!("the result cannot be written to {}: {error}", path.display())
}
