//! One worker as the scheduler knows it: which jobs it holds, the order in which it has to start
//! and finish them, and whether it gets more. It knows jobs by their ids alone, and sets no alarm:
//! it returns when one is due.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::pace::ServiceTime;
use crate::job::id::JobId;

/// Work that may lie ready in the socket of the only worker, so that it never runs dry while the
/// engine is busy. Everything beyond waits in the queue, where a request can still be given up.
const PREFETCHED: Duration = Duration::from_millis(1);
/// The same for one full batch: there is more to hand over, and less to gain by waiting.
const PREFETCHED_BATCH: Duration = Duration::from_millis(50);
/// The most jobs that a worker may hold.
const DEEPEST: u32 = 16;
/// A paused worker gets jobs again after this long, even if it does not ask for them.
const PAUSE: Duration = Duration::from_secs(5);

/// Identifies one life of one worker; a restarted worker has another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct WorkerId(pub(crate) u64);

/// A worker named a job that is not its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OutOfTurn;

/// An alarm is set to another time. `None` stands for an alarm that is not set.
#[derive(Clone, Copy, Debug)]
pub(super) struct AlarmChange {
    pub(super) before: Option<Instant>,
    pub(super) after: Option<Instant>,
}

/// The jobs that a worker leaves when it is gone.
#[derive(Debug)]
pub(super) struct Remains {
    /// It worked on them.
    pub(super) begun: Vec<JobId>,
    /// It was sent them, and had not started them.
    pub(super) unbegun: Vec<JobId>,
    /// The one of `unbegun` that may have to do with the worker's end.
    pub(super) suspect: Option<JobId>,
}

/// The jobs that one worker holds, and whether it gets more.
#[derive(Debug)]
pub(super) struct Worker {
    /// Sent and not started, oldest first.
    sent: VecDeque<Sent>,
    running: Vec<Running>,
    /// True while more members of the running batch are to be started.
    is_open: bool,
    /// Batches that are held; a job by itself is a batch of one.
    batches: u32,
    /// True once it gets no more jobs.
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
    /// True where the next one belongs to the same batch.
    more: bool,
    /// The longest time that the worker may take to start it, and then to finish it.
    limit: Option<Duration>,
    /// Until when the worker is to have started it, once it is its turn.
    overdue: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Running {
    id: JobId,
    overdue: Option<Instant>,
}

impl Worker {
    /// A worker that holds nothing and gets up to `quota` jobs. Where it `keeps_board` it need not
    /// tell of a job's start.
    pub(super) fn new(quota: Option<u64>, keeps_board: bool, now: Instant) -> Self {
        Worker {
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
        }
    }

    /// Batches that it holds.
    pub(super) fn batches(&self) -> u32 {
        self.batches
    }

    /// Returns whether it gets no more jobs, ever.
    pub(super) fn is_draining(&self) -> bool {
        self.drains
    }

    /// Returns whether it gets jobs at present.
    pub(super) fn takes_jobs(&self) -> bool {
        !self.drains && self.paused.is_none()
    }

    /// Jobs that it may still be sent.
    pub(super) fn quota(&self) -> usize {
        self.quota.map_or(usize::MAX, |quota| usize::try_from(quota).unwrap_or(usize::MAX))
    }

    /// Returns how long it usually takes for a batch; `None` before the first one.
    pub(super) fn usual_time(&self) -> Option<Duration> {
        self.service.usual()
    }

    /// Returns whether one more batch of up to `most` jobs may lie ready while it is busy.
    pub(super) fn may_prefetch(&self, most: usize) -> bool {
        let depth = self.service.depth(PREFETCHED, DEEPEST);
        let depth = depth.max(self.service.depth(PREFETCHED_BATCH, u32::from(most > 1) + 1));
        self.batches < depth
    }

    /// It gets a batch, whose jobs follow.
    pub(super) fn begin_batch(&mut self, now: Instant) {
        if self.batches == 0 {
            self.since = now;
        }
        self.batches += 1;
    }

    /// It is sent a job, for which it may take as long as `limit`; `more` of the batch follow.
    pub(super) fn send(&mut self, id: JobId, more: bool, limit: Option<Duration>) {
        self.sent.push_back(Sent { id, more, limit, overdue: None });
        if let Some(quota) = &mut self.quota {
            *quota -= 1;
            self.drains |= *quota == 0;
        }
    }

    /// It is to start the job whose turn it is, and gets as long for that as for the job: one that
    /// does not come back from what it does between jobs is as lost as one that never ends one.
    /// Returns that job and when its start is overdue, where that is news.
    pub(super) fn arm_start_deadline(&mut self, now: Instant) -> Option<(JobId, Instant)> {
        let next = self.sent.front_mut().filter(|_| self.running.is_empty())?;
        let Sent { id, limit: Some(limit), overdue: overdue @ None, .. } = next else {
            return None;
        };
        let at = now + *limit;
        *overdue = Some(at);
        Some((*id, at))
    }

    /// It has handed a job to the model.
    pub(super) fn start(&mut self, id: JobId, now: Instant) -> Result<AlarmChange, OutOfTurn> {
        let may_start = self.is_open || self.running.is_empty();
        let sent = self.sent.pop_front_if(|sent| may_start && sent.id == id).ok_or(OutOfTurn)?;
        self.is_open = sent.more;
        let overdue = sent.limit.map(|limit| now + limit);
        self.running.push(Running { id, overdue });
        Ok(AlarmChange { before: sent.overdue, after: overdue })
    }

    /// The model is done with a job.
    pub(super) fn finish(&mut self, id: JobId, now: Instant) -> Result<AlarmChange, OutOfTurn> {
        let place = self.running.iter().position(|running| running.id == id).ok_or(OutOfTurn)?;
        let running = self.running.swap_remove(place);
        if self.running.is_empty() && !self.is_open {
            self.batches -= 1;
            self.service.record(now - self.since);
            self.since = now;
        }
        Ok(AlarmChange { before: running.overdue, after: None })
    }

    /// Returns how many jobs it must have started without telling so, when it speaks of this one.
    pub(super) fn untold(&self, id: JobId) -> usize {
        if self.keeps_board { self.started(id) } else { 0 }
    }

    /// The job whose turn it is.
    pub(super) fn next(&self) -> Option<JobId> {
        self.sent.front().map(|sent| sent.id)
    }

    /// Jobs that it works on.
    pub(super) fn running(&self) -> impl Iterator<Item = JobId> {
        self.running.iter().map(|running| running.id)
    }

    /// Returns how many of its jobs are to be started before this one; `None` when this one is
    /// about to be started, or has been.
    pub(super) fn position(&self, id: JobId) -> Option<usize> {
        let place = self.sent.iter().position(|sent| sent.id == id)?;
        place.checked_sub(self.starting())
    }

    /// Jobs that it is to start later.
    pub(super) fn queued(&self) -> usize {
        self.sent.len().saturating_sub(self.starting())
    }

    /// It gets no more jobs.
    pub(super) fn drain(&mut self) {
        self.drains = true;
    }

    /// It gets no jobs for a while.
    pub(super) fn pause(&mut self, now: Instant) -> AlarmChange {
        let until = Some(now + PAUSE);
        AlarmChange { before: std::mem::replace(&mut self.paused, until), after: until }
    }

    /// It gets jobs again.
    pub(super) fn resume(&mut self) -> AlarmChange {
        AlarmChange { before: self.paused.take(), after: None }
    }

    /// Returns until when it pauses.
    pub(super) fn paused(&self) -> Option<Instant> {
        self.paused
    }

    /// Jobs that are to be started or finished by some time, each with that time.
    pub(super) fn deadlines(&self) -> impl Iterator<Item = (JobId, Instant)> {
        let running = self.running.iter().map(|running| (running.id, running.overdue));
        let sent = self.sent.iter().map(|sent| (sent.id, sent.overdue));
        running.chain(sent).filter_map(|(id, overdue)| Some((id, overdue?)))
    }

    /// It is gone, and had started everything up to the job `last`, besides what it told of.
    pub(super) fn remains(self, last: Option<JobId>) -> Remains {
        let started = last.map_or(0, |last| self.started(last));
        // Only what it was about to start can have to do with its end, if it did not know of that
        // before.
        let was_idle = self.running.is_empty() && started == 0;
        let suspect = self.next().filter(|_| was_idle && self.paused.is_none());
        let mut unbegun = self.sent.iter().map(|sent| sent.id);
        let begun = self.running().chain(unbegun.by_ref().take(started)).collect();
        Remains { begun, unbegun: unbegun.collect(), suspect }
    }

    /// Returns how many of the jobs sent to it have been started when this one has.
    fn started(&self, last: JobId) -> usize {
        self.sent.iter().position(|sent| sent.id == last).map_or(0, |place| place + 1)
    }

    /// Returns how many jobs are being started: the first batch that an idle worker was sent it is
    /// just starting, told or not.
    fn starting(&self) -> usize {
        if self.running.is_empty() || self.is_open {
            self.sent.iter().take_while(|sent| sent.more).count() + 1
        } else {
            0
        }
    }
}
