//! Returns memory to the system that is free after many connections or large requests.

use std::time::Duration;

use tokio::time::sleep;

use crate::link::memory_file;

/// The time between two rounds. The runtime makes a system call only for the timer that is due
/// first, so the timers of connections, which are due later than this one, cost none.
const INTERVAL: Duration = Duration::from_secs(10);

/// Returns unused memory every [`INTERVAL`], as long as the runtime lives.
pub(crate) async fn run() {
    loop {
        sleep(INTERVAL).await;
        memory_file::trim();
        trim_heap();
    }
}

/// Returns free heap memory to the system. By itself glibc's allocator keeps the free memory
/// between blocks in use: about 30 MB after a thousand slow clients.
#[cfg(all(target_os = "linux", target_env = "gnu", not(portable)))]
#[expect(unsafe_code, reason = "no crate has a safe function for malloc_trim")]
fn trim_heap() {
    // SAFETY: malloc_trim(3) takes the allocator's locks, and touches only free memory.
    unsafe {
        nix::libc::malloc_trim(0);
    }
}

#[cfg(any(not(all(target_os = "linux", target_env = "gnu")), portable))]
fn trim_heap() {}
