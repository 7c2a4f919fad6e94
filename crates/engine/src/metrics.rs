//! What the engine counts, in the words of Prometheus. Names and meanings are in
//! `docs/operations/metrics.md`. What happens for each job is left out of a build with
//! `--cfg unobserved`, by which `bench/observed.py` measures what it costs.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ai_integration_contract::{Error, Kind, Outcome};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};

use crate::worker::ending::EndCause;

/// One label and its value.
type Label = [(&'static str, &'static str); 1];

/// A histogram of seconds, from 100 us in 22 buckets to 210 s, and beyond.
fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.0001, 2.0, 22))
}

/// The engine's own metrics.
#[derive(Debug)]
pub(crate) struct Metrics {
    /// From a job's arrival until a worker gets it.
    pub(crate) queue_wait: Histogram,
    /// From a job's arrival to its end.
    pub(crate) duration: Histogram,
    /// Jobs that were handed to a worker together.
    pub(crate) batch_size: Histogram,
    /// Jobs that have ended, by what came of them.
    pub(crate) jobs: Family<Label, Counter>,
    succeeded: Counter,
    /// Ends of workers, by their causes.
    pub(crate) worker_ends: Family<Label, Counter>,
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

    /// The processes that run, behind their slots.
    pub(crate) fn processes(&self) -> MutexGuard<'_, BTreeSet<(usize, i32)>> {
        self.processes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
