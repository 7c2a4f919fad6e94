//! Exit statuses, as documented in `docs/container-format.md`.

use std::process::ExitCode;

/// The exit status of a program in some mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// Done, or stopped as asked.
    Done,
    /// The model failed, or there is no such mode.
    Failed,
    /// The command line, the settings or the inputs cannot be used.
    Usage,
    /// The server cannot listen (`EX_UNAVAILABLE` of sysexits).
    CannotListen,
    /// The program ended again and again before it served (`EX_SOFTWARE` of sysexits).
    ModelUnavailable,
    /// The program cannot be executed, as shells say it.
    NotExecutable,
    /// There is no such program, as shells say it.
    NotFound,
    /// Ended at once by this signal, as shells say it.
    Signal(u8),
    /// The status of the model's own program.
    Program(u8),
}

impl ExitStatus {
    /// The number.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            ExitStatus::Done => 0,
            ExitStatus::Failed => 1,
            ExitStatus::Usage => 2,
            ExitStatus::CannotListen => 69,
            ExitStatus::ModelUnavailable => 70,
            ExitStatus::NotExecutable => 126,
            ExitStatus::NotFound => 127,
            ExitStatus::Signal(signal) => 128_u8.saturating_add(signal),
            ExitStatus::Program(status) => status,
        }
    }
}

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        ExitCode::from(status.code())
    }
}
