//! The verdict of one check.

/// The verdict of one check.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// The program passed. The sentence says what works.
    Passed(String),
    /// The program works here, and may not work elsewhere.
    Doubtful(Fault),
    /// The program does not work.
    Failed(Fault),
    /// The check was not made. The text is the reason.
    Skipped(String),
}

/// A fault, for the author of the program.
#[derive(Debug, Default)]
pub(crate) struct Fault {
    /// The cause, as a sentence without its full stop.
    pub(crate) cause: String,
    /// The advice for the author: how to remove the cause. Empty if there is none.
    pub(crate) way_out: String,
    /// The last lines of the program's output; empty if they are not related to the fault.
    pub(crate) output: String,
}

impl Fault {
    /// Creates a fault to which the program's output is not related.
    pub(crate) fn new(cause: impl Into<String>, way_out: impl Into<String>) -> Self {
        Fault { cause: cause.into(), way_out: way_out.into(), output: String::new() }
    }

    /// Adds the last lines of the program's output.
    pub(crate) fn with_output(mut self, output: String) -> Self {
        self.output = output;
        self
    }
}

/// The maximum number of characters of a summary.
const LONGEST: usize = 300;

/// Summarises a text in one line: the exception of a traceback, or otherwise the first and the last
/// line. If the text ends with a program's output, the last line is usually the exception.
pub(crate) fn summary(text: &str) -> String {
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
