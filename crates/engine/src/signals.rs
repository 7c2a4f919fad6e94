//! Ignores signals that would end the engine without need. Some come from a file that has
//! reached its size limit (`ulimit -f`), or from a timer that the program had set before it became
//! the engine. Others were meant for the model, and were sent to a whole process group.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::{SigHandler, Signal, signal};

/// The signals whose default action ends a process. The engine needs none of them: for example, a
/// write beyond a size limit also fails with an error.
const UNWANTED: [Signal; 7] = [
    Signal::SIGXFSZ,
    Signal::SIGALRM,
    Signal::SIGVTALRM,
    Signal::SIGPROF,
    Signal::SIGIO,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
];

/// The flags of the signals that were not ignored before.
static IGNORED: [AtomicBool; UNWANTED.len()] = [const { AtomicBool::new(false) }; UNWANTED.len()];

/// Ignores the unwanted signals in this process. Must be called before a handler of one of them is
/// set.
pub fn ignore_unwanted() {
    for (number, is_ignored) in UNWANTED.into_iter().zip(&IGNORED) {
        if set(number, SigHandler::SigIgn).is_ok_and(|before| matches!(before, SigHandler::SigDfl))
        {
            is_ignored.store(true, Ordering::Relaxed);
        }
    }
}

/// Restores the actions of these signals in a child process, because ignored signals stay ignored
/// after exec. It makes only system calls, so it may be called between fork and exec.
pub(crate) fn restore() -> io::Result<()> {
    for (number, is_ignored) in UNWANTED.into_iter().zip(&IGNORED) {
        if is_ignored.load(Ordering::Relaxed) {
            set(number, SigHandler::SigDfl)?;
        }
    }
    Ok(())
}

#[expect(unsafe_code, reason = "a handler could do anything; none is set here")]
fn set(number: Signal, handler: SigHandler) -> nix::Result<SigHandler> {
    // SAFETY: both handlers are the system's own.
    unsafe { signal(number, handler) }
}
