//! What the engine counts, in the words of Prometheus. Names and meanings are in
//! `docs/operations/metrics.md`. What happens for each job is left out of a build with
//! `--cfg unobserved`, by which `bench/observed.py` measures what it costs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use ai_integration_contract::{Error, Kind, Outcome};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use crate::engine::{Engine, State};
use crate::worker::ending::EndCause;
use crate::worker::memory;

/// One label and its value.
pub type Label = [(&'static str, &'static str); 1];

/// A histogram of seconds, from 100 us in 22 buckets to 210 s, and beyond.
#[must_use]
pub fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.0001, 2.0, 22))
}

/// The engine's own metrics.
#[derive(Debug)]
pub struct Metrics {
    /// From a job's arrival until a worker gets it.
    queue_wait: Histogram,
    /// From a job's arrival to its end.
    duration: Histogram,
    /// Jobs that were handed to a worker together.
    batch_size: Histogram,
    /// Jobs that have ended, by what came of them.
    jobs: Family<Label, Counter>,
    succeeded: Counter,
    /// Ends of workers, by their causes.
    worker_ends: Family<Label, Counter>,
    /// The processes that run, behind their slots. In a reload a slot has two.
    processes: Mutex<BTreeSet<(usize, i32)>>,
}

impl Default for Metrics {
    fn default() -> Self {
        let jobs = Family::<Label, Counter>::default();
        let worker_ends = Family::<Label, Counter>::default();
        // What has not happened yet is there as a zero: a rate needs a value before the first one.
        let kinds = [Kind::ModelCrashed, Kind::ModelUnavailable, Kind::ShuttingDown, Kind::Timeout];
        for outcome in ["failed", "cancelled"].into_iter().chain(kinds.map(Kind::code)) {
            drop(jobs.get_or_create(&[("outcome", outcome)]));
        }
        for cause in EndCause::LABELS {
            drop(worker_ends.get_or_create(&[("cause", cause)]));
        }
        Metrics {
            queue_wait: seconds(),
            duration: seconds(),
            batch_size: Histogram::new(exponential_buckets(1.0, 2.0, 10)),
            succeeded: jobs.get_or_create_owned(&[("outcome", "succeeded")]),
            jobs,
            worker_ends,
            processes: Mutex::default(),
        }
    }
}

impl Metrics {
    pub(crate) fn handed_out(&self, waited: Duration) {
        if cfg!(unobserved) {
            return;
        }
        self.queue_wait.observe(waited.as_secs_f64());
    }

    #[expect(clippy::cast_precision_loss, reason = "batches are small")]
    pub(crate) fn batch(&self, size: usize) {
        if cfg!(unobserved) {
            return;
        }
        self.batch_size.observe(size as f64);
    }

    /// A job has ended after so long.
    pub(crate) fn ended(&self, outcome: &Result<Outcome, Error>, after: Duration) {
        if cfg!(unobserved) {
            return;
        }
        self.duration.observe(after.as_secs_f64());
        match outcome {
            Ok(outcome) if outcome.success => drop(self.succeeded.inc()),
            Ok(_) => self.count("failed"),
            Err(error) => self.count(error.kind.code()),
        }
    }

    /// Nobody waits for a job any more.
    pub(crate) fn cancelled(&self) {
        self.count("cancelled");
    }

    fn count(&self, outcome: &'static str) {
        self.jobs.get_or_create(&[("outcome", outcome)]).inc();
    }

    pub(crate) fn worker_began(&self, slot: usize, pid: i32) {
        self.processes().insert((slot, pid));
    }

    /// A worker's process could not begin.
    pub(crate) fn worker_not_started(&self) {
        self.count_end(&EndCause::NotStarted);
    }

    pub(crate) fn worker_ended(&self, slot: usize, pid: i32, cause: &EndCause) {
        self.count_end(cause);
        self.processes().remove(&(slot, pid));
    }

    fn count_end(&self, cause: &EndCause) {
        self.worker_ends.get_or_create(&[("cause", cause.label())]).inc();
    }

    fn processes(&self) -> std::sync::MutexGuard<'_, BTreeSet<(usize, i32)>> {
        self.processes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Registers everything that is counted here, and what can be read off `engine`.
    pub fn register(engine: &Engine, registry: &mut Registry) {
        let metrics = engine.metrics();
        registry.register_with_unit(
            "queue_wait",
            "Time from a job's arrival until a worker gets it",
            Unit::Seconds,
            metrics.queue_wait.clone(),
        );
        registry.register_with_unit(
            "job_duration",
            "Time from a job's arrival to its end",
            Unit::Seconds,
            metrics.duration.clone(),
        );
        registry.register(
            "batch_size",
            "Jobs that a worker got together",
            metrics.batch_size.clone(),
        );
        registry.register("jobs", "Jobs that have ended, by outcome", metrics.jobs.clone());
        registry.register("worker_ends", "Ends of workers, by cause", metrics.worker_ends.clone());
        registry.register_collector(Box::new(Now(engine.clone())));
    }
}

/// What is as it is at the moment of the scrape.
struct Now(Engine);

impl fmt::Debug for Now {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Now")
    }
}

impl Collector for Now {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let engine = &self.0;
        let ready = match *engine.state().borrow() {
            State::Ready(workers) => workers,
            State::Starting | State::Failed(_) => 0,
        };
        let (waiting, working) = engine.load();
        let gauges = [
            ("queue_depth", "Jobs that wait for a worker", waiting),
            ("jobs_in_flight", "Jobs that a worker has", working),
            ("workers_ready", "Workers that take jobs", ready),
        ];
        for (name, help, value) in gauges {
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        let processes = engine.metrics().processes().clone();
        let mut memory = encoder.encode_descriptor(
            "worker_resident_memory",
            "Resident memory of each worker's process",
            Some(&Unit::Bytes),
            prometheus_client::metrics::MetricType::Gauge,
        )?;
        let mut resident = BTreeMap::<usize, u64>::new();
        for (slot, pid) in processes {
            let Some(bytes) = memory::resident(pid) else { continue };
            *resident.entry(slot).or_default() += bytes;
        }
        for (slot, bytes) in resident {
            let gauge = ConstGauge::new(i64::try_from(bytes).unwrap_or(i64::MAX));
            gauge.encode(memory.encode_family(&[("worker", slot.to_string())])?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use ai_integration_contract::Environment;
    use nix::unistd::Pid;

    use super::*;
    use crate::settings::Config;

    #[tokio::test]
    async fn a_worker_is_measured_until_its_own_end_whoever_else_is_in_its_slot() {
        let engine = Engine::start(Config::read(&Environment::default()).unwrap().limits);
        let mut registry = Registry::default();
        Metrics::register(&engine, &mut registry);
        let measured = || {
            let mut text = String::new();
            prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
            text.matches("worker_resident_memory_bytes{worker=\"1\"} ").count()
        };
        let metrics = engine.metrics();
        let (serving, fresh) = (Pid::this().as_raw(), Pid::parent().as_raw());
        metrics.worker_began(1, serving);
        metrics.worker_began(1, fresh);
        assert_eq!(measured(), 1);
        metrics.worker_ended(1, fresh, &EndCause::Exited);
        assert_eq!(measured(), 1);
        metrics.worker_ended(1, serving, &EndCause::Exited);
        assert_eq!(measured(), 0);
    }
}
