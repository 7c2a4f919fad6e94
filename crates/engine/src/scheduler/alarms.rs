//! The alarms of the scheduler: the events that become due at a certain time.

use std::collections::BTreeSet;

use tokio::time::Instant;

use super::worker::{AlarmChange, WorkerId};
use crate::job::id::JobId;

/// An event that becomes due at a certain time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Alarm {
    /// The job has reached its deadline.
    Deadline(JobId),
    /// The worker must be killed if it still runs the job, or has not started it.
    Overdue(WorkerId, JobId),
    /// The worker's pause is over.
    Resume(WorkerId),
}

/// All alarms that are set, in the order of their times.
#[derive(Debug, Default)]
pub(super) struct Alarms(BTreeSet<(Instant, Alarm)>);

impl Alarms {
    /// Sets an alarm.
    pub(super) fn set(&mut self, at: Instant, alarm: Alarm) {
        self.0.insert((at, alarm));
    }

    /// Removes an alarm that is set to this time.
    pub(super) fn clear(&mut self, at: Instant, alarm: Alarm) {
        self.0.remove(&(at, alarm));
    }

    /// Changes the time of an alarm, sets it or removes it.
    pub(super) fn change(&mut self, alarm: Alarm, change: AlarmChange) {
        if let Some(before) = change.before {
            self.clear(before, alarm);
        }
        if let Some(after) = change.after {
            self.set(after, alarm);
        }
    }

    /// Returns the time of the first alarm.
    pub(super) fn first(&self) -> Option<Instant> {
        self.0.first().map(|(at, _)| *at)
    }

    /// Takes the first alarm if it is due.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<Alarm> {
        self.first().filter(|at| *at <= now)?;
        self.0.pop_first().map(|(_, alarm)| alarm)
    }
}
