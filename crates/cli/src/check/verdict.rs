//! The verdict of one check.

/// The verdict on one side of a program.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// It is as it should be, in a sentence.
    Passed(String),
    /// It works, and may not do so elsewhere.
    Doubtful(Fault),
    /// It does not work.
    Failed(Fault),
    /// It was not looked at, for this reason.
    Skipped(String),
}

/// A fault, for the author of the program.
#[derive(Debug, Default)]
pub(crate) struct Fault {
    /// The cause, in a sentence.
    pub(crate) cause: String,
    /// The way out, in a sentence.
    pub(crate) way_out: String,
    /// The last lines that the program printed; empty where they say nothing on it.
    pub(crate) output: String,
}

impl Fault {
    /// Describes a fault of which the program's output says nothing.
    pub(crate) fn new(cause: impl Into<String>, way_out: impl Into<String>) -> Self {
        Fault { cause: cause.into(), way_out: way_out.into(), output: String::new() }
    }

    /// Adds what the program printed last.
    pub(crate) fn with_output(mut self, output: String) -> Self {
        self.output = output;
        self
    }
}

/// The most of a gist that is shown, in characters.
const LONGEST: usize = 300;

/// Returns a line for a text of several: the exception of a traceback, and else the first line and the
/// last one, which is the exception where a program's last output follows.
pub(crate) fn gist(text: &str) -> String {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines.next().unwrap_or_default();
    let line = match lines.next_back() {
        None => first.to_owned(),
        Some(last) if first.starts_with("Traceback") => last.to_owned(),
        Some(last) => format!("{first} {last}"),
    };
    line.chars().take(LONGEST).collect()
}

impl From<Fault> for Verdict {
    fn from(fault: Fault) -> Self {
        Verdict::Failed(fault)
    }
}
