//! Memory that many connections or large requests have left behind.

/// Gives free memory back to the system. glibc's allocator keeps what lies between pieces in use:
/// after a thousand slow clients that were some 30 MB for good.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "there is no safe name for it")]
pub(crate) fn trim() {
    // SAFETY: it takes the allocator's own locks, and touches only what is free.
    unsafe {
        nix::libc::malloc_trim(0);
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn trim() {}
