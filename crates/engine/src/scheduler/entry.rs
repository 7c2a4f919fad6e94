//! A job in the scheduler: its time limit, the worker that holds it, and what has happened to it.

use std::time::Duration;

use tokio::time::Instant;

use super::worker::WorkerId;

/// The number of workers that may crash when they are about to start a job. Then the job fails.
const CRASHES: u32 = 2;
/// The number of workers that may end for any reason when they are about to start a job. It is high
/// because some programs exit after every request; it only stops an endless repetition.
pub(super) const LOSSES: u32 = 20;

/// The time limit of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Deadline {
    /// The time from the submission to the outcome.
    pub(crate) total: Duration,
    /// The extra time for the worker to finish the job, after it has worked on it for `total`.
    pub(crate) grace: Duration,
}

/// A job that has not ended.
#[derive(Debug)]
pub(crate) struct Entry<J> {
    pub(crate) job: J,
    pub(super) submitted: Instant,
    pub(super) limit: Option<Deadline>,
    /// The worker that holds the job.
    pub(super) holder: Option<WorkerId>,
    pub(super) company: Company,
    /// The number of workers that crashed when they were about to start the job.
    crashes: u32,
    /// The number of workers that ended for any reason when they were about to start the job.
    losses: u32,
}

/// The other jobs with which a job is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Company {
    /// The job may be run with others.
    Any,
    /// The job is, or was, run with others.
    Others,
    /// The job runs alone, because it has failed together with others.
    Nobody,
}

impl Deadline {
    /// Returns the longest time that a worker may take for the job.
    pub(super) fn with_grace(self) -> Duration {
        self.total + self.grace
    }
}

impl<J> Entry<J> {
    /// Makes the entry of a new job.
    pub(super) fn new(job: J, submitted: Instant, limit: Option<Deadline>) -> Self {
        let (holder, company) = (None, Company::Any);
        Entry { job, submitted, limit, holder, company, crashes: 0, losses: 0 }
    }

    /// Returns the worker that holds the job.
    pub(crate) fn holder(&self) -> Option<WorkerId> {
        self.holder
    }

    /// Returns true if the job has a time limit.
    pub(crate) fn is_limited(&self) -> bool {
        self.limit.is_some()
    }

    /// Records that the job was run with others.
    pub(super) fn join_company(&mut self) {
        if self.company == Company::Any {
            self.company = Company::Others;
        }
    }

    /// Records that a worker ended, or `crashed`, when it was about to start the job.
    pub(super) fn record_loss(&mut self, crashed: bool) {
        self.losses += 1;
        self.crashes += u32::from(crashed);
    }

    /// Returns true if so many workers ended when they were about to start the job that it must
    /// fail.
    pub(super) fn is_hopeless(&self) -> bool {
        self.crashes >= CRASHES || self.losses >= LOSSES
    }
}
