//! Who works on what next, as plain data: no input or output, no clock. Whoever drives it passes
//! the time in, and does what it decides.
//!
//! ```text
//! submit ─▶ waiting ─▶ sent to a worker ─▶ running ─▶ ended
//!              ▲            │ worker dies      │ worker dies: fails
//!              └────────────┘                  ▼
//! ```
//! A job is in `jobs` from its submission until it has ended for its requester, once. A worker may
//! have to do with it for longer: what it was sent it must start and finish, wanted or not.
//!
//! When a batch fails as a whole, or its worker dies, its members go back to the queue once, and are
//! then run one by one: only one of them may be to blame.

mod pace;
pub(crate) mod worker;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use self::pace::Arrivals;
use self::worker::{AlarmChange, OutOfTurn, Remains, Worker, WorkerId};
use crate::job::id::JobId;
use crate::link::message::Batching;

/// Crashes of workers that were about to start a job, after which the job fails.
const CRASHES: u32 = 2;
/// The same for ends of any kind. Some programs exit after every request, so this is high: it only
/// stops what would go on for ever.
const LOSSES: u32 = 20;

/// The time limit of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Deadline {
    /// From the submission to the answer.
    pub(crate) total: Duration,
    /// Extra time for the worker to end the job by itself, once the model has worked on it for
    /// `total`.
    pub(crate) grace: Duration,
}

impl Deadline {
    /// The longest time that a worker may take for the job.
    fn with_grace(self) -> Duration {
        self.total + self.grace
    }
}

/// All jobs that have not ended, and the workers.
#[derive(Debug)]
pub(crate) struct Scheduler<J> {
    capacity: usize,
    prefetches: bool,
    jobs: BTreeMap<JobId, Entry<J>>,
    waiting: BTreeSet<JobId>,
    /// Those of them that are to be run by themselves.
    alone: BTreeSet<JobId>,
    workers: BTreeMap<WorkerId, Worker>,
    batching: Option<Batching>,
    arrivals: Arrivals,
    /// The size of the latest batch: as many may well come again.
    latest: usize,
    /// Requests that are being received.
    announced: usize,
    /// The rest of the batch that is being handed out.
    rest: Option<(WorkerId, usize)>,
    alarms: BTreeSet<(Instant, Alarm)>,
    /// Until when the jobs that wait are kept back for a fuller batch.
    lingering: Option<Instant>,
}

/// A job that has not ended, and what has become of it.
#[derive(Debug)]
pub(crate) struct Entry<J> {
    pub(crate) job: J,
    submitted: Instant,
    limit: Option<Deadline>,
    /// Workers that crashed when they were about to start it.
    crashes: u32,
    /// Workers that ended in any way when they were about to start it.
    losses: u32,
    /// The worker that has it.
    holder: Option<WorkerId>,
    company: Company,
}

/// The other jobs with which a job is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Company {
    /// It may be put into a batch with others.
    Any,
    /// It is in a batch with others.
    Others,
    /// None: it has failed with a batch.
    Nobody,
}

impl<J> Entry<J> {
    /// Returns whether the job's time is limited.
    pub(crate) fn is_limited(&self) -> bool {
        self.limit.is_some()
    }
}

/// Something that becomes due at a certain time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Alarm {
    /// The job's requester is told that it took too long.
    Deadline(JobId),
    /// The worker is ended if it still works on the job, or has not started it.
    Overdue(WorkerId, JobId),
    /// The worker has paused for long enough.
    Resume(WorkerId),
}

/// A job handed to a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Assignment {
    pub(crate) worker: WorkerId,
    pub(crate) id: JobId,
    /// Whether more jobs of the same batch follow.
    pub(crate) more: bool,
    /// The number of jobs in the batch that begins with this one.
    pub(crate) batch: Option<usize>,
}

/// The queue is full; the job comes back.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full<J>(pub(crate) J);

/// A job that ended before its worker, if any, was done with it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Dropped<J> {
    pub(crate) job: J,
    pub(crate) holder: Option<WorkerId>,
}

/// The jobs that end with a worker.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Lost<J> {
    /// It worked on them.
    pub(crate) begun: Vec<J>,
    /// Workers keep ending before they begin with them.
    pub(crate) unbegun: Vec<J>,
}

/// A deadline that has passed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Due<J> {
    /// A job is over its limit.
    Expired(JobId, Dropped<J>, Duration),
    /// A worker goes on with a job for longer than it may, or has not begun with it.
    Overdue(WorkerId),
}

impl<J> Scheduler<J> {
    /// A scheduler whose queue takes `capacity` jobs. It `prefetches` where all jobs are for one
    /// worker: with several, what lies ready at one would wait although another is free.
    pub(crate) fn new(capacity: usize, prefetches: bool) -> Self {
        Scheduler {
            capacity,
            prefetches,
            jobs: BTreeMap::new(),
            waiting: BTreeSet::new(),
            alone: BTreeSet::new(),
            workers: BTreeMap::new(),
            batching: None,
            arrivals: Arrivals::default(),
            latest: 0,
            announced: 0,
            rest: None,
            alarms: BTreeSet::new(),
            lingering: None,
        }
    }

    /// Sets how jobs are put together from now on.
    pub(crate) fn set_batching(&mut self, batching: Option<Batching>) {
        self.batching = batching;
    }

    /// A request has begun to arrive. Returns whether a batch may wait for it; then
    /// [`Scheduler::arrived`] must follow.
    pub(crate) fn announce(&mut self) -> bool {
        self.announced += usize::from(self.batching.is_some());
        self.batching.is_some()
    }

    /// An announced request has arrived, or never will.
    pub(crate) fn arrived(&mut self) {
        self.announced -= 1;
    }

    /// A new job goes to the end of the queue. Ids increase from job to job.
    pub(crate) fn submit(
        &mut self,
        id: JobId,
        job: J,
        limit: Option<Deadline>,
        now: Instant,
    ) -> Result<(), Full<J>> {
        if self.waiting.len() >= self.capacity {
            return Err(Full(job));
        }
        if self.batching.is_some() {
            self.arrivals.record(now);
        }
        if let Some(limit) = limit {
            self.alarms.insert((now + limit.total, Alarm::Deadline(id)));
        }
        let company = Company::Any;
        let entry =
            Entry { job, submitted: now, limit, crashes: 0, losses: 0, holder: None, company };
        self.jobs.insert(id, entry);
        self.waiting.insert(id);
        Ok(())
    }

    /// A worker is ready, for up to `quota` jobs. Where it `keeps_board` it tells of a job's start
    /// only if asked to, and otherwise by what it says of the job later.
    pub(crate) fn join(
        &mut self,
        worker: WorkerId,
        quota: Option<u64>,
        keeps_board: bool,
        now: Instant,
    ) {
        self.workers.insert(worker, Worker::new(quota, keeps_board, now));
    }

    /// Hands out the next job: the worker holds it from then on. When there is none,
    /// [`Scheduler::alarm`] says when there may be one without anything else happening.
    pub(crate) fn assign(&mut self, now: Instant) -> Option<Assignment> {
        let (worker, more, batch) = if let Some((worker, rest)) = self.rest.take() {
            (worker, rest - 1, None)
        } else {
            let (worker, more) = self.begin_batch(now)?;
            (worker, more, Some(more + 1))
        };
        let has_company = more > 0 || batch.is_none();
        if more > 0 {
            self.rest = Some((worker, more));
        }
        let id = self.waiting.pop_first()?;
        self.alone.remove(&id);
        let entry = self.jobs.get_mut(&id)?;
        entry.holder = Some(worker);
        if has_company {
            entry.company = Company::Others;
        }
        let state = self.workers.get_mut(&worker)?;
        state.send(id, more > 0, entry.limit.map(Deadline::with_grace));
        let next = state.arm_start_deadline(now);
        self.watch_start(worker, next);
        Some(Assignment { worker, id, more: more > 0, batch })
    }

    /// Chooses who is to get the next batch, and how many jobs follow the first one.
    fn begin_batch(&mut self, now: Instant) -> Option<(WorkerId, usize)> {
        self.lingering = None;
        let oldest = *self.waiting.first()?;
        let in_service = self.workers.iter().filter(|(_, worker)| worker.takes_jobs());
        // An idle worker is served first.
        let (&id, worker) = in_service.min_by_key(|(_, worker)| worker.batches())?;
        let is_alone = self.alone.contains(&oldest);
        let most = if is_alone { 1 } else { self.max_batch().min(worker.quota()) };
        let size = match self.alone.first() {
            Some(first) if !is_alone => self.waiting.range(..first).take(most).count(),
            _ => self.waiting.len().min(most),
        };
        if worker.batches() > 0 {
            // A batch that is not full yet can still grow until the worker is free.
            let is_only_one = self.prefetches && self.workers() == 1;
            let may_lie_ready = is_only_one && size == most && worker.may_prefetch(most);
            if !may_lie_ready {
                return None;
            }
        } else if size < most {
            self.lingering = self.fuller_batch(oldest, size).filter(|at| now < *at);
            if self.lingering.is_some() {
                return None;
            }
        }
        self.workers.get_mut(&id)?.begin_batch(now);
        if !is_alone {
            self.latest = size;
        }
        Some((id, size - 1))
    }

    /// Returns until when a batch that now has `size` jobs may wait for more; `None` where none are
    /// expected.
    fn fuller_batch(&self, oldest: JobId, size: usize) -> Option<Instant> {
        let max_wait = self.batching.as_ref()?.max_wait();
        if self.announced == 0 && size >= self.latest {
            return None;
        }
        let quiet = self.arrivals.quiet(self.announced, max_wait)?;
        Some(quiet.min(self.jobs.get(&oldest)?.submitted + max_wait))
    }

    /// The most jobs that a batch may have.
    fn max_batch(&self) -> usize {
        self.batching.as_ref().map_or(1, |batching| batching.max_size.max(1))
    }

    /// A worker has handed a job to the model. `None` when the job has ended meanwhile.
    pub(crate) fn start(
        &mut self,
        worker: WorkerId,
        id: JobId,
        now: Instant,
    ) -> Result<Option<&mut J>, OutOfTurn> {
        let change = self.worker(worker)?.start(id, now)?;
        self.set_alarm(Alarm::Overdue(worker, id), change);
        Ok(self.jobs.get_mut(&id).map(|entry| &mut entry.job))
    }

    /// A job that the worker works on; `None` when the job has ended meanwhile.
    pub(crate) fn running(
        &mut self,
        worker: WorkerId,
        id: JobId,
        now: Instant,
    ) -> Result<Option<&mut J>, OutOfTurn> {
        self.catch_up(worker, id, now)?;
        self.worker(worker)?.running().find(|running| *running == id).ok_or(OutOfTurn)?;
        Ok(self.jobs.get_mut(&id).map(|entry| &mut entry.job))
    }

    /// A job that has not ended.
    pub(crate) fn entry(&self, id: JobId) -> Option<&Entry<J>> {
        self.jobs.get(&id)
    }

    /// A worker speaks of a job whose start it need not have told: it has started it, and what it
    /// was sent before.
    fn catch_up(&mut self, worker: WorkerId, id: JobId, now: Instant) -> Result<(), OutOfTurn> {
        for _ in 0..self.worker(worker)?.untold(id) {
            let next = self.worker(worker)?.next().ok_or(OutOfTurn)?;
            self.start(worker, next, now)?;
        }
        Ok(())
    }

    /// All jobs that the worker works on and somebody waits for.
    pub(crate) fn all_running(&self, worker: WorkerId) -> impl Iterator<Item = (JobId, &J)> {
        let running = self.workers.get(&worker).into_iter().flat_map(Worker::running);
        running.filter_map(|id| self.jobs.get(&id).map(|entry| (id, &entry.job)))
    }

    /// The model is done with a job. `None` when the job has ended before.
    pub(crate) fn finish(
        &mut self,
        worker: WorkerId,
        id: JobId,
        now: Instant,
    ) -> Result<Option<J>, OutOfTurn> {
        self.let_go(worker, id, now)?;
        Ok(self.end(id).map(|entry| entry.job))
    }

    /// The batch that the job was in has failed as a whole. A job of several that `may_run_again`
    /// goes back to the head of the queue, to be run by itself. Any other ends and is returned;
    /// `None` also when it has ended before.
    pub(crate) fn fail_with_batch(
        &mut self,
        worker: WorkerId,
        id: JobId,
        now: Instant,
        may_run_again: impl FnOnce(&J) -> bool,
    ) -> Result<Option<J>, OutOfTurn> {
        self.let_go(worker, id, now)?;
        if self.run_alone(id, may_run_again) {
            return Ok(None);
        }
        Ok(self.end(id).map(|entry| entry.job))
    }

    /// The worker is done with a job.
    fn let_go(&mut self, worker: WorkerId, id: JobId, now: Instant) -> Result<(), OutOfTurn> {
        self.catch_up(worker, id, now)?;
        let state = self.worker(worker)?;
        let change = state.finish(id, now)?;
        let next = state.arm_start_deadline(now);
        self.set_alarm(Alarm::Overdue(worker, id), change);
        self.watch_start(worker, next);
        Ok(())
    }

    /// Puts a job that ended with its batch back into the queue, if that is due to it.
    fn run_alone(&mut self, id: JobId, may_run_again: impl FnOnce(&J) -> bool) -> bool {
        let Some(entry) = self.jobs.get_mut(&id) else { return false };
        if entry.company != Company::Others || !may_run_again(&entry.job) {
            return false;
        }
        entry.company = Company::Nobody;
        self.give_back(id);
        true
    }

    /// Puts a job that no worker has any more back into the queue.
    fn give_back(&mut self, id: JobId) {
        let Some(entry) = self.jobs.get_mut(&id) else { return };
        entry.holder = None;
        if entry.company == Company::Nobody {
            self.alone.insert(id);
        } else {
            entry.company = Company::Any;
        }
        self.waiting.insert(id);
    }

    /// A worker is to get no more jobs; what it holds it finishes.
    pub(crate) fn drain(&mut self, worker: WorkerId) {
        if let Some(state) = self.workers.get_mut(&worker) {
            state.drain();
        }
    }

    /// A worker wants no further jobs for now, or does again.
    pub(crate) fn pause(&mut self, worker: WorkerId, paused: bool, now: Instant) {
        let Some(state) = self.workers.get_mut(&worker) else { return };
        let change = if paused { state.pause(now) } else { state.resume() };
        self.set_alarm(Alarm::Resume(worker), change);
    }

    /// A worker is gone, which had started everything up to the job `last`, besides what it told
    /// of. What it had not started goes back to the head of the queue, but for a job at which
    /// workers keep ending, or have `crashed`, before they start it; so do the members of a batch
    /// that `may_run_again`. Returns the jobs that end.
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
        self.set_alarm(Alarm::Resume(worker), AlarmChange { before: state.paused(), after: None });
        for (id, overdue) in state.deadlines() {
            self.alarms.remove(&(overdue, Alarm::Overdue(worker, id)));
        }
        let Remains { begun, unbegun, suspect } = state.remains(last);
        for id in begun {
            if !self.run_alone(id, &may_run_again) {
                left.begun.extend(self.end(id).map(|entry| entry.job));
            }
        }
        for id in unbegun {
            let Some(entry) = self.jobs.get_mut(&id) else { continue };
            let is_suspect = suspect == Some(id);
            entry.losses += u32::from(is_suspect);
            entry.crashes += u32::from(is_suspect && crashed);
            if entry.crashes < CRASHES && entry.losses < LOSSES {
                self.give_back(id);
            } else {
                left.unbegun.extend(self.end(id).map(|entry| entry.job));
            }
        }
        left
    }

    /// Nobody waits for a job any more.
    pub(crate) fn cancel(&mut self, id: JobId) -> Option<Dropped<J>> {
        let Entry { job, holder, .. } = self.end(id)?;
        Some(Dropped { job, holder })
    }

    /// Returns what is due by now, one thing at a time.
    pub(crate) fn due(&mut self, now: Instant) -> Option<Due<J>> {
        loop {
            let (at, alarm) = *self.alarms.first()?;
            if at > now {
                return None;
            }
            self.alarms.pop_first();
            match alarm {
                Alarm::Overdue(worker, _) => return Some(Due::Overdue(worker)),
                // Whether it can go on shows when it has something to do.
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
    }

    /// Returns when [`Scheduler::due`] or [`Scheduler::assign`] is to be called next, if nothing
    /// else happens before.
    pub(crate) fn alarm(&self) -> Option<Instant> {
        let alarm = self.alarms.first().map(|(at, _)| *at);
        [alarm, self.lingering].into_iter().flatten().min()
    }

    /// Takes all waiting jobs out.
    pub(crate) fn take_waiting(&mut self) -> Vec<J> {
        self.rest = None;
        self.alone.clear();
        let waiting = std::mem::take(&mut self.waiting);
        waiting.into_iter().filter_map(|id| self.end(id)).map(|entry| entry.job).collect()
    }

    /// Returns whether every job has ended.
    pub(crate) fn is_idle(&self) -> bool {
        self.jobs.is_empty()
    }

    /// Returns whether the worker holds nothing.
    pub(crate) fn is_free(&self, worker: WorkerId) -> bool {
        self.workers.get(&worker).is_none_or(|state| state.batches() == 0)
    }

    /// Returns whether the worker holds nothing and gets nothing any more.
    pub(crate) fn is_done(&self, worker: WorkerId) -> bool {
        self.workers.get(&worker).is_some_and(|state| state.is_draining() && state.batches() == 0)
    }

    /// Jobs that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Returns how many jobs are to be started before this one; `None` when it is about to be, or
    /// has been.
    pub(crate) fn position(&self, id: JobId) -> Option<usize> {
        if let Some(holder) = self.jobs.get(&id)?.holder {
            return self.workers.get(&holder)?.position(id);
        }
        let sent: usize = self.workers.values().map(Worker::queued).sum();
        Some(self.waiting.range(..id).count() + sent)
    }

    /// Jobs that workers have.
    pub(crate) fn held(&self) -> usize {
        self.jobs.len() - self.waiting.len()
    }

    /// Estimates how long the jobs that wait will take the workers, by what the latest ones took.
    /// Zero as long as nothing has been measured.
    pub(crate) fn time_to_drain(&self) -> Duration {
        let batches = self.waiting.len().div_ceil(self.max_batch());
        let batches = u32::try_from(batches).unwrap_or(u32::MAX);
        let in_service = self.workers.values().filter(|worker| !worker.is_draining());
        let times: Vec<Duration> = in_service.filter_map(Worker::usual_time).collect();
        let workers = u32::try_from(times.len().max(1)).unwrap_or(u32::MAX);
        let usual = times.iter().sum::<Duration>() / workers;
        usual.saturating_mul(batches) / workers
    }

    /// Workers that get jobs.
    pub(crate) fn workers(&self) -> usize {
        self.workers.values().filter(|worker| !worker.is_draining()).count()
    }

    fn worker(&mut self, worker: WorkerId) -> Result<&mut Worker, OutOfTurn> {
        self.workers.get_mut(&worker).ok_or(OutOfTurn)
    }

    fn set_alarm(&mut self, alarm: Alarm, change: AlarmChange) {
        if let Some(before) = change.before {
            self.alarms.remove(&(before, alarm));
        }
        if let Some(after) = change.after {
            self.alarms.insert((after, alarm));
        }
    }

    /// Sets the alarm for the job that a worker is to start next.
    fn watch_start(&mut self, worker: WorkerId, next: Option<(JobId, Instant)>) {
        if let Some((id, overdue)) = next {
            self.alarms.insert((overdue, Alarm::Overdue(worker, id)));
        }
    }

    fn end(&mut self, id: JobId) -> Option<Entry<J>> {
        let entry = self.jobs.remove(&id)?;
        if entry.holder.is_none() {
            self.waiting.remove(&id);
            self.alone.remove(&id);
        }
        if let Some(limit) = entry.limit {
            self.alarms.remove(&(entry.submitted + limit.total, Alarm::Deadline(id)));
        }
        Some(entry)
    }
}

#[cfg(test)]
mod state_machine;
#[cfg(test)]
mod tests;
