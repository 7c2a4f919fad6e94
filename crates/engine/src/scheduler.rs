//! Who works on what next: the queue and the workers' load, without any input or output.

use std::collections::{BTreeMap, VecDeque};

/// Identifies one life of one worker; a restarted worker has another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct WorkerId(pub(crate) u64);

/// Jobs that a worker may hold at a time. More would let it prefetch.
const DEPTH: usize = 1;

/// The queue of waiting jobs and the number of jobs that each worker holds.
#[derive(Debug)]
pub(crate) struct Scheduler<J> {
    waiting: VecDeque<J>,
    holding: BTreeMap<WorkerId, usize>,
}

impl<J> Scheduler<J> {
    pub(crate) fn new() -> Self {
        Scheduler { waiting: VecDeque::new(), holding: BTreeMap::new() }
    }

    /// A new job goes to the end of the queue.
    pub(crate) fn submit(&mut self, job: J) {
        self.waiting.push_back(job);
    }

    /// A worker is ready for jobs.
    pub(crate) fn join(&mut self, worker: WorkerId) {
        self.holding.insert(worker, 0);
    }

    /// A job which the worker held has ended.
    pub(crate) fn finish(&mut self, worker: WorkerId) {
        if let Some(jobs) = self.holding.get_mut(&worker) {
            *jobs = jobs.saturating_sub(1);
        }
    }

    /// A worker is gone; the jobs which it had not started come first again, in their order.
    pub(crate) fn leave(&mut self, worker: WorkerId, unstarted: Vec<J>) {
        self.holding.remove(&worker);
        for job in unstarted.into_iter().rev() {
            self.waiting.push_front(job);
        }
    }

    /// The next job together with the least busy worker that has room for it. The worker holds
    /// the job from then on.
    pub(crate) fn assign(&mut self) -> Option<(WorkerId, J)> {
        let (worker, jobs) = self.holding.iter_mut().min_by_key(|(_, jobs)| **jobs)?;
        if *jobs >= DEPTH {
            return None;
        }
        let job = self.waiting.pop_front()?;
        *jobs += 1;
        Some((*worker, job))
    }

    /// Takes all waiting jobs out.
    pub(crate) fn take_waiting(&mut self) -> VecDeque<J> {
        std::mem::take(&mut self.waiting)
    }

    /// Whether no job waits and none is held.
    pub(crate) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.holding.values().all(|jobs| *jobs == 0)
    }

    /// Ready workers.
    pub(crate) fn workers(&self) -> usize {
        self.holding.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: WorkerId = WorkerId(1);
    const B: WorkerId = WorkerId(2);

    #[test]
    fn an_idle_worker_is_served_first_and_order_is_kept() {
        let mut scheduler = Scheduler::new();
        (1..=4).for_each(|job| scheduler.submit(job));
        assert_eq!(scheduler.assign(), None);
        scheduler.join(A);
        scheduler.join(B);
        assert_eq!(scheduler.assign(), Some((A, 1)));
        assert_eq!(scheduler.assign(), Some((B, 2)));
        assert_eq!(scheduler.assign(), None);
        scheduler.finish(B);
        assert_eq!(scheduler.assign(), Some((B, 3)));
    }

    #[test]
    fn jobs_of_a_lost_worker_come_first_again() {
        let mut scheduler = Scheduler::new();
        (1..=3).for_each(|job| scheduler.submit(job));
        scheduler.join(A);
        let (_, job) = scheduler.assign().unwrap();
        scheduler.leave(A, vec![job]);
        assert!(!scheduler.is_idle());
        scheduler.join(B);
        assert_eq!(scheduler.assign(), Some((B, 1)));
        assert_eq!(scheduler.take_waiting(), [2, 3]);
        scheduler.finish(B);
        assert!(scheduler.is_idle());
        assert_eq!(scheduler.workers(), 1);
    }
}
