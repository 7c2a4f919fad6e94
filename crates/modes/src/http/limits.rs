//! What clients may take up: connections, memory and time. Each limit is a setting with a default
//! that is safe; sizes that no client needs to exceed are constants here.

use std::time::Duration;

use ai_integration_contract::{Environment, Setting, SettingError};

/// The greatest length of an address (RFC 9110, section 4.1 asks for 8,000 at least).
pub(crate) const MAX_URI: usize = 8 * 1024;
/// The greatest length of a request's head, over HTTP/2 of its header fields.
pub(crate) const MAX_HEAD: usize = 64 * 1024;
/// The most header fields of a request.
pub(crate) const MAX_HEADERS: usize = 100;
/// How long a client may pause while it sends a body.
pub(crate) const PAUSE: Duration = Duration::from_secs(15);
/// The least bytes a second, over the whole of an upload that has gone on for `SLOW_AFTER`.
pub(crate) const LEAST_RATE: u64 = 1024;
/// See [`LEAST_RATE`].
pub(crate) const SLOW_AFTER: Duration = Duration::from_secs(10);

/// The greatest request.
pub(crate) static MAX_BODY: Setting = Setting {
    name: "AI_INTEGRATION_MAX_BODY",
    flag: Some("max-body"),
    value_name: "BYTES",
    default: "104857600",
    help: "Greatest length of a request's body; larger ones are answered with status 413.",
};

/// The memory of all requests.
pub(crate) static MAX_IN_FLIGHT: Setting = Setting {
    name: "AI_INTEGRATION_MAX_IN_FLIGHT",
    flag: Some("max-in-flight"),
    value_name: "BYTES",
    default: "",
    help: "What the bodies of all requests that are being received, wait or run may take up \
           together, and large answers that are being read; further ones are answered with status \
           503. An eighth is kept for bodies up to 1 MiB. By default a quarter of the memory.",
};

/// The number of clients.
pub(crate) static MAX_CONNECTIONS: Setting = Setting {
    name: "AI_INTEGRATION_MAX_CONNECTIONS",
    flag: Some("max-connections"),
    value_name: "N",
    default: "10000",
    help: "Connections at a time, at most as many as the limit of open files leaves beside 512 for \
           workers and bodies; a further one is answered with status 503 and closed.",
};

/// Patience with a request's head.
pub(crate) static HEAD_TIMEOUT: Setting = Setting {
    name: "AI_INTEGRATION_HEAD_TIMEOUT",
    flag: Some("head-timeout"),
    value_name: "SECONDS",
    default: "10",
    help: "Time for a request's head: from a new connection's beginning, or from the head's first \
           byte.",
};

/// Patience with a connection between requests.
pub(crate) static IDLE_TIMEOUT: Setting = Setting {
    name: "AI_INTEGRATION_IDLE_TIMEOUT",
    flag: Some("idle-timeout"),
    value_name: "SECONDS",
    default: "75",
    help: "How long a connection is kept open for a further request. Longer than a proxy in front \
           keeps its own.",
};

/// Patience with a body.
pub(crate) static UPLOAD_TIMEOUT: Setting = Setting {
    name: "AI_INTEGRATION_UPLOAD_TIMEOUT",
    flag: Some("upload-timeout"),
    value_name: "SECONDS",
    default: "600",
    help: "Time for a request's body. One that pauses for 15 s, or comes with less than 1 KiB a \
           second or half the pace that it needs, is given up earlier.",
};

/// Patience with a reader.
pub(crate) static WRITE_TIMEOUT: Setting = Setting {
    name: "AI_INTEGRATION_WRITE_TIMEOUT",
    flag: Some("write-timeout"),
    value_name: "SECONDS",
    default: "30",
    help: "How long a client may take none of its answer before it is given up.",
};

/// All of them.
pub(crate) const SETTINGS: &[&Setting] = &[
    &MAX_BODY,
    &MAX_IN_FLIGHT,
    &MAX_CONNECTIONS,
    &HEAD_TIMEOUT,
    &IDLE_TIMEOUT,
    &UPLOAD_TIMEOUT,
    &WRITE_TIMEOUT,
];

/// The limits in force.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Bytes of a body.
    pub(crate) body: usize,
    /// Bytes of all bodies.
    pub(crate) in_flight: usize,
    pub(crate) connections: usize,
    pub(crate) head: Duration,
    pub(crate) idle: Duration,
    pub(crate) upload: Duration,
    pub(crate) write: Duration,
}

impl Limits {
    pub(crate) fn read(environment: &Environment) -> Result<Self, SettingError> {
        let number = |setting, what: &str, most: usize| {
            let expected = format!("a number of {what} from 1 to {most}");
            environment.parse::<usize>(setting, &expected, |n| (1..=most).contains(n))
        };
        let seconds = |setting| environment.seconds(setting).map(Option::unwrap_or_default);
        Ok(Limits {
            body: number(&MAX_BODY, "bytes", 1 << 30)?.unwrap_or(1),
            in_flight: number(&MAX_IN_FLIGHT, "bytes", usize::MAX >> 1)?
                .unwrap_or_else(|| memory() / 4),
            connections: number(&MAX_CONNECTIONS, "connections", 1_000_000)?.unwrap_or(1),
            head: seconds(&HEAD_TIMEOUT)?,
            idle: seconds(&IDLE_TIMEOUT)?,
            upload: seconds(&UPLOAD_TIMEOUT)?,
            write: seconds(&WRITE_TIMEOUT)?,
        })
    }
}

/// The memory in bytes that there is for this process: the machine's, or its container's part.
fn memory() -> usize {
    let of_container = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"]
        .into_iter()
        .filter_map(|file| std::fs::read_to_string(file).ok()?.trim().parse::<usize>().ok())
        .min();
    let machine = physical_memory().unwrap_or(4 << 30);
    of_container.map_or(machine, |limit| limit.min(machine))
}

#[cfg(target_os = "linux")]
fn physical_memory() -> Option<usize> {
    use nix::unistd::{SysconfVar, sysconf};
    let pages = sysconf(SysconfVar::_PHYS_PAGES).ok()??;
    let page = sysconf(SysconfVar::PAGE_SIZE).ok()??;
    usize::try_from(pages).ok()?.checked_mul(usize::try_from(page).ok()?)
}

#[cfg(not(target_os = "linux"))]
fn physical_memory() -> Option<usize> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_can_be_read() {
        let limits = Limits::read(&Environment::default()).unwrap();
        assert_eq!((limits.body, limits.connections), (100 << 20, 10_000));
        assert_eq!((limits.head.as_secs(), limits.idle.as_secs()), (10, 75));
        assert!(limits.in_flight >= limits.body / 2, "{}", limits.in_flight);
    }
}
