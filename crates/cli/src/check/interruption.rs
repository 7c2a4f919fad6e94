//! Signals that interrupt a check. Every wait looks for them, so that the processes of the check
//! are ended first.

use std::io;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal as stream};

/// The signal that arrived; 0 for none.
static SIGNAL: AtomicU8 = AtomicU8::new(0);

/// Starts to listen for the signals that ask the process to end.
pub(crate) fn listen() -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_io().build()?;
    let (mut interrupts, mut terminations, mut hangups) = {
        let _entered = runtime.enter();
        (
            stream(SignalKind::interrupt())?,
            stream(SignalKind::terminate())?,
            stream(SignalKind::hangup())?,
        )
    };
    std::thread::spawn(move || {
        runtime.block_on(async {
            let kind = tokio::select! {
                _ = interrupts.recv() => SignalKind::interrupt(),
                _ = terminations.recv() => SignalKind::terminate(),
                _ = hangups.recv() => SignalKind::hangup(),
            };
            SIGNAL.store(u8::try_from(kind.as_raw_value()).unwrap_or(u8::MAX), Ordering::Relaxed);
        });
    });
    Ok(())
}

/// Returns the signal that asked the process to end.
pub(crate) fn signal() -> Option<u8> {
    Some(SIGNAL.load(Ordering::Relaxed)).filter(|signal| *signal != 0)
}
