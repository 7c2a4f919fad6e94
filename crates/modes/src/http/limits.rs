//! What clients may take up: connections, memory and time. Each limit is a setting with a default
//! that is safe; sizes that no client needs to exceed are constants here.

use std::time::Duration;

use ai_integration_contract::setting::{Bytes, Count, Seconds};
use ai_integration_contract::settings;
use nix::libc::RLIM_INFINITY;
use nix::sys::resource::{Resource, getrlimit};
use nix::unistd::{SysconfVar, sysconf};

/// The greatest length of an address (RFC 9110, section 4.1 asks for 8,000 at least).
pub(crate) const MAX_URI: usize = 8 * 1024;
/// The greatest length of a request's head, over HTTP/2 of its header fields.
pub(crate) const MAX_HEAD: usize = 64 * 1024;
/// The most header fields of a request.
pub(crate) const MAX_HEADERS: usize = 100;
/// The length up to which a head is within what a connection costs anyhow.
pub(crate) const SMALL_HEAD: usize = 8 * 1024;
/// How long a client may take to begin with a body.
pub(crate) const FIRST: Duration = Duration::from_secs(5);
/// How long a client may pause while it sends a body.
pub(crate) const PAUSE: Duration = Duration::from_secs(15);
/// The least bytes a second, over the whole of an upload that has gone on for `SLOW_AFTER`.
pub(crate) const LEAST_RATE: u64 = 1024;
/// See [`LEAST_RATE`].
pub(crate) const SLOW_AFTER: Duration = Duration::from_secs(10);

settings! {
    /// The limits in force.
    #[derive(Clone, Copy, Debug)]
    pub(crate) struct ClientLimits under "Limits" {
        /// Greatest length of a request's body; larger ones are answered with status 413.
        max_body: Bytes<1, { 1 << 30 }> = "100MiB",
        /// Memory for the bodies and long heads of all requests that are being received, wait or run,
        /// and for large answers that are being read; further ones are answered with status 503. A body
        /// takes its part as it comes, and may lose it to others while it comes slowly. An eighth is
        /// kept for bodies up to 1 MiB, half of that for clients that hold less than a quarter. By
        /// default a quarter of the machine's memory.
        max_in_flight: Option<Bytes<1, { usize::MAX >> 1 }>>,
        /// Maximum open connections; a further one is answered with status 503 and closed, unless its
        /// client has fewer than another: then one of that one's without a request is closed instead.
        /// Capped at the limit of open files less 512 for workers and bodies.
        max_connections: Count<1, 1_000_000> = 10000,
        /// Time for a request's head: from a new connection's beginning, or from the head's first
        /// byte.
        head_timeout: Seconds = 10,
        /// Time that a connection is kept open for a further request. Longer than a proxy in front
        /// keeps its own.
        idle_timeout: Seconds = 75,
        /// Time for a request's body. One that does not begin within 5 s, pauses for 15 s, or comes with
        /// less than 1 KiB a second or half the pace that it needs, is given up earlier.
        upload_timeout: Seconds = 600,
        /// Time that a client may take none of its answer before it is given up.
        write_timeout: Seconds = 30,
    }
}

impl ClientLimits {
    /// The memory in bytes for all bodies.
    pub(crate) fn in_flight(&self) -> usize {
        self.max_in_flight.unwrap_or_else(|| memory() / 4)
    }
}

/// The memory in bytes that there is for this process: the machine's, its container's part, or what
/// its own limits (`ulimit -v`, `ulimit -d`) leave it.
fn memory() -> usize {
    let of_container = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"]
        .into_iter()
        .filter_map(|file| std::fs::read_to_string(file).ok()?.trim().parse::<usize>().ok())
        .min();
    let of_process = [(Resource::RLIMIT_AS, 0), (Resource::RLIMIT_DATA, 5)];
    let of_process = of_process.into_iter().filter_map(|(limit, size)| {
        let limit = getrlimit(limit).ok()?.0;
        if limit == RLIM_INFINITY {
            return None;
        }
        let left = limit.saturating_sub(own_size(size).unwrap_or_default());
        usize::try_from(left.max(1)).ok()
    });
    let machine = physical_memory().unwrap_or(4 << 30);
    of_container.into_iter().chain(of_process).fold(machine, usize::min)
}

/// What this process takes up already, in bytes: this one of the sizes in `/proc/self/statm`.
fn own_size(which: usize) -> Option<u64> {
    let sizes = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = sizes.split_ascii_whitespace().nth(which)?.parse().ok()?;
    let page = sysconf(SysconfVar::PAGE_SIZE).ok()??;
    pages.checked_mul(u64::try_from(page).ok()?)
}

#[cfg(all(target_os = "linux", not(portable)))]
fn physical_memory() -> Option<usize> {
    let pages = sysconf(SysconfVar::_PHYS_PAGES).ok()??;
    let page = sysconf(SysconfVar::PAGE_SIZE).ok()??;
    usize::try_from(pages).ok()?.checked_mul(usize::try_from(page).ok()?)
}

#[cfg(any(not(target_os = "linux"), portable))]
fn physical_memory() -> Option<usize> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use ai_integration_contract::Environment;

    #[test]
    fn the_defaults_can_be_read() {
        let limits = ClientLimits::read(&Environment::default()).unwrap();
        assert_eq!((limits.max_body, limits.max_connections), (100 << 20, 10_000));
        assert_eq!((limits.head_timeout.as_secs(), limits.idle_timeout.as_secs()), (10, 75));
        assert!(limits.in_flight() >= limits.max_body / 2, "{}", limits.in_flight());
    }
}
