//! Gives memory back to the system that many connections or large requests have left behind.

use std::time::Duration;

use tokio::time::sleep;

use crate::link::memory_file;

/// The time between two rounds. Beside this timer, one that is due later costs the runtime
/// no system call, and what servers wait for at most is due later.
const INTERVAL: Duration = Duration::from_secs(10);

/// Gives unused memory back now and then, for as long as the runtime lasts.
pub(crate) async fn run() {
    loop {
        sleep(INTERVAL).await;
        memory_file::trim();
        trim_heap();
    }
}

/// Gives free memory back to the system. glibc's allocator keeps what lies between pieces in use:
/// after a thousand slow clients that were some 30 MB for good.
#[cfg(all(target_os = "linux", target_env = "gnu", not(portable)))]
#[expect(unsafe_code, reason = "there is no safe name for it")]
fn trim_heap() {
    // SAFETY: it takes the allocator's own locks, and touches only what is free.
    unsafe {
        nix::libc::malloc_trim(0);
    }
}

#[cfg(any(not(all(target_os = "linux", target_env = "gnu")), portable))]
fn trim_heap() {}
