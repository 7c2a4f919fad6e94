//! The names of jobs.

/// The number of a job, unique within an engine and increasing.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(transparent)]
pub struct JobId(pub u64);

/// The name of a job that outlives the process and the connection by which it came. The requester
/// chooses it; to a queue that keeps jobs, two requests with one key are one job.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct JobKey(Box<str>);

impl JobKey {
    /// A key of these characters.
    #[must_use]
    pub fn new(key: impl Into<Box<str>>) -> Self {
        JobKey(key.into())
    }

    /// The key's characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
