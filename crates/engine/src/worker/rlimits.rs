//! Limits of the operating system: the engine's own, and those of the workers.

use std::io;
use std::sync::OnceLock;

use nix::libc::rlim_t;
#[cfg(target_env = "gnu")]
use nix::libc::{M_ARENA_MAX, RLIM_INFINITY, mallopt};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::link::memory_file;

/// Open files that are kept for others than clients, if there are twice as many.
const RESERVED: rlim_t = 512;

/// The limit of open files that this process was started with.
static STARTED_WITH: OnceLock<(rlim_t, rlim_t)> = OnceLock::new();

/// Lets this process have as many open files as it may, and tells how many of them clients may take
/// up: the rest is for workers, their links and output, and for large bodies. Workers get the limit
/// that this process was started with: some programs go through all possible files.
pub fn raise_open_files() -> u64 {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return 512 };
    let _ = STARTED_WITH.set((soft, hard));
    let most = match setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
        Ok(()) => hard,
        Err(_) => soft,
    };
    memory_file::limit_files(usize::try_from(most / 8).unwrap_or(usize::MAX));
    most - RESERVED.min(most / 2)
}

/// Where this process may take up only so many addresses (`ulimit -v`), keeps glibc from reserving
/// 64 MiB of them for each thread: nothing would be left for bodies. To be called before a thread
/// is started.
pub fn save_addresses() {
    #[cfg(target_env = "gnu")]
    if getrlimit(Resource::RLIMIT_AS).is_ok_and(|(soft, _)| soft != RLIM_INFINITY) {
        #[expect(unsafe_code, reason = "the allocator is asked for less, no more")]
        // SAFETY: mallopt(3) takes any number, and no other thread allocates yet.
        unsafe {
            mallopt(M_ARENA_MAX, 1);
        }
    }
}

/// What a worker is limited to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct WorkerRlimits {
    /// Bytes of data: what it allocates.
    pub(crate) memory: Option<u64>,
    /// Open files.
    pub(crate) files: Option<u64>,
}

impl WorkerRlimits {
    /// Applies the limits to the calling process, between fork and exec: makes system calls only.
    pub(crate) fn apply(self) -> io::Result<()> {
        if let Some(bytes) = self.memory {
            setrlimit(Resource::RLIMIT_DATA, bytes, bytes)?;
        }
        let started_with = STARTED_WITH.get().copied();
        let files = self.files.map(|files| (files, files)).or(started_with);
        if let Some((soft, hard)) = files {
            setrlimit(Resource::RLIMIT_NOFILE, soft, hard)?;
        }
        Ok(())
    }
}
