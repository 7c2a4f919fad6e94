//! The end of a model process: its exit, the cause, and the error for requesters.

use std::fmt;
use std::io;
use std::time::Duration;

use ai_integration_contract::wire::FrameError;
use ai_integration_contract::{Error, Kind};
use nix::errno::Errno;
use nix::sys::signal::Signal;

use crate::link::message::Violation;

/// The exit of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The process exited with this status.
    Status(i32),
    /// The process exited with this status after it had sent `leave`: it must not be restarted.
    Left(i32),
    /// This signal killed the process.
    Signal(i32),
    /// The engine killed the process because it had been stopped (SIGSTOP) for this time.
    Stopped(Duration),
    /// The process was not started: the program does not exist.
    NotFound,
    /// The process was not started: the program cannot be executed.
    NotExecutable,
    /// The process was not started: the system lacks a resource such as memory, as its error says.
    NoRoom(String),
    /// The exit is not known: waiting for the process failed.
    Unknown,
}

/// The cause of a worker's end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum EndCause {
    /// The process exited by itself.
    Exited,
    /// A signal killed the process.
    Signal,
    /// The process could not be started.
    NotStarted,
    /// The engine recycled or replaced the worker.
    Retired,
    /// The program did not ask for its first job within this time, and was killed.
    NotReady(Duration),
    /// The worker broke the protocol, and was killed.
    Violation(Violation),
    /// The worker closed its link, did not exit, and was terminated.
    ClosedLink,
    /// The worker did not finish a job within its timeout and grace, and was killed.
    Overdue,
    /// The engine was shut down, and killed the worker.
    Stopped,
}

impl EndCause {
    /// Every label, in alphabetical order.
    pub(crate) const LABELS: [&str; 9] = [
        "closed_link",
        "exited",
        "not_started",
        "retired",
        "signal",
        "start_timeout",
        "stopped",
        "timeout",
        "violation",
    ];

    /// Returns the label of the cause in the metrics.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            EndCause::Exited => "exited",
            EndCause::Signal => "signal",
            EndCause::NotStarted => "not_started",
            EndCause::Retired => "retired",
            EndCause::NotReady(_) => "start_timeout",
            EndCause::Violation(_) => "violation",
            EndCause::ClosedLink => "closed_link",
            EndCause::Overdue => "timeout",
            EndCause::Stopped => "stopped",
        }
    }
}

impl From<Violation> for EndCause {
    fn from(violation: Violation) -> Self {
        EndCause::Violation(violation)
    }
}

impl From<FrameError> for EndCause {
    fn from(error: FrameError) -> Self {
        EndCause::Violation(error.into())
    }
}

/// Returns the cause of an end that the engine did not cause.
impl From<&Exit> for EndCause {
    fn from(exit: &Exit) -> Self {
        match exit {
            Exit::Status(_) | Exit::Left(_) => EndCause::Exited,
            Exit::Signal(_) | Exit::Stopped(_) => EndCause::Signal,
            Exit::NotFound | Exit::NotExecutable | Exit::NoRoom(_) => EndCause::NotStarted,
            Exit::Unknown => EndCause::ClosedLink,
        }
    }
}

/// The end of a worker.
#[derive(Debug)]
pub(super) struct Ending {
    /// The exit of the process.
    pub(super) exit: Exit,
    /// The engine's reason to end the worker; `None` if it ended by itself.
    pub(super) ended_for: Option<EndCause>,
    pub(super) was_ready: bool,
    /// The last lines of the output.
    pub(super) output: Vec<String>,
}

impl Ending {
    /// Returns the ending of a process that could not be started.
    pub(super) fn not_started(error: &io::Error) -> Self {
        let exit = match error.kind() {
            io::ErrorKind::NotFound => Exit::NotFound,
            _ if is_shortage(error) => Exit::NoRoom(error.to_string()),
            _ => Exit::NotExecutable,
        };
        Ending { exit, ended_for: None, was_ready: false, output: Vec::new() }
    }

    /// Returns true if the process ended by itself, and not with status 0.
    pub(super) fn is_crash(&self) -> bool {
        self.ended_for.is_none() && self.exit != Exit::Status(0)
    }

    /// Returns the error for the requester: the consequence, the cause, and the program's last
    /// lines.
    pub(super) fn error(&self, kind: Kind, consequence: &str) -> Error {
        Error::new(kind, format!("{consequence}: {self}")).with_output(&self.output)
    }

    /// Returns the cause of the end.
    pub(super) fn cause(&self) -> EndCause {
        self.ended_for.clone().unwrap_or_else(|| EndCause::from(&self.exit))
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.ended_for {
            Some(EndCause::NotReady(limit)) => {
                let seconds = limit.as_secs_f64();
                return write!(out, "it did not ask for its first input within {seconds} s");
            }
            Some(EndCause::Violation(violation)) => return violation.fmt(out),
            Some(EndCause::ClosedLink) => {
                return out.write_str("it closed its link, did not exit, and was terminated");
            }
            Some(EndCause::Overdue) => {
                return out
                    .write_str("it did not finish a request within its timeout, and was killed");
            }
            Some(EndCause::Stopped) => return out.write_str("the server stopped it"),
            Some(
                EndCause::Exited | EndCause::Signal | EndCause::NotStarted | EndCause::Retired,
            )
            | None => {}
        }
        match &self.exit {
            Exit::Status(status) | Exit::Left(status) => write!(out, "exit status {status}")?,
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
                write!(out, "it had been stopped for {} s and was killed", time.as_secs())?;
            }
            Exit::NotFound => return out.write_str("there is no such program"),
            Exit::NotExecutable => return out.write_str("the program cannot be executed"),
            Exit::NoRoom(error) => {
                return write!(out, "the system cannot start its process: {error}");
            }
            Exit::Unknown => out.write_str("it closed its link")?,
        }
        if self.was_ready {
            return Ok(());
        }
        out.write_str(" before it called get_next_input")
    }
}

/// Returns true if a process could not be started for a reason that may pass: a lack of memory,
/// processes or descriptors, or a program file that was just being written.
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

/// Returns the usual meaning of a signal that the engine did not send.
fn meaning(number: i32) -> Option<&'static str> {
    match Signal::try_from(number).ok()? {
        Signal::SIGKILL => Some("often sent by the system when memory runs out"),
        Signal::SIGSEGV => Some("a memory error in native code"),
        Signal::SIGBUS => Some("a memory error in native code, or a full /dev/shm"),
        Signal::SIGABRT => Some("native code gave up: a failed check or an uncaught C++ exception"),
        Signal::SIGILL => Some("an instruction that this processor does not have"),
        Signal::SIGFPE => Some("an arithmetic error in native code, such as a division by zero"),
        Signal::SIGTERM => Some("another process asked it to end"),
        Signal::SIGXCPU => Some("it has reached its limit of processor time"),
        Signal::SIGXFSZ => Some("a file that it wrote to has reached its limit"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ending(exit: Exit, was_ready: bool) -> Ending {
        Ending { exit, ended_for: None, was_ready, output: Vec::new() }
    }

    #[test]
    fn every_label_is_listed() {
        let violation = EndCause::Violation(Violation::Version(9));
        let all = [
            EndCause::ClosedLink,
            EndCause::Exited,
            EndCause::NotStarted,
            EndCause::Retired,
            EndCause::Signal,
            EndCause::NotReady(Duration::ZERO),
            EndCause::Stopped,
            EndCause::Overdue,
            violation,
        ];
        assert_eq!(all.map(|cause| cause.label()), EndCause::LABELS);
    }

    #[test]
    fn the_cause_is_named() {
        for (ending, words) in [
            (ending(Exit::Status(3), true), "exit status 3"),
            (ending(Exit::Left(0), false), "exit status 0 before it called get_next_input"),
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
