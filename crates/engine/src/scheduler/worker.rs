//! A worker in the scheduler: the jobs that it holds, the order in which it must start and finish
//! them, and whether it gets more. It knows only the ids of jobs. It sets no alarms itself: its
//! methods return the times to which alarms must be set.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::pace::ServiceTime;
use crate::job::id::JobId;

/// The time that the jobs sent in advance to the only worker may take, so that the worker has work
/// while the engine is busy. All other jobs wait in the queue, where they can still be cancelled.
const PREFETCHED: Duration = Duration::from_millis(1);
/// The time that replaces [`PREFETCHED`] for one full batch, which takes longer to hand over, and
/// does not grow by waiting.
const PREFETCHED_BATCH: Duration = Duration::from_millis(50);
/// The maximum number of batches that a worker may hold.
const DEEPEST: u32 = 16;
/// A paused worker gets jobs again after this time, even if it does not send `resume`.
const PAUSE: Duration = Duration::from_secs(5);

/// The number of a worker's life. A restarted worker has another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct WorkerId(pub(crate) u64);

/// A worker sent a message about a job that it does not hold, or about its jobs in the wrong order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OutOfTurn;

/// A change of an alarm's time. `None` stands for an alarm that is not set.
#[derive(Clone, Copy, Debug)]
pub(super) struct AlarmChange {
    pub(super) before: Option<Instant>,
    pub(super) after: Option<Instant>,
}

/// The limits of a worker, and how it reports the start of a job.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Capacity {
    /// The number of jobs that the worker may be sent before it is recycled; `None` for no limit.
    pub(crate) quota: Option<u64>,
    /// The number of batches that the worker runs at a time. A single job is a batch of one.
    pub(crate) concurrency: usize,
    /// True if the worker reports the start of a job only if asked to. Otherwise its next message
    /// about the job implies the start.
    pub(crate) keeps_board: bool,
}

/// The jobs that a worker held when it was lost.
#[derive(Debug)]
pub(super) struct Remains {
    /// The jobs that the worker had started.
    pub(super) begun: Vec<JobId>,
    /// True if the started jobs are of several batches.
    pub(super) had_company: bool,
    /// The jobs that the worker had not started.
    pub(super) unbegun: Vec<JobId>,
    /// The job of `unbegun` that may have caused the worker's end.
    pub(super) suspect: Option<JobId>,
}

/// The jobs that one worker holds, and whether it gets more.
#[derive(Debug)]
pub(super) struct Worker {
    /// The jobs that were sent and not started, the oldest first.
    sent: VecDeque<Sent>,
    running: Vec<Running>,
    /// True while the worker has started a part of a batch only.
    is_open: bool,
    /// The batches that the worker holds, the oldest first. It runs the first ones, up to its
    /// concurrency.
    batches: Vec<Batch>,
    /// The number of batches that the worker was sent.
    batches_sent: u64,
    /// True once the worker gets no more jobs.
    drains: bool,
    /// The end of the pause in which the worker gets no jobs, because it may be about to end.
    paused: Option<Instant>,
    /// The limits of the worker. Its quota is the number of jobs that it may still be sent.
    capacity: Capacity,
    service: ServiceTime,
}

/// A batch that the worker holds.
#[derive(Clone, Copy, Debug)]
struct Batch {
    number: u64,
    /// The number of jobs that the worker has not finished.
    left: usize,
    /// True if nothing else may run beside the batch.
    is_exclusive: bool,
    /// The time from which the worker can work on the batch.
    since: Instant,
}

/// A job that was sent to the worker, and not started.
#[derive(Clone, Copy, Debug)]
struct Sent {
    id: JobId,
    /// The number of the job's batch.
    batch: u64,
    /// True if the next job belongs to the same batch.
    more: bool,
    /// The longest time that the worker may take to start the job, and then to finish it.
    limit: Option<Duration>,
    /// The time by which the worker must have started the job, once it is its turn.
    overdue: Option<Instant>,
}

/// A job that the worker has started, and not finished.
#[derive(Clone, Copy, Debug)]
struct Running {
    id: JobId,
    /// The number of the job's batch.
    batch: u64,
    /// The time by which the worker must have finished the job.
    overdue: Option<Instant>,
}

impl Worker {
    /// Makes a worker that holds no job.
    pub(super) fn new(capacity: Capacity) -> Self {
        Worker {
            sent: VecDeque::new(),
            running: Vec::new(),
            is_open: false,
            batches: Vec::new(),
            batches_sent: 0,
            drains: false,
            paused: None,
            capacity,
            service: ServiceTime::default(),
        }
    }

    /// Returns the number of batches that the worker holds.
    pub(super) fn batches(&self) -> usize {
        self.batches.len()
    }

    /// Returns the number of batches that the worker runs at a time.
    pub(super) fn concurrency(&self) -> usize {
        self.capacity.concurrency
    }

    /// Returns true if the worker can run one more batch at once.
    pub(super) fn has_room(&self) -> bool {
        self.batches.len() < self.capacity.concurrency
            && !self.batches.iter().any(|batch| batch.is_exclusive)
    }

    /// Returns true if the worker gets no more jobs.
    pub(super) fn is_draining(&self) -> bool {
        self.drains
    }

    /// Returns true if the worker gets jobs at present.
    pub(super) fn takes_jobs(&self) -> bool {
        !self.drains && self.paused.is_none()
    }

    /// Returns the number of jobs that the worker may still be sent.
    pub(super) fn quota(&self) -> usize {
        let quota = self.capacity.quota;
        quota.map_or(usize::MAX, |quota| usize::try_from(quota).unwrap_or(usize::MAX))
    }

    /// Returns the usual time that the worker takes for a batch; `None` before the first one.
    pub(super) fn usual_time(&self) -> Option<Duration> {
        self.service.usual()
    }

    /// Returns true if the worker, which has no room, may be sent one more batch in advance, of up
    /// to `most` jobs.
    pub(super) fn may_prefetch(&self, most: usize) -> bool {
        if self.capacity.concurrency > 1 && self.batches.iter().any(|batch| batch.is_exclusive) {
            return false;
        }
        let depth = self.service.depth(PREFETCHED, DEEPEST);
        let depth = depth.max(self.service.depth(PREFETCHED_BATCH, u32::from(most > 1) + 1));
        self.batches.len() < self.capacity.concurrency - 1 + depth as usize
    }

    /// Begins to send a batch of `size` jobs, which follow.
    pub(super) fn begin_batch(&mut self, size: usize, is_exclusive: bool, now: Instant) {
        self.batches_sent += 1;
        let number = self.batches_sent;
        self.batches.push(Batch { number, left: size, is_exclusive, since: now });
    }

    /// Sends a job, for which the worker may take up to `limit`. `more` is true if further jobs of
    /// the batch follow.
    pub(super) fn send(&mut self, id: JobId, more: bool, limit: Option<Duration>) {
        let batch = self.batches_sent;
        self.sent.push_back(Sent { id, batch, more, limit, overdue: None });
        if let Some(quota) = &mut self.capacity.quota {
            *quota -= 1;
            self.drains |= *quota == 0;
        }
    }

    /// Sets the time by which the worker must start its next job: the worker may take as long to
    /// start a job as to finish it. So a worker that hangs between two jobs is killed. Returns the
    /// job and the time, if the time was not set before.
    pub(super) fn arm_start_deadline(&mut self, now: Instant) -> Option<(JobId, Instant)> {
        let is_its_turn = !self.is_open && self.may_start();
        let next = self.sent.front_mut().filter(|_| is_its_turn)?;
        let Sent { id, limit: Some(limit), overdue: overdue @ None, .. } = next else {
            return None;
        };
        let at = now + *limit;
        *overdue = Some(at);
        Some((*id, at))
    }

    /// Returns true if the worker may start the job that it was sent first.
    fn may_start(&self) -> bool {
        let next = self.sent.front().map(|sent| sent.batch);
        self.is_open || next.is_some_and(|batch| self.first_waiting() > batch)
    }

    /// Returns the number of the first batch that the worker cannot run yet.
    fn first_waiting(&self) -> u64 {
        self.batches.get(self.capacity.concurrency).map_or(u64::MAX, |batch| batch.number)
    }

    /// Records that the worker has handed a job to the model.
    pub(super) fn start(&mut self, id: JobId, now: Instant) -> Result<AlarmChange, OutOfTurn> {
        let may_start = self.may_start();
        let sent = self.sent.pop_front_if(|sent| may_start && sent.id == id).ok_or(OutOfTurn)?;
        self.is_open = sent.more;
        let overdue = sent.limit.map(|limit| now + limit);
        self.running.push(Running { id, batch: sent.batch, overdue });
        Ok(AlarmChange { before: sent.overdue, after: overdue })
    }

    /// Records that the model has finished a job.
    pub(super) fn finish(&mut self, id: JobId, now: Instant) -> Result<AlarmChange, OutOfTurn> {
        let place = self.running.iter().position(|running| running.id == id).ok_or(OutOfTurn)?;
        let running = self.running.swap_remove(place);
        let place = self.batches.iter().position(|batch| batch.number == running.batch);
        if let Some(place) = place
            && let Some(batch) = self.batches.get_mut(place)
        {
            batch.left -= 1;
            if batch.left == 0 {
                self.service.record(now - batch.since);
                self.batches.remove(place);
                // The worker can begin with the batch that takes the free place.
                if let Some(next) = self.batches.get_mut(self.capacity.concurrency - 1) {
                    next.since = now;
                }
            }
        }
        Ok(AlarmChange { before: running.overdue, after: None })
    }

    /// Returns the number of jobs that the worker must have started without a report, if it sends a
    /// message about this one.
    pub(super) fn unreported_starts(&self, id: JobId) -> usize {
        if self.capacity.keeps_board { self.started(id) } else { 0 }
    }

    /// Returns the job that the worker must start next.
    pub(super) fn next(&self) -> Option<JobId> {
        self.sent.front().map(|sent| sent.id)
    }

    /// Returns the jobs that the worker runs.
    pub(super) fn running(&self) -> impl Iterator<Item = JobId> {
        self.running.iter().map(|running| running.id)
    }

    /// Returns the number of the worker's jobs that will be started before this one; `None` if this
    /// one is being started, or has been.
    pub(super) fn position(&self, id: JobId) -> Option<usize> {
        let place = self.sent.iter().position(|sent| sent.id == id)?;
        place.checked_sub(self.starting())
    }

    /// Returns the number of jobs that wait at the worker.
    pub(super) fn queued(&self) -> usize {
        self.sent.len().saturating_sub(self.starting())
    }

    /// Returns the number of jobs that the worker holds.
    pub(super) fn held(&self) -> usize {
        self.sent.len() + self.running.len()
    }

    /// Gives the worker no more jobs.
    pub(super) fn drain(&mut self) {
        self.drains = true;
    }

    /// Gives the worker no jobs for [`PAUSE`].
    pub(super) fn pause(&mut self, now: Instant) -> AlarmChange {
        let until = Some(now + PAUSE);
        AlarmChange { before: std::mem::replace(&mut self.paused, until), after: until }
    }

    /// Gives the worker jobs again.
    pub(super) fn resume(&mut self) -> AlarmChange {
        AlarmChange { before: self.paused.take(), after: None }
    }

    /// Returns the end of the worker's pause.
    pub(super) fn paused(&self) -> Option<Instant> {
        self.paused
    }

    /// Returns the jobs that must be started or finished by a certain time, each with that time.
    pub(super) fn deadlines(&self) -> impl Iterator<Item = (JobId, Instant)> {
        let running = self.running.iter().map(|running| (running.id, running.overdue));
        let sent = self.sent.iter().map(|sent| (sent.id, sent.overdue));
        running.chain(sent).filter_map(|(id, overdue)| Some((id, overdue?)))
    }

    /// Returns the jobs of a worker that is lost and had started every job up to `last`, besides
    /// those whose start it reported.
    pub(super) fn remains(self, last: Option<JobId>) -> Remains {
        let started = last.map_or(0, |last| self.started(last));
        // Only the job that an idle worker was about to start can have caused its end. If the
        // worker had paused, it was about to end before.
        let was_idle = self.running.is_empty() && started == 0;
        let suspect = self.next().filter(|_| was_idle && self.paused.is_none());
        let mut unbegun = self.sent.iter().map(|sent| sent.id);
        let begun = self.running().chain(unbegun.by_ref().take(started)).collect();
        let begun_in = self.running.iter().map(|running| running.batch);
        let mut begun_in = begun_in.chain(self.sent.iter().take(started).map(|sent| sent.batch));
        let first = begun_in.next();
        let had_company = begun_in.any(|batch| Some(batch) != first);
        Remains { begun, had_company, unbegun: unbegun.collect(), suspect }
    }

    /// Returns the number of sent jobs that have been started if this one has.
    fn started(&self, last: JobId) -> usize {
        self.sent.iter().position(|sent| sent.id == last).map_or(0, |place| place + 1)
    }

    /// Returns the number of jobs that are being started: the worker is starting those for which it
    /// has room, even if it has not reported that.
    fn starting(&self) -> usize {
        let first_waiting = self.first_waiting();
        self.sent.iter().take_while(|sent| sent.batch < first_waiting).count()
    }
}
