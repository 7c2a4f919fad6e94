//! Finds the link that the engine gave to this process.

use std::os::fd::{FromRawFd, RawFd};
use std::os::unix::net::UnixStream;

use ai_integration_contract::Environment;
use ai_integration_engine::{LINK_VARIABLE, WorkerSide};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};

use crate::environment::forget;

/// Returns the link if the engine started this process as a worker. The variable is removed from
/// the environment, because a program that the model starts is not a worker.
pub(crate) fn take(environment: &Environment) -> Option<WorkerSide> {
    let descriptor = environment.variable(LINK_VARIABLE)?.parse().ok()?;
    forget(LINK_VARIABLE);
    socket(descriptor).map(WorkerSide::over_socket)
}

/// Returns the socket for a descriptor that this process inherited, or `None` if the number is not
/// an open descriptor. Programs that this process starts later do not inherit it.
pub(crate) fn socket(descriptor: RawFd) -> Option<UnixStream> {
    let socket = adopt(descriptor)?;
    fcntl(&socket, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).ok()?;
    Some(socket)
}

#[expect(unsafe_code, reason = "the parent process passes the descriptor as a number")]
fn adopt(descriptor: RawFd) -> Option<UnixStream> {
    if descriptor <= 2 {
        return None;
    }
    // SAFETY: the parent process made the descriptor for this process, and no other code here uses
    // it. If the number is wrong, calls on the socket fail, and nothing worse happens.
    Some(unsafe { UnixStream::from_raw_fd(descriptor) })
}
