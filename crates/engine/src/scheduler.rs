//! The scheduler: it decides which worker gets which job. It is plain data, without input, output
//! or a clock. Its owner passes the time in, and carries out its decisions.
//!
//! ```text
//! submit ─▶ waiting ─▶ sent to a worker ─▶ running ─▶ ended
//!              ▲            │ worker dies      │ worker dies: fails
//!              └────────────┘                  ▼
//! ```
//! A job is in `jobs` from its submission until it has ended for its requester, which happens once.
//! A worker may hold a job for longer: it must start and finish every job that it was sent, even
//! one that was cancelled.
//!
//! If a batch fails as a whole, or a worker dies that runs several jobs, these go back into the queue
//! once. Each of them is then run alone, because only one of them may be the cause.

mod alarms;
mod batch_policy;
pub(crate) mod entry;
mod pace;
pub(crate) mod worker;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use self::alarms::{Alarm, Alarms};
use self::batch_policy::BatchPolicy;
use self::entry::{Company, Deadline, Entry};
use self::worker::{AlarmChange, Capacity, OutOfTurn, Remains, Worker, WorkerId};
use crate::job::id::JobId;
use crate::link::message::Batching;

/// All jobs that have not ended, and the workers.
#[derive(Debug)]
pub(crate) struct Scheduler<J> {
    /// The maximum number of jobs that wait.
    capacity: usize,
    /// True if a busy worker may be sent jobs in advance.
    prefetches: bool,
    jobs: BTreeMap<JobId, Entry<J>>,
    /// The jobs that wait, besides those in `alone`.
    waiting: BTreeSet<JobId>,
    /// The jobs that wait to be run alone. They come before the others.
    alone: BTreeSet<JobId>,
    workers: BTreeMap<WorkerId, Worker>,
    batches: BatchPolicy,
    /// The worker that is being handed a batch, and the number of jobs that it still lacks.
    rest: Option<(WorkerId, usize)>,
    alarms: Alarms,
    /// The time until which the waiting jobs are held back for a larger batch.
    lingering: Option<Instant>,
}

/// A job that is handed to a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Assignment {
    pub(crate) worker: WorkerId,
    pub(crate) id: JobId,
    /// True if more jobs of the same batch follow.
    pub(crate) more: bool,
    /// The size of the batch, if this job is its first one.
    pub(crate) batch: Option<usize>,
}

/// The queue is full. The job is returned.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full<J>(pub(crate) J);

/// A job that was cancelled or has reached its deadline, with the worker that still holds it, if
/// any.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Dropped<J> {
    pub(crate) job: J,
    pub(crate) holder: Option<WorkerId>,
}

/// The jobs that end because their worker is lost.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Lost<J> {
    /// The jobs that the worker had started.
    pub(crate) begun: Vec<J>,
    /// The jobs that fail because too many workers ended when they were about to start them.
    pub(crate) unbegun: Vec<J>,
}

/// A deadline that has passed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Due<J> {
    /// A job has reached its deadline, after the time that was allowed.
    Expired(JobId, Dropped<J>, Duration),
    /// A worker has taken too long to finish or to start a job.
    Overdue(WorkerId),
}

impl<J> Scheduler<J> {
    /// Makes a scheduler in which up to `capacity` jobs may wait. It must not prefetch for several
    /// workers: a job that was sent to a busy one would wait although another is free.
    pub(crate) fn new(capacity: usize, prefetches: bool) -> Self {
        Scheduler {
            capacity,
            prefetches,
            jobs: BTreeMap::new(),
            waiting: BTreeSet::new(),
            alone: BTreeSet::new(),
            workers: BTreeMap::new(),
            batches: BatchPolicy::default(),
            rest: None,
            alarms: Alarms::default(),
            lingering: None,
        }
    }

    /// Sets the rules of batches from now on.
    pub(crate) fn set_batching(&mut self, batching: Option<Batching>) {
        self.batches.set(batching);
    }

    /// Announces a request that is being received. Returns true if a batch may wait for it; then
    /// [`Scheduler::arrived`] must follow.
    pub(crate) fn announce(&mut self) -> bool {
        self.batches.announce()
    }

    /// Ends the announcement of a request that was received or given up.
    pub(crate) fn arrived(&mut self) {
        self.batches.arrived();
    }

    /// Adds a job to the end of the queue. Its id must be greater than those before.
    pub(crate) fn submit(
        &mut self,
        id: JobId,
        job: J,
        limit: Option<Deadline>,
        now: Instant,
    ) -> Result<(), Full<J>> {
        if self.waiting() >= self.capacity {
            return Err(Full(job));
        }
        self.batches.submitted(now);
        if let Some(limit) = limit {
            self.alarms.set(now + limit.total, Alarm::Deadline(id));
        }
        self.jobs.insert(id, Entry::new(job, now, limit));
        self.waiting.insert(id);
        Ok(())
    }

    /// Adds a worker that is ready.
    pub(crate) fn join(&mut self, worker: WorkerId, capacity: Capacity) {
        self.workers.insert(worker, Worker::new(capacity));
    }

    /// Hands out the next job, which the worker then holds. If there is none, [`Scheduler::alarm`]
    /// returns the time at which there may be one, even if nothing else happens.
    pub(crate) fn assign(&mut self, now: Instant) -> Option<Assignment> {
        if let Some((worker, rest)) = self.rest.take() {
            let id = self.waiting.pop_first()?;
            self.rest = Some((worker, rest - 1)).filter(|(_, rest)| *rest > 0);
            return self.hand_out(Assignment { worker, id, more: rest > 1, batch: None }, now);
        }
        self.lingering = None;
        let (worker, id, size) = match self.begin_alone() {
            Some((worker, id)) => (worker, id, 1),
            None => self.begin_batch(now)?,
        };
        let is_exclusive = self.jobs.get(&id)?.company == Company::Nobody;
        self.workers.get_mut(&worker)?.begin_batch(size, is_exclusive, now);
        self.rest = Some((worker, size - 1)).filter(|(_, rest)| *rest > 0);
        self.hand_out(Assignment { worker, id, more: size > 1, batch: Some(size) }, now)
    }

    /// Records that the worker of an assignment holds its job.
    fn hand_out(&mut self, assignment: Assignment, now: Instant) -> Option<Assignment> {
        let Assignment { worker, id, more, batch } = assignment;
        let entry = self.jobs.get_mut(&id)?;
        entry.holder = Some(worker);
        if more || batch.is_none() {
            entry.company = Company::Others;
        }
        let state = self.workers.get_mut(&worker)?;
        state.send(id, more, entry.limit.map(Deadline::with_grace));
        self.arm_start_deadline(worker, now);
        Some(assignment)
    }

    /// Chooses the worker that gets the next job that must be run alone, and takes the job out of
    /// the queue. Such a job waits for a worker that runs nothing else.
    fn begin_alone(&mut self) -> Option<(WorkerId, JobId)> {
        let id = *self.alone.first()?;
        let worker = self.reserved()?;
        let state = self.workers.get(&worker)?;
        let may_begin = match state.batches() {
            0 => true,
            _ => state.concurrency() == 1 && self.may_prefetch(state, 1),
        };
        if !may_begin {
            return None;
        }
        self.alone.remove(&id);
        Some((worker, id))
    }

    /// Returns the worker that gets the next job that must be run alone, if there is one. Until
    /// then the worker gets no other job.
    fn reserved(&self) -> Option<WorkerId> {
        self.alone.first()?;
        let in_service = self.workers.iter().filter(|(_, worker)| worker.takes_jobs());
        in_service.min_by_key(|(_, worker)| worker.batches()).map(|(id, _)| *id)
    }

    /// Chooses the worker that gets the next batch, and takes its first job out of the queue.
    /// Returns both with the size of the batch.
    fn begin_batch(&mut self, now: Instant) -> Option<(WorkerId, JobId, usize)> {
        let oldest = *self.waiting.first()?;
        let reserved = self.reserved();
        let in_service = self
            .workers
            .iter()
            .filter(|(id, worker)| worker.takes_jobs() && Some(**id) != reserved);
        // Of the workers with room, the one with the fewest jobs is served first.
        let (&id, worker) =
            in_service.min_by_key(|(_, worker)| (!worker.has_room(), worker.batches()))?;
        let most = self.batches.max_size().min(worker.quota());
        let size = self.waiting.len().min(most);
        if !worker.has_room() {
            // A batch that is not full stays in the queue, where it can grow until the worker is
            // free.
            if size < most || !self.may_prefetch(worker, most) {
                return None;
            }
        } else if size < most {
            let submitted = self.jobs.get(&oldest)?.submitted;
            self.lingering = self.batches.wait_until(size, submitted).filter(|at| now < *at);
            if self.lingering.is_some() {
                return None;
            }
        }
        self.waiting.remove(&oldest);
        self.batches.handed_out(size);
        Some((id, oldest, size))
    }

    /// Returns true if a worker without room may be sent a batch of up to `most` jobs in advance.
    fn may_prefetch(&self, worker: &Worker, most: usize) -> bool {
        self.prefetches && self.workers() == 1 && worker.may_prefetch(most)
    }

    /// Records that a worker has handed a job to the model. Returns `None` if the job has ended
    /// meanwhile.
    pub(crate) fn start(
        &mut self,
        worker: WorkerId,
        id: JobId,
        now: Instant,
    ) -> Result<Option<&mut J>, OutOfTurn> {
        let change = self.worker(worker)?.start(id, now)?;
        self.alarms.change(Alarm::Overdue(worker, id), change);
        self.arm_start_deadline(worker, now);
        Ok(self.jobs.get_mut(&id).map(|entry| &mut entry.job))
    }

    /// Returns a job that the worker runs; `None` if the job has ended meanwhile.
    pub(crate) fn running(
        &mut self,
        worker: WorkerId,
        id: JobId,
        now: Instant,
    ) -> Result<Option<&mut J>, OutOfTurn> {
        self.infer_starts(worker, id, now)?;
        self.worker(worker)?.running().find(|running| *running == id).ok_or(OutOfTurn)?;
        Ok(self.jobs.get_mut(&id).map(|entry| &mut entry.job))
    }

    /// Returns a job that has not ended.
    pub(crate) fn entry(&self, id: JobId) -> Option<&Entry<J>> {
        self.jobs.get(&id)
    }

    /// Records the start of a job about which a worker sends a message, and of the jobs before it,
    /// if the worker need not report starts.
    fn infer_starts(&mut self, worker: WorkerId, id: JobId, now: Instant) -> Result<(), OutOfTurn> {
        for _ in 0..self.worker(worker)?.unreported_starts(id) {
            let next = self.worker(worker)?.next().ok_or(OutOfTurn)?;
            self.start(worker, next, now)?;
        }
        Ok(())
    }

    /// Returns all jobs that the worker runs and that have not ended.
    pub(crate) fn all_running(&self, worker: WorkerId) -> impl Iterator<Item = (JobId, &J)> {
        let running = self.workers.get(&worker).into_iter().flat_map(Worker::running);
        running.filter_map(|id| self.jobs.get(&id).map(|entry| (id, &entry.job)))
    }

    /// Ends a job that the model has finished. Returns `None` if the job has ended before.
    pub(crate) fn finish(
        &mut self,
        worker: WorkerId,
        id: JobId,
        now: Instant,
    ) -> Result<Option<J>, OutOfTurn> {
        self.release(worker, id, now)?;
        Ok(self.end(id).map(|entry| entry.job))
    }

    /// Ends a job whose batch has failed as a whole, and returns it. If it was in a batch with
    /// others and `may_run_again`, it goes back to the head of the queue instead, to be run alone.
    /// Returns `None` for such a job, and for one that has ended before.
    pub(crate) fn fail_with_batch(
        &mut self,
        worker: WorkerId,
        id: JobId,
        now: Instant,
        may_run_again: impl FnOnce(&J) -> bool,
    ) -> Result<Option<J>, OutOfTurn> {
        self.release(worker, id, now)?;
        if self.retry_alone(id, may_run_again) {
            return Ok(None);
        }
        Ok(self.end(id).map(|entry| entry.job))
    }

    /// Records that the worker has finished a job.
    fn release(&mut self, worker: WorkerId, id: JobId, now: Instant) -> Result<(), OutOfTurn> {
        self.infer_starts(worker, id, now)?;
        let change = self.worker(worker)?.finish(id, now)?;
        self.alarms.change(Alarm::Overdue(worker, id), change);
        self.arm_start_deadline(worker, now);
        Ok(())
    }

    /// Puts a job that ended together with others back into the queue, to be run alone. Returns
    /// false if that is not allowed.
    fn retry_alone(&mut self, id: JobId, may_run_again: impl FnOnce(&J) -> bool) -> bool {
        let Some(entry) = self.jobs.get_mut(&id) else { return false };
        if entry.company != Company::Others || !may_run_again(&entry.job) {
            return false;
        }
        entry.company = Company::Nobody;
        self.requeue(id);
        true
    }

    /// Puts a job that no worker holds any more back into the queue.
    fn requeue(&mut self, id: JobId) {
        let Some(entry) = self.jobs.get_mut(&id) else { return };
        entry.holder = None;
        if entry.company == Company::Nobody {
            self.alone.insert(id);
        } else {
            entry.company = Company::Any;
            self.waiting.insert(id);
        }
    }

    /// Gives a worker no more jobs. It finishes those that it holds.
    pub(crate) fn drain(&mut self, worker: WorkerId) {
        if let Some(state) = self.workers.get_mut(&worker) {
            state.drain();
        }
    }

    /// Pauses or resumes handing out jobs to a worker.
    pub(crate) fn pause(&mut self, worker: WorkerId, paused: bool, now: Instant) {
        let Some(state) = self.workers.get_mut(&worker) else { return };
        let change = if paused { state.pause(now) } else { state.resume() };
        self.alarms.change(Alarm::Resume(worker), change);
    }

    /// Removes a worker that is lost and had started every job up to `last`, besides those whose
    /// start it reported. Jobs that it had not started go back to the head of the queue. But a job
    /// fails if too many workers ended when they were about to start it; `crashed` says how this
    /// worker ended. Started jobs of a batch go back too if they `may_run_again`. Returns the jobs
    /// that end.
    pub(crate) fn worker_lost(
        &mut self,
        worker: WorkerId,
        last: Option<JobId>,
        crashed: bool,
        may_run_again: impl Fn(&J) -> bool,
    ) -> Lost<J> {
        let mut left = Lost { begun: Vec::new(), unbegun: Vec::new() };
        let Some(state) = self.workers.remove(&worker) else { return left };
        self.rest.take_if(|(holder, _)| *holder == worker);
        let change = AlarmChange { before: state.paused(), after: None };
        self.alarms.change(Alarm::Resume(worker), change);
        for (id, overdue) in state.deadlines() {
            self.alarms.clear(overdue, Alarm::Overdue(worker, id));
        }
        let Remains { begun, had_company, unbegun, suspect } = state.remains(last);
        for id in begun {
            if had_company && let Some(entry) = self.jobs.get_mut(&id) {
                entry.join_company();
            }
            if !self.retry_alone(id, &may_run_again) {
                left.begun.extend(self.end(id).map(|entry| entry.job));
            }
        }
        for id in unbegun {
            let Some(entry) = self.jobs.get_mut(&id) else { continue };
            if suspect == Some(id) {
                entry.record_loss(crashed);
            }
            if entry.is_hopeless() {
                left.unbegun.extend(self.end(id).map(|entry| entry.job));
            } else {
                self.requeue(id);
            }
        }
        left
    }

    /// Ends a job for which nobody waits any more.
    pub(crate) fn cancel(&mut self, id: JobId) -> Option<Dropped<J>> {
        let Entry { job, holder, .. } = self.end(id)?;
        Some(Dropped { job, holder })
    }

    /// Returns the next deadline that has passed. Must be called again until it returns `None`.
    pub(crate) fn due(&mut self, now: Instant) -> Option<Due<J>> {
        while let Some(alarm) = self.alarms.take_due(now) {
            match alarm {
                Alarm::Overdue(worker, _) => return Some(Due::Overdue(worker)),
                // If the worker hangs, it does not start its next job in time, and is killed.
                Alarm::Resume(worker) => {
                    if let Some(state) = self.workers.get_mut(&worker) {
                        state.resume();
                    }
                }
                Alarm::Deadline(id) => {
                    if let Some(Entry { job, holder, limit, .. }) = self.end(id) {
                        let total = limit.map(|limit| limit.total).unwrap_or_default();
                        return Some(Due::Expired(id, Dropped { job, holder }, total));
                    }
                }
            }
        }
        None
    }

    /// Returns the time at which [`Scheduler::due`] and [`Scheduler::assign`] must be called next,
    /// if nothing else happens before.
    pub(crate) fn alarm(&self) -> Option<Instant> {
        [self.alarms.first(), self.lingering].into_iter().flatten().min()
    }

    /// Ends all waiting jobs, and returns them.
    pub(crate) fn take_waiting(&mut self) -> Vec<J> {
        self.rest = None;
        let mut waiting = std::mem::take(&mut self.alone);
        waiting.append(&mut self.waiting);
        waiting.into_iter().filter_map(|id| self.end(id)).map(|entry| entry.job).collect()
    }

    /// Returns true if every job has ended.
    pub(crate) fn is_idle(&self) -> bool {
        self.jobs.is_empty()
    }

    /// Returns true if the worker holds no job.
    pub(crate) fn is_free(&self, worker: WorkerId) -> bool {
        self.workers.get(&worker).is_none_or(|state| state.batches() == 0)
    }

    /// Returns true if the worker holds no job and gets no more.
    pub(crate) fn is_done(&self, worker: WorkerId) -> bool {
        self.workers.get(&worker).is_some_and(|state| state.is_draining() && state.batches() == 0)
    }

    /// Returns the number of jobs that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len() + self.alone.len()
    }

    /// Returns the number of jobs that will be started before this one; `None` if it is being
    /// started, or has been.
    pub(crate) fn position(&self, id: JobId) -> Option<usize> {
        if let Some(holder) = self.jobs.get(&id)?.holder {
            return self.workers.get(&holder)?.position(id);
        }
        let sent: usize = self.workers.values().map(Worker::queued).sum();
        let alone = self.alone.range(..id).count();
        if self.alone.contains(&id) {
            return Some(alone + sent);
        }
        Some(self.waiting.range(..id).count() + self.alone.len() + sent)
    }

    /// Returns the number of jobs that workers hold.
    pub(crate) fn held(&self) -> usize {
        self.jobs.len() - self.waiting()
    }

    /// Returns the number of jobs that a worker holds.
    pub(crate) fn held_by(&self, worker: WorkerId) -> usize {
        self.workers.get(&worker).map_or(0, Worker::held)
    }

    /// Estimates the time until the waiting jobs are done, from the time that recent batches took.
    /// Returns zero as long as nothing has been measured.
    pub(crate) fn time_to_drain(&self) -> Duration {
        let batches = self.waiting.len().div_ceil(self.batches.max_size()) + self.alone.len();
        let batches = u32::try_from(batches).unwrap_or(u32::MAX);
        let in_service = self.workers.values().filter(|worker| !worker.is_draining());
        let measured = in_service.filter_map(|worker| Some((worker, worker.usual_time()?)));
        let (mut places, mut time) = (0, Duration::ZERO);
        for (worker, usual) in measured {
            let concurrency = u32::try_from(worker.concurrency()).unwrap_or(u32::MAX);
            places += concurrency;
            time += usual.saturating_mul(concurrency);
        }
        let places = places.max(1);
        (time / places).saturating_mul(batches) / places
    }

    /// Returns the number of workers that get jobs.
    pub(crate) fn workers(&self) -> usize {
        self.workers.values().filter(|worker| !worker.is_draining()).count()
    }

    /// Returns the number of jobs that the workers run at the same time.
    pub(crate) fn places(&self) -> usize {
        let in_service = self.workers.values().filter(|worker| !worker.is_draining());
        let batches: usize = in_service.map(Worker::concurrency).sum();
        batches * self.batches.max_size()
    }

    fn worker(&mut self, worker: WorkerId) -> Result<&mut Worker, OutOfTurn> {
        self.workers.get_mut(&worker).ok_or(OutOfTurn)
    }

    /// Sets the alarm for the job that a worker must start next, if it can start it at once.
    fn arm_start_deadline(&mut self, worker: WorkerId, now: Instant) {
        let next = self.workers.get_mut(&worker).and_then(|state| state.arm_start_deadline(now));
        if let Some((id, overdue)) = next {
            self.alarms.set(overdue, Alarm::Overdue(worker, id));
        }
    }

    /// Removes a job.
    fn end(&mut self, id: JobId) -> Option<Entry<J>> {
        let entry = self.jobs.remove(&id)?;
        if entry.holder.is_none() {
            let _ = self.waiting.remove(&id) || self.alone.remove(&id);
        }
        if let Some(limit) = entry.limit {
            self.alarms.clear(entry.submitted + limit.total, Alarm::Deadline(id));
        }
        Some(entry)
    }
}

#[cfg(test)]
mod state_machine;
#[cfg(test)]
mod tests;
