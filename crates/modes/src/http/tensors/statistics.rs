//! Counts the requests of all protocols with tensors, in the form of Triton's statistics extension.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

/// The counts since the server started.
#[derive(Debug, Default)]
pub(crate) struct Statistics {
    pub(crate) succeeded: Durations,
    pub(crate) failed: Durations,
    /// The number of records of the requests that succeeded.
    pub(crate) records: AtomicU64,
    /// The time of the last success, in milliseconds since 1970.
    pub(crate) last: AtomicU64,
}

/// The number of requests, and their time together.
#[derive(Debug, Default)]
pub(crate) struct Durations {
    pub(crate) count: AtomicU64,
    pub(crate) nanoseconds: AtomicU64,
}

impl Durations {
    fn add(&self, duration: Duration) {
        self.count.fetch_add(1, Relaxed);
        self.nanoseconds.fetch_add(whole(duration.as_nanos()), Relaxed);
    }

    fn json(&self) -> Value {
        json!({"count": self.count.load(Relaxed), "ns": self.nanoseconds.load(Relaxed)})
    }
}

impl Statistics {
    /// Counts a request that succeeded after this time.
    pub(crate) fn succeeded(&self, records: usize, duration: Duration) {
        self.succeeded.add(duration);
        self.records.fetch_add(records as u64, Relaxed);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.last.fetch_max(whole(now.as_millis()), Relaxed);
    }

    /// Counts a request that failed after this time.
    pub(crate) fn failed(&self, duration: Duration) {
        self.failed.add(duration);
    }

    /// Returns the statistics of the model. Each record is a job of the model. The server does not
    /// measure the steps of a job, so these durations of Triton are left out.
    pub(crate) fn json(&self, model: &str, version: &str) -> Value {
        let records = self.records.load(Relaxed);
        json!({
            "name": model,
            "version": version,
            "last_inference": self.last.load(Relaxed),
            "inference_count": records,
            "execution_count": records,
            "inference_stats": {"success": self.succeeded.json(), "fail": self.failed.json()},
        })
    }
}

fn whole(number: u128) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
