//! How a worker's process ended, in words that help.

use std::fmt;
use std::io;
use std::time::Duration;

use ai_integration_contract::{Error, Kind};
use nix::errno::Errno;
use nix::sys::signal::Signal;

use crate::executor::Violation;

/// What [`Ending::cause_label`] may be, and `retired` for a worker that was to end.
pub(crate) const CAUSES: [&str; 9] = [
    "closed_link",
    "exited",
    NOT_STARTED,
    "retired",
    "signal",
    "start_timeout",
    "stopped",
    "timeout",
    "violation",
];

/// The cause of an end that comes before the process.
pub(crate) const NOT_STARTED: &str = "not_started";

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this status.
    Status(i32),
    /// By this signal.
    Signal(i32),
    /// By the engine, for it had been stopped (SIGSTOP) for so long.
    Stopped(Duration),
    /// It never ran: the program does not exist.
    NotFound,
    /// It never ran: the program cannot be executed.
    NotExecutable,
    /// It never ran: the system had no room for it, in its own words.
    NoRoom(String),
    /// It could not be waited for.
    Unknown,
}

/// Why the engine ended a process.
#[derive(Debug)]
pub(super) enum Cause {
    NotReady(Duration),
    Violation(Violation),
    ClosedLink,
    Overdue,
    Stopped,
}

/// The end of a worker's process.
#[derive(Debug)]
pub(super) struct Ending {
    pub(super) exit: Exit,
    pub(super) cause: Option<Cause>,
    pub(super) was_ready: bool,
    /// The last lines of its output.
    pub(super) output: Vec<String>,
}

impl Ending {
    /// The end of a process that could not even begin.
    pub(super) fn not_started(error: &io::Error) -> Self {
        let exit = match error.kind() {
            io::ErrorKind::NotFound => Exit::NotFound,
            _ if is_shortage(error) => Exit::NoRoom(error.to_string()),
            _ => Exit::NotExecutable,
        };
        Ending { exit, cause: None, was_ready: false, output: Vec::new() }
    }

    /// Whether it ended by itself, and not well.
    pub(super) fn is_crash(&self) -> bool {
        self.cause.is_none() && self.exit != Exit::Status(0)
    }

    /// What a requester is told: what this end means to him, how it came, and the last output.
    pub(super) fn error(&self, kind: Kind, what: &str) -> Error {
        Error::new(kind, format!("{what}: {self}")).with_output(&self.output)
    }

    /// The cause in a word, for statistics.
    pub(super) fn cause_label(&self) -> &'static str {
        match (&self.cause, &self.exit) {
            (Some(Cause::NotReady(_)), _) => "start_timeout",
            (Some(Cause::Violation(_)), _) => "violation",
            (Some(Cause::Overdue), _) => "timeout",
            (Some(Cause::Stopped), _) => "stopped",
            (Some(Cause::ClosedLink), _) | (None, Exit::Unknown) => "closed_link",
            (None, Exit::Status(_)) => "exited",
            (None, Exit::Signal(_) | Exit::Stopped(_)) => "signal",
            (None, Exit::NotFound | Exit::NotExecutable | Exit::NoRoom(_)) => NOT_STARTED,
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cause {
            Some(Cause::NotReady(patience)) => {
                return write!(
                    out,
                    "it did not ask for its first input within {} s",
                    patience.as_secs_f64()
                );
            }
            Some(Cause::Violation(violation)) => return violation.fmt(out),
            Some(Cause::ClosedLink) => {
                return out.write_str("it closed its link, did not end, and was ended");
            }
            Some(Cause::Overdue) => {
                let what = "it went on with a request, or did not begin it, that was over its time";
                return write!(out, "{what}, and was ended");
            }
            Some(Cause::Stopped) => return out.write_str("it was stopped"),
            None => {}
        }
        match &self.exit {
            Exit::Status(status) => write!(out, "exit status {status}")?,
            Exit::Signal(number) => {
                match Signal::try_from(*number) {
                    Ok(signal) => write!(out, "killed by signal {number} ({signal})")?,
                    Err(_) => write!(out, "killed by signal {number}")?,
                }
                if let Some(meaning) = meaning(*number) {
                    write!(out, ", {meaning}")?;
                }
            }
            Exit::Stopped(time) => {
                write!(out, "it had been stopped for {} s and was ended", time.as_secs())?;
            }
            Exit::NotFound => return out.write_str("there is no such program"),
            Exit::NotExecutable => return out.write_str("the program cannot be executed"),
            Exit::NoRoom(error) => return write!(out, "there is no room for its process: {error}"),
            Exit::Unknown => out.write_str("it closed its link")?,
        }
        if self.was_ready {
            return Ok(());
        }
        out.write_str(" before it called get_next_input")
    }
}

/// Whether a process could not be started for want of something that may be there again: memory,
/// processes, descriptors; or since the program was just being replaced.
pub(super) fn is_shortage(error: &io::Error) -> bool {
    let number = error.raw_os_error().map(Errno::from_raw);
    let shortages = [
        Errno::EAGAIN,
        Errno::EMFILE,
        Errno::ENFILE,
        Errno::ENOBUFS,
        Errno::ENOMEM,
        Errno::ETXTBSY,
    ];
    number.is_some_and(|number| shortages.contains(&number))
}

/// What a signal that nobody here sent usually means.
fn meaning(number: i32) -> Option<&'static str> {
    match Signal::try_from(number).ok()? {
        Signal::SIGKILL => Some("often the system's answer when memory runs out"),
        Signal::SIGSEGV => Some("a memory error in native code"),
        Signal::SIGBUS => Some("a memory error in native code, or a full /dev/shm"),
        Signal::SIGABRT => Some("native code gave up: a failed check or an uncaught C++ exception"),
        Signal::SIGILL => Some("an instruction that this processor does not have"),
        Signal::SIGFPE => Some("an arithmetic error in native code, such as a division by zero"),
        Signal::SIGTERM => Some("somebody asked it to end"),
        Signal::SIGXCPU => Some("its limit of processor time"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ending(exit: Exit, was_ready: bool) -> Ending {
        Ending { exit, cause: None, was_ready, output: Vec::new() }
    }

    #[test]
    fn the_cause_is_named() {
        for (ending, words) in [
            (ending(Exit::Status(3), true), "exit status 3"),
            (ending(Exit::Status(0), false), "exit status 0 before it called get_next_input"),
            (
                ending(Exit::Signal(11), true),
                "killed by signal 11 (SIGSEGV), a memory error in native code",
            ),
            (ending(Exit::Signal(200), true), "killed by signal 200"),
        ] {
            assert_eq!(ending.to_string(), words);
        }
        let not_started = |number| Ending::not_started(&io::Error::from_raw_os_error(number)).exit;
        assert_eq!(not_started(nix::libc::ENOENT), Exit::NotFound);
        assert_eq!(not_started(nix::libc::EACCES), Exit::NotExecutable);
        let full = not_started(nix::libc::EMFILE);
        assert!(matches!(&full, Exit::NoRoom(why) if why.contains("open files")), "{full:?}");
        let mut ending = ending(Exit::Status(1), true);
        ending.output = vec!["one".to_owned(), "two".to_owned()];
        assert_eq!(
            ending.error(Kind::ModelCrashed, "gone").to_string(),
            "gone: exit status 1. Its last output:\n    one\n    two"
        );
    }
}
