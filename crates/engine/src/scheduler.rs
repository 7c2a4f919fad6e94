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

mod pace;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use self::pace::{Arrivals, ServiceTime};
use crate::job::id::JobId;
use crate::link::message::Batching;

/// Identifies one life of one worker; a restarted worker has another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct WorkerId(pub(crate) u64);

/// Workers that may crash before they begin a job that they were sent; then the job is to blame.
const CRASHES: u32 = 2;
/// Workers that may end in any other way, as programs do that serve one request; that goes on for
/// ever only where something is wrong.
const LOSSES: u32 = 20;
/// Work that may lie ready in the socket of the only worker, so that it never runs dry while the
/// engine is busy. Everything beyond waits in the queue, where a request can still be given up.
const PREFETCHED: Duration = Duration::from_millis(1);
/// How long a worker may be about to end.
const PAUSE: Duration = Duration::from_secs(5);
/// The most jobs that a worker may hold.
const DEEPEST: u32 = 16;
/// The same for one full batch: there is more to hand over, and less to gain by waiting.
const PREFETCHED_BATCH: Duration = Duration::from_millis(50);

/// How long a job may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Deadline {
    /// From the submission to the answer.
    pub(crate) total: Duration,
    /// What a worker gets, once the model has worked on the job for `total`, to end it by itself.
    pub(crate) grace: Duration,
}

/// All jobs that have not ended, and the workers.
#[derive(Debug)]
pub(crate) struct Scheduler<J> {
    capacity: usize,
    prefetches: bool,
    jobs: BTreeMap<JobId, Entry<J>>,
    waiting: BTreeSet<JobId>,
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

#[derive(Debug)]
struct Entry<J> {
    job: J,
    submitted: Instant,
    limit: Option<Deadline>,
    /// Workers that crashed, and that ended at all, when they were to begin it.
    crashes: u32,
    losses: u32,
    /// The worker that has it.
    holder: Option<WorkerId>,
}

/// What is to be looked after at a certain time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Alarm {
    /// The job's requester is told that it took too long.
    Deadline(JobId),
    /// The worker is ended if it still works on the job, or has not started it.
    Overdue(WorkerId, JobId),
    /// The worker has paused for long enough.
    Resume(WorkerId),
}

/// What one worker holds.
#[derive(Debug)]
struct Worker {
    /// Sent and not started, oldest first.
    sent: VecDeque<Sent>,
    running: Vec<Running>,
    /// Whether more members of the running batch are to be started.
    is_open: bool,
    /// Batches that are held; a job by itself is a batch of one.
    batches: u32,
    /// Whether it gets no more jobs.
    drains: bool,
    /// Until when it gets none: it may be about to end.
    paused: Option<Instant>,
    keeps_board: bool,
    /// Jobs that it may still be sent.
    quota: Option<u64>,
    service: ServiceTime,
    /// Since when it has worked on its oldest batch.
    since: Instant,
}

#[derive(Clone, Copy, Debug)]
struct Sent {
    id: JobId,
    /// Whether the next one belongs to the same batch.
    more: bool,
    limit: Option<Deadline>,
    /// Until when the worker is to have started it, once it is its turn.
    overdue: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Running {
    id: JobId,
    overdue: Option<Instant>,
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

/// A worker named a job that is not its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OutOfTurn;

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

/// What time has brought.
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

    /// How jobs are put together from now on.
    pub(crate) fn set_batching(&mut self, batching: Option<Batching>) {
        self.batching = batching;
    }

    /// A request has begun to arrive. Whether a batch may wait for it; then
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
        let entry = Entry { job, submitted: now, limit, crashes: 0, losses: 0, holder: None };
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
        let state = Worker {
            sent: VecDeque::new(),
            running: Vec::new(),
            is_open: false,
            batches: 0,
            drains: false,
            paused: None,
            keeps_board,
            quota,
            service: ServiceTime::default(),
            since: now,
        };
        self.workers.insert(worker, state);
    }

    /// The next job to be handed out, and to whom. The worker holds it from then on. When there
    /// is none, [`Scheduler::alarm`] says when there may be one without anything else happening.
    pub(crate) fn assign(&mut self, now: Instant) -> Option<Assignment> {
        let (worker, more, batch) = if let Some((worker, rest)) = self.rest.take() {
            (worker, rest - 1, None)
        } else {
            let (worker, more) = self.begin_batch(now)?;
            (worker, more, Some(more + 1))
        };
        if more > 0 {
            self.rest = Some((worker, more));
        }
        let id = self.waiting.pop_first()?;
        let entry = self.jobs.get_mut(&id)?;
        entry.holder = Some(worker);
        let state = self.workers.get_mut(&worker)?;
        state.sent.push_back(Sent { id, more: more > 0, limit: entry.limit, overdue: None });
        if let Some(quota) = &mut state.quota {
            *quota -= 1;
            state.drains |= *quota == 0;
        }
        self.arm_start_deadline(worker, now);
        Some(Assignment { worker, id, more: more > 0, batch })
    }

    /// Chooses who is to get the next batch, and how many jobs follow the first one.
    fn begin_batch(&mut self, now: Instant) -> Option<(WorkerId, usize)> {
        self.lingering = None;
        let oldest = *self.waiting.first()?;
        let may_prefetch = self.prefetches && self.workers() == 1;
        // An idle worker is served first.
        let in_service =
            self.workers.iter_mut().filter(|(_, worker)| !worker.drains && worker.paused.is_none());
        let (id, worker) = in_service.min_by_key(|(_, worker)| worker.batches)?;
        let most = self.batching.as_ref().map_or(1, |batching| batching.max_size.max(1));
        let most = most.min(
            worker.quota.map_or(usize::MAX, |quota| usize::try_from(quota).unwrap_or(usize::MAX)),
        );
        let size = self.waiting.len().min(most);
        if worker.batches > 0 {
            // A batch that is not full yet can still grow until the worker is free.
            let depth = worker.service.depth(PREFETCHED, DEEPEST);
            let depth = depth.max(worker.service.depth(PREFETCHED_BATCH, u32::from(most > 1) + 1));
            let may_lie_ready = may_prefetch && size == most && worker.batches < depth;
            if !may_lie_ready {
                return None;
            }
        } else {
            if size < most
                && let Some(batching) = &self.batching
            {
                let patience = self.jobs.get(&oldest)?.submitted + batching.max_wait();
                let quiet = if self.announced > 0 || size < self.latest {
                    self.arrivals.quiet(self.announced, batching.max_wait())
                } else {
                    None
                };
                self.lingering = quiet.map(|quiet| quiet.min(patience)).filter(|at| now < *at);
                if self.lingering.is_some() {
                    return None;
                }
            }
            worker.since = now;
        }
        worker.batches += 1;
        self.latest = size;
        Some((*id, size - 1))
    }

    /// A worker has handed a job to the model. `None` when the job has ended meanwhile.
    pub(crate) fn start(
        &mut self,
        worker: WorkerId,
        id: JobId,
        now: Instant,
    ) -> Result<Option<&mut J>, OutOfTurn> {
        let state = self.workers.get_mut(&worker).ok_or(OutOfTurn)?;
        let may_start = state.is_open || state.running.is_empty();
        let sent = state.sent.pop_front_if(|sent| may_start && sent.id == id).ok_or(OutOfTurn)?;
        state.is_open = sent.more;
        if let Some(overdue) = sent.overdue {
            self.alarms.remove(&(overdue, Alarm::Overdue(worker, id)));
        }
        let overdue = sent.limit.map(|limit| now + limit.total + limit.grace);
        if let Some(overdue) = overdue {
            self.alarms.insert((overdue, Alarm::Overdue(worker, id)));
        }
        state.running.push(Running { id, overdue });
        Ok(self.jobs.get_mut(&id).map(|entry| &mut entry.job))
    }

    /// A worker is to start the job whose turn it is, and gets as long for that as for the job: one
    /// that does not come back from what it does between jobs is as lost as one that never ends one.
    fn arm_start_deadline(&mut self, worker: WorkerId, now: Instant) {
        let Some(state) = self.workers.get_mut(&worker) else { return };
        let next = state.sent.front_mut().filter(|_| state.running.is_empty());
        if let Some(Sent { id, limit: Some(limit), overdue: overdue @ None, .. }) = next {
            let at = now + limit.total + limit.grace;
            *overdue = Some(at);
            self.alarms.insert((at, Alarm::Overdue(worker, *id)));
        }
    }

    /// A job that the worker works on. `None` when the job has ended meanwhile.
    pub(crate) fn running(
        &mut self,
        worker: WorkerId,
        id: JobId,
        now: Instant,
    ) -> Result<Option<&mut J>, OutOfTurn> {
        self.catch_up(worker, id, now)?;
        let state = self.workers.get(&worker).ok_or(OutOfTurn)?;
        state.running.iter().find(|running| running.id == id).ok_or(OutOfTurn)?;
        Ok(self.jobs.get_mut(&id).map(|entry| &mut entry.job))
    }

    /// A job that has not ended.
    ///
    /// And whether its time is limited.
    pub(crate) fn job(&self, id: JobId) -> Option<(&J, bool)> {
        self.jobs.get(&id).map(|entry| (&entry.job, entry.limit.is_some()))
    }

    /// A worker speaks of a job whose start it need not have told: it has started it, and what it
    /// was sent before.
    fn catch_up(&mut self, worker: WorkerId, id: JobId, now: Instant) -> Result<(), OutOfTurn> {
        let state = self.workers.get(&worker).ok_or(OutOfTurn)?;
        let untold = if state.keeps_board { started(&state.sent, id) } else { 0 };
        for _ in 0..untold {
            let state = self.workers.get(&worker).ok_or(OutOfTurn)?;
            let next = state.sent.front().ok_or(OutOfTurn)?.id;
            self.start(worker, next, now)?;
        }
        Ok(())
    }

    /// All jobs that the worker works on and somebody waits for.
    pub(crate) fn all_running(&self, worker: WorkerId) -> impl Iterator<Item = (JobId, &J)> {
        let running = self.workers.get(&worker).map_or(&[][..], |state| &state.running);
        running
            .iter()
            .filter_map(|running| self.jobs.get(&running.id).map(|entry| (running.id, &entry.job)))
    }

    /// The model is done with a job. `None` when the job has ended before.
    pub(crate) fn finish(
        &mut self,
        worker: WorkerId,
        id: JobId,
        now: Instant,
    ) -> Result<Option<J>, OutOfTurn> {
        self.catch_up(worker, id, now)?;
        let state = self.workers.get_mut(&worker).ok_or(OutOfTurn)?;
        let place = state.running.iter().position(|running| running.id == id).ok_or(OutOfTurn)?;
        let running = state.running.swap_remove(place);
        if state.running.is_empty() && !state.is_open {
            state.batches -= 1;
            state.service.record(now - state.since);
            state.since = now;
        }
        if let Some(overdue) = running.overdue {
            self.alarms.remove(&(overdue, Alarm::Overdue(worker, id)));
        }
        self.arm_start_deadline(worker, now);
        Ok(self.end(id).map(|entry| entry.job))
    }

    /// A worker is to get no more jobs; what it holds it finishes.
    pub(crate) fn drain(&mut self, worker: WorkerId) {
        if let Some(state) = self.workers.get_mut(&worker) {
            state.drains = true;
        }
    }

    /// A worker wants no further jobs for now, or does again.
    pub(crate) fn pause(&mut self, worker: WorkerId, paused: bool, now: Instant) {
        let Some(state) = self.workers.get_mut(&worker) else { return };
        let until = paused.then_some(now + PAUSE);
        if let Some(before) = std::mem::replace(&mut state.paused, until) {
            self.alarms.remove(&(before, Alarm::Resume(worker)));
        }
        if let Some(until) = until {
            self.alarms.insert((until, Alarm::Resume(worker)));
        }
    }

    /// A worker is gone, which had started everything up to the job `last`, and what it told of;
    /// and whether it `crashed`. What it had not started goes back to the head of the queue; answers
    /// with what it had, and with what workers keep ending at before they start it.
    pub(crate) fn worker_lost(
        &mut self,
        worker: WorkerId,
        last: Option<JobId>,
        crashed: bool,
    ) -> Lost<J> {
        let mut left = Lost { begun: Vec::new(), unbegun: Vec::new() };
        let Some(state) = self.workers.remove(&worker) else { return left };
        self.rest.take_if(|(holder, _)| *holder == worker);
        let begun = last.map_or(0, |last| started(&state.sent, last));
        // Only what the worker was about to start can have to do with its end, if it did not know
        // of it before.
        let mut is_suspect = state.running.is_empty() && begun == 0 && state.paused.is_none();
        if let Some(until) = state.paused {
            self.alarms.remove(&(until, Alarm::Resume(worker)));
        }
        for running in state.running {
            if let Some(overdue) = running.overdue {
                self.alarms.remove(&(overdue, Alarm::Overdue(worker, running.id)));
            }
            left.begun.extend(self.end(running.id).map(|entry| entry.job));
        }
        for (place, Sent { id, overdue, .. }) in state.sent.into_iter().enumerate() {
            if let Some(overdue) = overdue {
                self.alarms.remove(&(overdue, Alarm::Overdue(worker, id)));
            }
            if place < begun {
                left.begun.extend(self.end(id).map(|entry| entry.job));
                continue;
            }
            let was_suspect = std::mem::take(&mut is_suspect);
            let Some(entry) = self.jobs.get_mut(&id) else { continue };
            entry.losses += u32::from(was_suspect);
            entry.crashes += u32::from(was_suspect && crashed);
            entry.holder = None;
            if entry.crashes < CRASHES && entry.losses < LOSSES {
                self.waiting.insert(id);
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

    /// What is due by now, one thing at a time.
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
                        state.paused = None;
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

    /// When [`Scheduler::due`] or [`Scheduler::assign`] is to be called next, if nothing else
    /// happens before.
    pub(crate) fn alarm(&self) -> Option<Instant> {
        let alarm = self.alarms.first().map(|(at, _)| *at);
        [alarm, self.lingering].into_iter().flatten().min()
    }

    /// Takes all waiting jobs out.
    pub(crate) fn take_waiting(&mut self) -> Vec<J> {
        self.rest = None;
        let waiting = std::mem::take(&mut self.waiting);
        waiting.into_iter().filter_map(|id| self.end(id)).map(|entry| entry.job).collect()
    }

    /// Whether every job has ended.
    pub(crate) fn is_idle(&self) -> bool {
        self.jobs.is_empty()
    }

    /// Whether the worker holds nothing.
    pub(crate) fn is_free(&self, worker: WorkerId) -> bool {
        self.workers.get(&worker).is_none_or(|state| state.batches == 0)
    }

    /// Whether the worker holds nothing and gets nothing any more.
    pub(crate) fn is_done(&self, worker: WorkerId) -> bool {
        self.workers.get(&worker).is_some_and(|state| state.drains && state.batches == 0)
    }

    /// Jobs that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// How many jobs are to be started before this one; `None` when it is about to be, or has been.
    pub(crate) fn position(&self, id: JobId) -> Option<usize> {
        // The first batch that an idle worker was sent it is just starting, told or not.
        let starting = |worker: &Worker| {
            if worker.running.is_empty() || worker.is_open {
                worker.sent.iter().take_while(|sent| sent.more).count() + 1
            } else {
                0
            }
        };
        if let Some(holder) = self.jobs.get(&id)?.holder {
            let worker = self.workers.get(&holder)?;
            let place = worker.sent.iter().position(|sent| sent.id == id)?;
            return place.checked_sub(starting(worker));
        }
        let ahead = |worker: &Worker| worker.sent.len().saturating_sub(starting(worker));
        let sent: usize = self.workers.values().map(ahead).sum();
        Some(self.waiting.range(..id).count() + sent)
    }

    /// Jobs that workers have.
    pub(crate) fn held(&self) -> usize {
        self.jobs.len() - self.waiting.len()
    }

    /// How long the jobs that wait will take the workers, by what the latest ones took. Zero as long
    /// as nothing has been measured.
    pub(crate) fn time_to_drain(&self) -> Duration {
        let most = self.batching.as_ref().map_or(1, |batching| batching.max_size.max(1));
        let batches = u32::try_from(self.waiting.len().div_ceil(most)).unwrap_or(u32::MAX);
        let in_service = self.workers.values().filter(|worker| !worker.drains);
        let times: Vec<Duration> = in_service.filter_map(|worker| worker.service.usual()).collect();
        let workers = u32::try_from(times.len().max(1)).unwrap_or(u32::MAX);
        let usual = times.iter().sum::<Duration>() / workers;
        usual.saturating_mul(batches) / workers
    }

    /// Workers that get jobs.
    pub(crate) fn workers(&self) -> usize {
        self.workers.values().filter(|worker| !worker.drains).count()
    }

    fn end(&mut self, id: JobId) -> Option<Entry<J>> {
        let entry = self.jobs.remove(&id)?;
        if entry.holder.is_none() {
            self.waiting.remove(&id);
        }
        if let Some(limit) = entry.limit {
            self.alarms.remove(&(entry.submitted + limit.total, Alarm::Deadline(id)));
        }
        Some(entry)
    }
}

/// How many of these jobs a worker has started that has started this one.
fn started(sent: &VecDeque<Sent>, last: JobId) -> usize {
    sent.iter().position(|sent| sent.id == last).map_or(0, |place| place + 1)
}

#[cfg(test)]
mod state_machine;
#[cfg(test)]
mod tests;
