//! Signals that would end the engine although nobody asks for its end: a file that has reached its
//! limit (`ulimit -f`), a timer that the program had set before it became the engine, or a word to
//! the model that goes to a whole group of processes.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::{SigHandler, Signal, signal};

/// They end a process that does not look after them. What they stand for fails by itself where it
/// matters, as a write does.
const UNWANTED: [Signal; 7] = [
    Signal::SIGXFSZ,
    Signal::SIGALRM,
    Signal::SIGVTALRM,
    Signal::SIGPROF,
    Signal::SIGIO,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
];

/// Those that were not ignored before.
static IGNORED: [AtomicBool; UNWANTED.len()] = [const { AtomicBool::new(false) }; UNWANTED.len()];

/// Ignores them in this process. To be called before anything listens to one of them.
pub fn ignore_unwanted() {
    for (number, is_ignored) in UNWANTED.into_iter().zip(&IGNORED) {
        if set(number, SigHandler::SigIgn).is_ok_and(|before| matches!(before, SigHandler::SigDfl))
        {
            is_ignored.store(true, Ordering::Relaxed);
        }
    }
}

/// Gives the calling process back what this one was started with, between fork and exec: makes
/// system calls only. An ignored signal would stay ignored in another program.
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
