//! The engine's settings.

use std::time::Duration;

use ai_integration_contract::{Environment, Setting, SettingError};

use crate::engine::embedded::JobLimits;
use crate::worker::rlimits::WorkerRlimits;

/// Number of worker processes.
pub static WORKERS: Setting = Setting {
    name: "AI_INTEGRATION_WORKERS",
    flag: Some("workers"),
    value_name: "N",
    default: "",
    help: "Number of worker processes, each with its own copy of the model. By default one, or as \
           many as there are devices.",
};

/// Room in the queue.
pub static QUEUE: Setting = Setting {
    name: "AI_INTEGRATION_QUEUE",
    flag: Some("queue"),
    value_name: "N",
    default: "1024",
    help: "Requests that may wait for a worker; further ones are refused.",
};

/// Patience with a starting program.
pub static START_TIMEOUT: Setting = Setting {
    name: "AI_INTEGRATION_START_TIMEOUT",
    flag: Some("start-timeout"),
    value_name: "SECONDS",
    default: "600",
    help: "Time for the program to load its model and ask for its first input; then it is ended \
           and started again.",
};

/// Patience with a program that keeps dying.
pub static START_ATTEMPTS: Setting = Setting {
    name: "AI_INTEGRATION_START_ATTEMPTS",
    flag: Some("start-attempts"),
    value_name: "N",
    default: "6",
    help: "Starts in a row that may end before the program has served a request or been ready for \
           a second, with growing pauses between them; then the server gives up and ends.",
};

/// Patience when stopping.
pub static STOP_TIMEOUT: Setting = Setting {
    name: "AI_INTEGRATION_STOP_TIMEOUT",
    flag: Some("stop-timeout"),
    value_name: "SECONDS",
    default: "30",
    help: "Time for accepted requests to end after SIGTERM or SIGINT; then they are answered with \
           an error.",
};

/// Patience with a request.
pub static TIMEOUT: Setting = Setting {
    name: "AI_INTEGRATION_TIMEOUT",
    flag: Some("timeout"),
    value_name: "SECONDS",
    default: "",
    help: "Time from a request's arrival to its answer; then it is answered with an error, and a \
           model that has worked on it for that long is ended. Without it there is no limit. A \
           request can ask for less.",
};

/// Patience with a model that is over a request's time.
pub static GRACE: Setting = Setting {
    name: "AI_INTEGRATION_GRACE",
    flag: Some("grace"),
    value_name: "SECONDS",
    default: "5",
    help: "What a model gets to end a request by itself that is over its time, before its process \
           is ended and started again.",
};

/// Who computes where.
pub static DEVICES: Setting = Setting {
    name: "AI_INTEGRATION_DEVICES",
    flag: Some("devices"),
    value_name: "LIST",
    default: "",
    help: "Devices for the workers, one each in turn, as their CUDA_VISIBLE_DEVICES: 0,1. Several \
           for each worker: 0,1;2,3.",
};

/// The length of a worker's life in requests.
pub static MAX_REQUESTS: Setting = Setting {
    name: "AI_INTEGRATION_MAX_REQUESTS",
    flag: Some("max-requests"),
    value_name: "N",
    default: "",
    help: "Requests after which a worker is started afresh, or up to a tenth fewer, so that not \
           all are at once. For models that leak.",
};

/// The size of a worker.
pub static MAX_RSS: Setting = Setting {
    name: "AI_INTEGRATION_MAX_RSS",
    flag: Some("max-rss"),
    value_name: "MIB",
    default: "",
    help: "Resident memory in MiB from which a worker is started afresh, once it has finished what \
           it does.",
};

/// What a worker may allocate.
pub static WORKER_MEMORY: Setting = Setting {
    name: "AI_INTEGRATION_WORKER_MEMORY",
    flag: Some("worker-memory"),
    value_name: "MIB",
    default: "",
    help: "What a worker may allocate, in MiB (RLIMIT_DATA); more fails in the model as being out \
           of memory. By default as much as there is.",
};

/// What a worker may open.
pub static WORKER_FILES: Setting = Setting {
    name: "AI_INTEGRATION_WORKER_FILES",
    flag: Some("worker-files"),
    value_name: "N",
    default: "",
    help: "Open files that a worker may have (RLIMIT_NOFILE). By default as many as the server \
           was started with.",
};

/// All of them.
pub const SETTINGS: &[&Setting] = &[
    &WORKERS,
    &DEVICES,
    &QUEUE,
    &TIMEOUT,
    &GRACE,
    &MAX_REQUESTS,
    &MAX_RSS,
    &WORKER_MEMORY,
    &WORKER_FILES,
    &START_TIMEOUT,
    &START_ATTEMPTS,
    &STOP_TIMEOUT,
];

/// How workers are kept running.
#[derive(Clone, Debug)]
pub struct Config {
    /// Number of workers, at least one.
    pub workers: usize,
    /// What each worker in turn finds in `CUDA_VISIBLE_DEVICES`; empty to leave that alone.
    pub devices: Vec<String>,
    /// Requests of a worker's life.
    pub max_requests: Option<u64>,
    /// Resident memory in bytes from which a worker is replaced.
    pub max_rss: Option<u64>,
    /// What the operating system lets each worker have.
    pub(crate) worker_rlimits: WorkerRlimits,
    /// What requests may take up.
    pub limits: JobLimits,
    /// Time for a program to become ready.
    pub start_timeout: Duration,
    /// Starts in a row without a served request before giving up, at least one.
    pub start_attempts: u32,
    /// Time for jobs to end once stopping.
    pub stop_timeout: Duration,
}

impl Config {
    /// Reads the settings.
    pub fn read(environment: &Environment) -> Result<Self, SettingError> {
        let count = |setting, most: usize| {
            let expected = format!("a whole number from 1 to {most}");
            environment.parse::<usize>(setting, &expected, |n| (1..=most).contains(n))
        };
        let seconds = |setting| environment.seconds(setting);
        let devices = devices(environment.get(&DEVICES).unwrap_or_default());
        let workers = count(&WORKERS, 256)?.unwrap_or(devices.len().clamp(1, 256));
        let limits = JobLimits {
            queue: count(&QUEUE, 1_000_000)?.unwrap_or(1),
            timeout: seconds(&TIMEOUT)?,
            grace: seconds(&GRACE)?.unwrap_or_default(),
            prefetch: workers == 1,
        };
        Ok(Config {
            workers,
            devices,
            max_requests: count(&MAX_REQUESTS, usize::MAX)?.map(|requests| requests as u64),
            max_rss: count(&MAX_RSS, 1 << 30)?.map(|mebibytes| (mebibytes as u64) << 20),
            worker_rlimits: WorkerRlimits {
                memory: count(&WORKER_MEMORY, 1 << 30)?.map(|mebibytes| (mebibytes as u64) << 20),
                files: count(&WORKER_FILES, 1 << 30)?.map(|files| files as u64),
            },
            limits,
            start_timeout: seconds(&START_TIMEOUT)?.unwrap_or_default(),
            start_attempts: count(&START_ATTEMPTS, 1000)?
                .and_then(|attempts| u32::try_from(attempts).ok())
                .unwrap_or(1),
            stop_timeout: seconds(&STOP_TIMEOUT)?.unwrap_or_default(),
        })
    }
}

impl Config {
    /// The requests of one worker's life: `max_requests`, or up to a tenth fewer.
    pub(crate) fn quota(&self) -> Option<u64> {
        self.max_requests.map(|most| most - fastrand::u64(0..=most / 10))
    }
}

/// The devices of each worker: groups separated by semicolons, or single ones by commas.
fn devices(list: &str) -> Vec<String> {
    let separator = if list.contains(';') { ';' } else { ',' };
    let groups = list.split(separator).map(str::trim).filter(|group| !group.is_empty());
    groups.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_can_be_read_and_nonsense_is_refused() {
        let config = Config::read(&Environment::default()).unwrap();
        assert_eq!((config.workers, config.limits.queue, config.start_attempts), (1, 1024, 6));
        assert_eq!(
            (config.limits.timeout, config.max_requests, config.max_rss),
            (None, None, None)
        );
        for (setting, value) in
            [(&WORKERS, "0"), (&QUEUE, "many"), (&STOP_TIMEOUT, "NaN"), (&TIMEOUT, "-1")]
        {
            let mut environment = Environment::default();
            environment.set(setting, value);
            assert!(Config::read(&environment).is_err(), "{}={value}", setting.name);
        }
    }

    #[test]
    fn devices_are_one_for_each_worker_or_groups() {
        for (list, groups, workers) in
            [("", vec![], 1), ("0, 1", vec!["0", "1"], 2), ("0,1;2,3;", vec!["0,1", "2,3"], 2)]
        {
            let mut environment = Environment::default();
            environment.set(&DEVICES, list);
            let config = Config::read(&environment).unwrap();
            assert_eq!(
                (config.devices, config.workers),
                (groups.iter().map(ToString::to_string).collect(), workers)
            );
            environment.set(&WORKERS, "3");
            assert_eq!(Config::read(&environment).unwrap().workers, 3);
        }
    }
}
