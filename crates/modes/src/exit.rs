//! Exit statuses, as documented in `docs/container-format.md`.

use std::process::ExitCode;

/// The exit status with which a mode ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// The mode is done, or was stopped on request.
    Done,
    /// The model failed, or the mode does not exist.
    Failed,
    /// The command line, the settings or the inputs cannot be used.
    Usage,
    /// The server cannot listen (`EX_UNAVAILABLE` of sysexits).
    CannotListen,
    /// The program ended too often before it served (`EX_SOFTWARE` of sysexits).
    ModelUnavailable,
    /// The program cannot be executed; shells use the same status.
    NotExecutable,
    /// The program does not exist; shells use the same status.
    NotFound,
    /// This signal ended the process at once; shells use the same status.
    Signal(u8),
    /// The exit status of the author's program.
    Program(u8),
}

impl ExitStatus {
    /// Returns the number of this status.
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
