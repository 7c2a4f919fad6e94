//! The engine's settings.

use ai_integration_contract::setting::{Absent, Count, Mebibytes, Seconds, SettingType, Switch};
use ai_integration_contract::{choices, settings};

use crate::engine::embedded::JobLimits;
use crate::worker::rlimits::WorkerRlimits;

/// The most workers that can be asked for.
const MOST_WORKERS: usize = 256;

settings! {
    /// The settings of workers.
    #[derive(Clone, Debug)]
    pub struct Config under "Workers" {
        /// Number of worker processes, each with its own copy of the model. By default one, or as
        /// many as there are devices.
        workers: Option<Count<1, MOST_WORKERS>>,
        /// Devices for the workers, one each in turn, as their CUDA_VISIBLE_DEVICES: 0,1. Several for
        /// each worker: 0,1;2,3.
        devices: Devices,
        /// Requests that may wait for a worker; further ones are refused.
        queue: Count<1, 1_000_000> = 1024,
        /// Time from a request's arrival to its answer; then it is answered with an error, and a
        /// model that has worked on it for that long is ended. Without it there is no limit. A
        /// request can ask for less.
        timeout: Option<Seconds> { refuses_empty: true },
        /// Time a model gets to finish a request after its timeout, before its process is killed and
        /// restarted.
        timeout_grace: Seconds = 5 { was: &["AI_INTEGRATION_GRACE"] },
        /// Restarts a worker after this many requests, or up to a tenth fewer, so that workers do
        /// not restart together. For models that leak.
        max_requests: Option<Count<1, { usize::MAX }>>,
        /// Resident memory from which a worker is restarted, once it has finished what it does.
        max_rss: Option<Mebibytes<{ 1 << 30 }>>,
        /// Memory that a worker may allocate (RLIMIT_DATA); more fails in the model as being out of
        /// memory. By default as much as there is.
        worker_memory: Option<Mebibytes<{ 1 << 30 }>> { refuses_empty: true },
        /// Open files that a worker may have (RLIMIT_NOFILE). By default as many as the server was
        /// started with.
        worker_files: Option<Count<1, { 1 << 30 }>>,
        /// Time for the program to load its model and ask for its first input; then it is ended and
        /// started again.
        start_timeout: Seconds = 600,
        /// Times that a request is run again, by itself, after the batch that it was in ended in an
        /// exception or a crash: 0 for models with side effects. Not once a part of its answer was
        /// sent.
        retry: Count<0, 1> = 1,
        /// Order in which a worker is replaced, on SIGHUP or since its process is broken: before
        /// starts the new process first, and the old one serves until that is ready; after ends the
        /// old one first, where memory is too small for two copies of the model.
        replace: Replace = "before",
        /// Watches the program's files, and starts it anew when one changes: for development, in
        /// serving modes. The old workers serve until the new ones are ready. A program that cannot be
        /// started is shown on the terminal and on the page, and tried again after the next change.
        reload: Switch = "0",
        /// Consecutive failed starts, with growing pauses between them, before the server gives up.
        /// A start fails if the program ends before it has served a request or been ready for a
        /// second.
        start_attempts: Count<1, 1000> = 6,
    }
}

choices! {
    /// The order in which a worker is replaced.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Replace {
        /// The new process is ready before the old one ends.
        Before = "before",
        /// The new process is started after the old one has ended.
        After = "after",
    }
}

impl Config {
    /// The number of workers, at least one.
    pub(crate) fn worker_count(&self) -> usize {
        self.workers.unwrap_or(self.devices.len().clamp(1, MOST_WORKERS))
    }

    /// The limits of requests.
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

    /// The limits that the operating system holds each worker to.
    pub(crate) fn worker_rlimits(&self) -> WorkerRlimits {
        WorkerRlimits {
            memory: self.worker_memory.map(|bytes| bytes as u64),
            files: self.worker_files.map(|files| files as u64),
        }
    }

    /// The requests of one worker's life: `max_requests`, or up to a tenth fewer.
    pub(crate) fn quota(&self) -> Option<u64> {
        let most = self.max_requests? as u64;
        Some(most - fastrand::u64(0..=most / 10))
    }
}

/// The devices of each worker: groups separated by semicolons, or single ones by commas.
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
    fn defaults_can_be_read_and_nonsense_is_refused() {
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
