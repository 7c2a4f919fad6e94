//! The identifiers of jobs.

/// The number of a job. Each job of an engine has a greater number than those before it.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(transparent)]
pub struct JobId(pub u64);

/// A key that a requester chooses for its job. To a queue that stores jobs, two requests with the
/// same key are the same job, even if they come over different connections.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct JobKey(Box<str>);

impl JobKey {
    /// Makes a key of these characters.
    #[must_use]
    pub fn new(key: impl Into<Box<str>>) -> Self {
        JobKey(key.into())
    }

    /// Returns the characters of the key.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
