//! The engine's metrics for Prometheus. Their names and meanings are in
//! `docs/operations/metrics.md`. A build with `--cfg unobserved` leaves out the work for each job,
//! so that `bench/observed.py` can measure what it costs.

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

/// Makes a histogram of seconds with 22 buckets, from 100 us to 210 s, and one for longer times.
fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.0001, 2.0, 22))
}

/// The engine's own metrics.
#[derive(Debug)]
pub(crate) struct Metrics {
    /// The time from a job's submission until a worker gets it.
    pub(crate) queue_wait: Histogram,
    /// The time from a job's submission to its end.
    pub(crate) duration: Histogram,
    /// The number of jobs in a batch.
    pub(crate) batch_size: Histogram,
    /// The number of jobs that have ended, by outcome.
    pub(crate) jobs: Family<Label, Counter>,
    succeeded: Counter,
    /// The number of worker ends, by cause.
    pub(crate) worker_ends: Family<Label, Counter>,
    /// The slot and process id of each process that runs. During a reload a slot has two.
    processes: Mutex<BTreeSet<(usize, i32)>>,
}

impl Default for Metrics {
    fn default() -> Self {
        let jobs = Family::<Label, Counter>::default();
        let worker_ends = Family::<Label, Counter>::default();
        // Counters start at zero, because Prometheus can compute a rate only from two values.
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
    /// Records that a job was handed to a worker after this time in the queue.
    pub(crate) fn handed_out(&self, waited: Duration) {
        if cfg!(unobserved) {
            return;
        }
        self.queue_wait.observe(waited.as_secs_f64());
    }

    /// Records the size of a batch.
    #[expect(clippy::cast_precision_loss, reason = "batches are small")]
    pub(crate) fn batch(&self, size: usize) {
        if cfg!(unobserved) {
            return;
        }
        self.batch_size.observe(size as f64);
    }

    /// Records that a job has ended, and the time since its submission.
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

    /// Records that a job was cancelled.
    pub(crate) fn cancelled(&self) {
        self.count("cancelled");
    }

    fn count(&self, outcome: &'static str) {
        self.jobs.get_or_create(&[("outcome", outcome)]).inc();
    }

    /// Records that a model process runs in a slot.
    pub(crate) fn worker_began(&self, slot: usize, pid: i32) {
        self.processes().insert((slot, pid));
    }

    /// Records that a model process could not be started.
    pub(crate) fn worker_not_started(&self) {
        self.count_end(&EndCause::NotStarted);
    }

    /// Records that a model process has ended.
    pub(crate) fn worker_ended(&self, slot: usize, pid: i32, cause: &EndCause) {
        self.count_end(cause);
        self.processes().remove(&(slot, pid));
    }

    fn count_end(&self, cause: &EndCause) {
        self.worker_ends.get_or_create(&[("cause", cause.label())]).inc();
    }

    /// Returns the slot and process id of each process that runs.
    pub(crate) fn processes(&self) -> MutexGuard<'_, BTreeSet<(usize, i32)>> {
        self.processes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
