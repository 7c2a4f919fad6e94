//! The engine's settings.

use ai_integration_contract::setting::{Absent, Count, Mebibytes, Seconds, SettingType, Switch};
use ai_integration_contract::{choices, settings};

use crate::engine::embedded::JobLimits;
use crate::link::message::MOST_CONCURRENT;
use crate::worker::rlimits::WorkerRlimits;

/// The maximum number of workers.
const MOST_WORKERS: usize = 256;

settings! {
    /// The settings of workers.
    #[derive(Clone, Debug)]
    pub struct Config under "Workers" {
        /// Number of workers, each with its own copy of the model. By default one, or one for each
        /// device.
        workers: Option<Count<1, MOST_WORKERS>>,
        /// Devices of the workers, set as their CUDA_VISIBLE_DEVICES: 0,1 gives one device to each
        /// worker in turn, and 0,1;2,3 gives two.
        devices: Devices,
        /// Requests that a worker runs at a time, instead of the number that the program asks for.
        /// More than one is for programs that wait, such as for another service. Functions that are
        /// not async, and start_loop, run in as many threads.
        concurrency: Option<Count<1, MOST_CONCURRENT>>,
        /// Requests that may wait for a worker; further ones are refused.
        queue: Count<1, 1_000_000> = 1024,
        /// Longest time from a request's arrival to its response. Then the client gets an error,
        /// and a model that has worked on the request for that long is stopped. By default there is
        /// no limit. A request can ask for less.
        timeout: Option<Seconds> { refuses_empty: true },
        /// Time that a model gets to finish a request after its timeout, before its process is
        /// killed and restarted.
        timeout_grace: Seconds = 5 { was: &["AI_INTEGRATION_GRACE"] },
        /// Restarts a worker after this many requests, or up to a tenth fewer, so that workers do
        /// not restart together. For models that leak.
        max_requests: Option<Count<1, { usize::MAX }>>,
        /// Resident memory at which a worker is restarted, after it has finished its requests.
        max_rss: Option<Mebibytes<{ 1 << 30 }>>,
        /// Memory that a worker may allocate (RLIMIT_DATA). Beyond it the model gets an
        /// out-of-memory error. By default there is no limit.
        worker_memory: Option<Mebibytes<{ 1 << 30 }>> { refuses_empty: true },
        /// Open files that a worker may have (RLIMIT_NOFILE). By default the limit that the server
        /// was started with.
        worker_files: Option<Count<1, { 1 << 30 }>>,
        /// Time for the program to load its model and ask for its first input. Then it is killed
        /// and started again.
        start_timeout: Seconds = 600,
        /// Retries of a request, alone, after its batch ended in an exception or a crash, or after a
        /// crash of the process that ran it together with others. A request whose client has got a
        /// chunk of the result is never retried. Set 0 for models with side effects.
        retry: Count<0, 1> = 1,
        /// Order in which a worker is replaced, on SIGHUP or because its process is broken. before:
        /// the old process serves until the new one is ready. after: the old process ends first,
        /// for machines without memory for two copies of the model.
        replace: Replace = "before",
        /// Reloads the program when one of its files changes: for development, in serving modes.
        /// The old workers serve until the new ones are ready. The error of a program that cannot
        /// be started is shown on the terminal and on the page until the next change.
        reload: Switch = "0",
        /// Consecutive failed starts, with growing pauses between them, before the server gives up.
        /// A start fails if the program ends before it has served a request or been ready for a
        /// second.
        start_attempts: Count<1, 1000> = 6,
    }
}

choices! {
    /// The order in which a worker is replaced by another.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Replace {
        /// The new process is ready before the old one ends.
        Before = "before",
        /// The new process is started after the old one has ended.
        After = "after",
    }
}

impl Config {
    /// Returns the number of workers, at least one.
    pub(crate) fn worker_count(&self) -> usize {
        self.workers.unwrap_or(self.devices.len().clamp(1, MOST_WORKERS))
    }

    /// Returns the limits of jobs.
    #[must_use]
    pub fn limits(&self) -> JobLimits {
        JobLimits {
            queue: self.queue,
            timeout: self.timeout,
            grace: self.timeout_grace,
            prefetch: self.worker_count() == 1,
            retry: self.retry > 0,
        }
    }

    /// Returns the limits that the operating system enforces for each worker.
    pub(crate) fn worker_rlimits(&self) -> WorkerRlimits {
        WorkerRlimits {
            memory: self.worker_memory.map(|bytes| bytes as u64),
            files: self.worker_files.map(|files| files as u64),
        }
    }

    /// Returns the number of jobs after which a worker is recycled: `max_requests`, or up to a
    /// tenth fewer.
    pub(crate) fn quota(&self) -> Option<u64> {
        let most = self.max_requests? as u64;
        Some(most - fastrand::u64(0..=most / 10))
    }
}

/// The type of the list of devices: groups separated by semicolons, or single devices by commas.
#[derive(Debug)]
pub struct Devices;

impl SettingType for Devices {
    type Value = Vec<String>;
    const VALUE_NAME: &'static str = "LIST";

    fn read(list: &str) -> Result<Vec<String>, String> {
        let separator = if list.contains(';') { ';' } else { ',' };
        let groups = list.split(separator).map(str::trim).filter(|group| !group.is_empty());
        Ok(groups.map(str::to_owned).collect())
    }
}

impl Absent for Devices {
    fn absent() -> Vec<String> {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ai_integration_contract::Environment;

    #[test]
    fn defaults_are_read_and_wrong_values_are_refused() {
        let config = Config::read(&Environment::default()).unwrap();
        assert_eq!((config.worker_count(), config.queue, config.start_attempts), (1, 1024, 6));
        assert_eq!((config.timeout, config.max_requests, config.max_rss), (None, None, None));
        for (setting, value) in [
            (Config::workers(), "0"),
            (Config::queue(), "many"),
            (Config::start_timeout(), "NaN"),
            (Config::timeout(), "-1"),
        ] {
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
            environment.set(Config::devices(), list);
            let config = Config::read(&environment).unwrap();
            assert_eq!(
                (config.worker_count(), config.devices),
                (workers, groups.iter().map(ToString::to_string).collect())
            );
            environment.set(Config::workers(), "3");
            assert_eq!(Config::read(&environment).unwrap().worker_count(), 3);
        }
    }
}
