//! Resource limits of the operating system: the engine's own, and those of the workers.

use std::io;
use std::sync::OnceLock;

use nix::libc::rlim_t;
#[cfg(target_env = "gnu")]
use nix::libc::{M_ARENA_MAX, RLIM_INFINITY, mallopt};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::link::memory_file;

/// The number of open files that are reserved for workers and memory files, if the limit is at
/// least twice as high.
const RESERVED: rlim_t = 512;

/// The limits of open files, soft and hard, that this process was started with.
static STARTED_WITH: OnceLock<(rlim_t, rlim_t)> = OnceLock::new();

/// Raises the limit of open files of this process to the maximum, and returns how many of them
/// connections may use. The rest is for the workers' links and output, and for memory files.
/// Workers get the limit that this process was started with, because some programs loop over all
/// possible files.
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

/// If the address space of this process is limited (`ulimit -v`), keeps glibc from reserving 64 MiB
/// of it for each thread, which would leave nothing for request bodies. Must be called before a
/// thread is started.
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

/// The resource limits of a worker.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct WorkerRlimits {
    /// The memory that it may allocate, in bytes.
    pub(crate) memory: Option<u64>,
    /// The number of files that it may have open.
    pub(crate) files: Option<u64>,
}

impl WorkerRlimits {
    /// Applies the limits to the calling process. It makes only system calls, so it may be called
    /// between fork and exec.
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
