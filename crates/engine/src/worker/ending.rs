//! How a worker's process ended, in words that help.

use std::fmt;
use std::io;
use std::time::Duration;

use ai_integration_contract::wire::FrameError;
use ai_integration_contract::{Error, Kind};
use nix::errno::Errno;
use nix::sys::signal::Signal;

use crate::link::message::Violation;

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this status.
    Status(i32),
    /// By itself, with this status, after it said that it is not to be started again.
    Left(i32),
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

/// The cause of a worker's end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum EndCause {
    /// Its process exited by itself.
    Exited,
    /// A signal ended its process.
    Signal,
    /// Its process could not be started.
    NotStarted,
    /// It was told to end, and did.
    Retired,
    /// It did not ask for its first job in this time, and was ended.
    NotReady(Duration),
    /// It broke the protocol, and was ended.
    Violation(Violation),
    /// It closed its link, did not end, and was ended.
    ClosedLink,
    /// It worked on a job for longer than it may, and was ended.
    Overdue,
    /// The engine was stopped, and it was ended with it.
    Stopped,
}

impl EndCause {
    /// Every label, for statistics.
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

    /// The cause in a word, for statistics.
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

/// The cause of an end that the engine did not bring about.
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
    /// The end of its process.
    pub(super) exit: Exit,
    /// The engine's reason to end it; `None` when it ended by itself.
    pub(super) ended_for: Option<EndCause>,
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
        Ending { exit, ended_for: None, was_ready: false, output: Vec::new() }
    }

    /// Whether it ended by itself, and not well.
    pub(super) fn is_crash(&self) -> bool {
        self.ended_for.is_none() && self.exit != Exit::Status(0)
    }

    /// The error for the requester: the consequence, the cause, and the program's last lines.
    pub(super) fn error(&self, kind: Kind, consequence: &str) -> Error {
        Error::new(kind, format!("{consequence}: {self}")).with_output(&self.output)
    }

    /// The cause.
    pub(super) fn cause(&self) -> EndCause {
        self.ended_for.clone().unwrap_or_else(|| EndCause::from(&self.exit))
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.ended_for {
            Some(EndCause::NotReady(patience)) => {
                let seconds = patience.as_secs_f64();
                return write!(out, "it did not ask for its first input within {seconds} s");
            }
            Some(EndCause::Violation(violation)) => return violation.fmt(out),
            Some(EndCause::ClosedLink) => {
                return out.write_str("it closed its link, did not end, and was ended");
            }
            Some(EndCause::Overdue) => {
                let what = "it went on with a request, or did not begin it, that was over its time";
                return write!(out, "{what}, and was ended");
            }
            Some(EndCause::Stopped) => return out.write_str("it was stopped"),
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
