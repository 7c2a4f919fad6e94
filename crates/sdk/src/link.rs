//! Finding the link that the engine handed to this process.

use std::os::fd::{FromRawFd, RawFd};
use std::os::unix::net::UnixStream;

use ai_integration_contract::Environment;
use ai_integration_engine::{LINK_VARIABLE, WorkerSide};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};

use crate::environment::forget;

/// The link, when the engine started this process as a worker. It is taken out of the
/// environment: a program that the model starts is no worker.
pub(crate) fn take(environment: &Environment) -> Option<WorkerSide> {
    let descriptor = environment.variable(LINK_VARIABLE)?.parse().ok()?;
    forget(LINK_VARIABLE);
    socket(descriptor).map(WorkerSide::over_socket)
}

/// The socket behind a descriptor that this process inherited, or `None` when it is no descriptor.
/// From here on no program that is started inherits it.
pub(crate) fn socket(descriptor: RawFd) -> Option<UnixStream> {
    let socket = adopt(descriptor)?;
    fcntl(&socket, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).ok()?;
    Some(socket)
}

#[expect(unsafe_code, reason = "the environment names the descriptor; nothing else can")]
fn adopt(descriptor: RawFd) -> Option<UnixStream> {
    if descriptor <= 2 {
        return None;
    }
    // SAFETY: the descriptor was made for this process by the one that started it, and nothing
    // else here uses it. A wrong number gives failing calls, no more.
    Some(unsafe { UnixStream::from_raw_fd(descriptor) })
}
