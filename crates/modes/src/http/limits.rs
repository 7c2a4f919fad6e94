//! The limits on clients: connections, memory and time. Most limits are settings with safe defaults.
//! Limits that no client needs to exceed are constants here.

use std::time::Duration;

use ai_integration_contract::setting::{Bytes, Count, Seconds};
use ai_integration_contract::settings;
use nix::libc::RLIM_INFINITY;
use nix::sys::resource::{Resource, getrlimit};
use nix::unistd::{SysconfVar, sysconf};

/// The maximum length of a URL in bytes (RFC 9110, section 4.1 recommends at least 8,000).
pub(crate) const MAX_URI: usize = 8 * 1024;
/// The maximum length of a request's head in bytes; over HTTP/2, that of its header fields.
pub(crate) const MAX_HEAD: usize = 64 * 1024;
/// The length in bytes up to which a head does not count against the memory limit, because each
/// connection takes about as much in any case.
pub(crate) const SMALL_HEAD: usize = 8 * 1024;
/// The time within which a body must begin to arrive.
pub(crate) const FIRST: Duration = Duration::from_secs(5);
/// The longest pause within a body.
pub(crate) const PAUSE: Duration = Duration::from_secs(15);
/// The lowest average rate of an upload, in bytes per second, once it has lasted for [`SLOW_AFTER`].
pub(crate) const LEAST_RATE: u64 = 1024;
/// The time after which [`LEAST_RATE`] applies to an upload.
pub(crate) const SLOW_AFTER: Duration = Duration::from_secs(10);

settings! {
    /// The limits on clients.
    #[derive(Clone, Copy, Debug)]
    pub(crate) struct ClientLimits under "Limits" {
        /// Maximum length of a request's body. Larger ones are answered with status 413.
        max_body: Bytes<1, { 1 << 30 }> = "100MiB",
        /// Memory limit for all requests together: bodies and long heads of requests that are being
        /// received, wait or run, and large responses that are being read. Further requests are
        /// answered with status 503. A body takes memory as it arrives, and may lose it to other
        /// requests if it arrives slowly. An eighth of the limit is kept for bodies up to 1 MiB.
        /// Half of this eighth is kept for clients that hold at most a quarter of the limit. By
        /// default the limit is a quarter of the machine's memory.
        max_in_flight: Option<Bytes<1, { usize::MAX >> 1 }>>,
        /// Maximum open connections. A further one is answered with status 503 and closed. If its
        /// client has fewer connections than another client, an idle connection of the other client is
        /// closed instead. Capped at the limit of open files minus 512, which workers and bodies need.
        max_connections: Count<1, 1_000_000> = 10000,
        /// Time for a request's head, counted from the start of a new connection or from the head's
        /// first byte.
        head_timeout: Seconds = 10,
        /// Time that a connection stays open without a request. Must be longer than the idle timeout
        /// of a proxy in front of the server.
        idle_timeout: Seconds = 75,
        /// Time for a request's body. The server stops earlier if the body does not begin within 5 s,
        /// pauses for 15 s, or is slower than 1 KiB/s or than half the rate that this time requires.
        upload_timeout: Seconds = 600,
        /// Time that a client may read nothing of its response before the connection is closed.
        write_timeout: Seconds = 30,
    }
}

impl ClientLimits {
    /// Returns the memory limit for all requests together, in bytes.
    pub(crate) fn in_flight(&self) -> usize {
        self.max_in_flight.unwrap_or_else(|| memory() / 4)
    }
}

/// Returns the memory in bytes that this process can use: the smallest of the machine's memory, the
/// container's limit, and the rest of its own limits (`ulimit -v`, `ulimit -d`).
fn memory() -> usize {
    let of_container = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"]
        .into_iter()
        .filter_map(|file| std::fs::read_to_string(file).ok()?.trim().parse::<usize>().ok())
        .min();
    let of_process = [(Resource::RLIMIT_AS, 0), (Resource::RLIMIT_DATA, 5)];
    let of_process = of_process.into_iter().filter_map(|(limit, column)| {
        let limit = getrlimit(limit).ok()?.0;
        if limit == RLIM_INFINITY {
            return None;
        }
        let left = limit.saturating_sub(own_size(column).unwrap_or_default());
        usize::try_from(left.max(1)).ok()
    });
    let machine = physical_memory().unwrap_or(4 << 30);
    of_container.into_iter().chain(of_process).fold(machine, usize::min)
}

/// Returns the memory in bytes that this process uses already, from a column of `/proc/self/statm`.
fn own_size(column: usize) -> Option<u64> {
    let sizes = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = sizes.split_ascii_whitespace().nth(column)?.parse().ok()?;
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
