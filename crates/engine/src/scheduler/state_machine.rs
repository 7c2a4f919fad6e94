//! A property test that compares the scheduler with a simple model of it under random sequences of
//! events. In any order, each accepted job ends exactly once, no two workers hold the same job, and
//! the queue keeps its limit. Every job ends once no new ones are submitted.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

const CAPACITY: usize = 12;
const GRACE: Duration = Duration::from_millis(20);

/// An event. A `usize` chooses among the workers or jobs that exist at that moment.
#[derive(Clone, Debug)]
enum Happening {
    Submit {
        limit: Option<u64>,
    },
    Announce,
    Arrive,
    Join(Capacity),
    Start(usize),
    Finish(usize),
    FailWithBatch(usize),
    Die(usize),
    Cancel(usize),
    Drain(usize),
    /// All workers are replaced by new ones.
    Reload,
    Batch(Option<(usize, u32)>),
    Pass {
        micros: u64,
    },
}

fn happening() -> impl Strategy<Value = Happening> {
    use Happening::*;
    let which = 0..64_usize;
    prop_oneof![
        8 => prop::option::weighted(0.3, 1..60_u64).prop_map(|limit| Submit { limit }),
        1 => Just(Announce),
        1 => Just(Arrive),
        2 => capacity().prop_map(Join),
        8 => which.clone().prop_map(Start),
        8 => which.clone().prop_map(Finish),
        3 => which.clone().prop_map(FailWithBatch),
        1 => which.clone().prop_map(Die),
        2 => which.clone().prop_map(Cancel),
        1 => which.prop_map(Drain),
        1 => Just(Reload),
        1 => prop::option::of((1..6_usize, 0..30_u32)).prop_map(Batch),
        4 => (1..30_000_u64).prop_map(|micros| Pass { micros }),
    ]
}

fn capacity() -> impl Strategy<Value = Capacity> {
    let quota = prop::option::weighted(0.3, 1..6_u64);
    (quota, prop_oneof![Just(1_usize), 2..5_usize], any::<bool>())
        .prop_map(|(quota, concurrency, keeps_board)| Capacity { quota, concurrency, keeps_board })
}

/// A worker without a quota that takes jobs one by one and reports each start.
const PLAIN: Capacity = Capacity { quota: None, concurrency: 1, keeps_board: false };

/// The state of a worker in the model.
#[derive(Debug)]
struct Mirror {
    /// The jobs sent to it, in order. The flag is true if more of the batch follow.
    sent: Vec<(JobId, bool)>,
    /// The batches that it runs, each with the jobs that it has not finished.
    running: Vec<Vec<JobId>>,
    /// True if it has started a part of the last batch only.
    is_open: bool,
    is_draining: bool,
    capacity: Capacity,
    /// The job that it has recorded on the board.
    recorded: Option<JobId>,
}

impl Mirror {
    fn new(capacity: Capacity) -> Self {
        let (sent, running, recorded) = (Vec::new(), Vec::new(), None);
        Mirror { sent, running, is_open: false, is_draining: false, capacity, recorded }
    }

    fn may_start(&self) -> bool {
        let has_room = self.running.len() < self.capacity.concurrency;
        !self.sent.is_empty() && (self.is_open || has_room)
    }

    /// Returns the number of batches that it holds.
    fn batches(&self) -> usize {
        let sent = self.sent.iter().filter(|(_, more)| !more).count();
        self.running.len() + sent - usize::from(self.is_open)
    }

    fn holds(&self, id: JobId) -> bool {
        self.running.iter().flatten().any(|running| *running == id)
            || self.sent.iter().any(|(sent, _)| *sent == id)
    }
}

#[derive(Debug)]
struct World {
    scheduler: Scheduler<u64>,
    now: Instant,
    next_job: u64,
    next_worker: u64,
    workers: BTreeMap<WorkerId, Mirror>,
    /// The jobs that were accepted and have not ended.
    open: BTreeSet<u64>,
    ended: BTreeSet<u64>,
    announced: usize,
    /// The number of jobs that went back into the queue, which takes them even if it is full.
    returned: usize,
    /// The jobs that were last handed out in a batch with others.
    in_company: BTreeSet<u64>,
    /// The jobs that went back into the queue after their batch had failed.
    run_again: BTreeSet<u64>,
}

impl World {
    fn new() -> Self {
        World {
            scheduler: Scheduler::new(CAPACITY, true),
            now: Instant::now(),
            next_job: 1,
            next_worker: 1,
            workers: BTreeMap::new(),
            open: BTreeSet::new(),
            ended: BTreeSet::new(),
            announced: 0,
            returned: 0,
            in_company: BTreeSet::new(),
            run_again: BTreeSet::new(),
        }
    }

    fn end(&mut self, job: u64) {
        assert!(self.open.remove(&job), "job {job} ended without being open");
        assert!(self.ended.insert(job), "job {job} ended twice");
    }

    fn join(&mut self, capacity: Capacity) {
        let worker = WorkerId(self.next_worker);
        self.next_worker += 1;
        self.scheduler.join(worker, capacity);
        self.workers.insert(worker, Mirror::new(capacity));
    }

    fn die(&mut self, worker: WorkerId) {
        let mirror = self.workers.remove(&worker).unwrap();
        self.returned += mirror.sent.len();
        let crashed = worker.0.is_multiple_of(2);
        let left = self.scheduler.worker_lost(worker, mirror.recorded, crashed, may_run_again);
        for job in [left.begun, left.unbegun].concat() {
            self.end(job);
        }
        let had_company = mirror.running.len() > 1;
        for id in mirror.running.into_iter().flatten() {
            if had_company {
                self.in_company.insert(id.0);
            }
            if self.open.contains(&id.0) {
                self.goes_back(id);
            }
        }
    }

    /// Checks that a started job goes back only once, and only if it was run with others.
    fn goes_back(&mut self, id: JobId) {
        assert!(self.in_company.contains(&id.0) && may_run_again(&id.0), "{id:?} came back");
        assert!(self.run_again.insert(id.0), "{id:?} came back twice");
        self.returned += 1;
    }

    fn choose(&self, which: usize, fits: impl Fn(&Mirror) -> bool) -> Option<WorkerId> {
        let fitting: Vec<WorkerId> =
            self.workers.iter().filter(|(_, mirror)| fits(mirror)).map(|(id, _)| *id).collect();
        fitting.get(which % fitting.len().max(1)).copied()
    }

    fn start(&mut self, which: usize) -> bool {
        let Some(worker) = self.choose(which, Mirror::may_start) else { return false };
        let mirror = self.workers.get_mut(&worker).unwrap();
        let (id, more) = mirror.sent.remove(0);
        if !mirror.is_open {
            mirror.running.push(Vec::new());
        }
        mirror.running.last_mut().unwrap().push(id);
        mirror.is_open = more;
        mirror.recorded = mirror.capacity.keeps_board.then_some(id);
        if mirror.capacity.keeps_board {
            return true;
        }
        let job = self.scheduler.start(worker, id, self.now).unwrap().copied();
        assert_eq!(job, self.open.contains(&id.0).then_some(id.0));
        true
    }

    /// Chooses a worker and one of its batches that it has started as a whole.
    fn choose_batch(&self, which: usize) -> Option<(WorkerId, usize)> {
        let whole = |mirror: &Mirror| mirror.running.len() - usize::from(mirror.is_open);
        let worker = self.choose(which, |mirror| whole(mirror) > 0)?;
        Some((worker, which % whole(&self.workers[&worker])))
    }

    fn finish(&mut self, which: usize) -> bool {
        let Some((worker, batch)) = self.choose_batch(which) else { return false };
        let mirror = self.workers.get_mut(&worker).unwrap();
        let jobs = &mut mirror.running[batch];
        let id = jobs.swap_remove(which % jobs.len());
        if jobs.is_empty() {
            mirror.running.remove(batch);
        }
        if let Some(job) = self.scheduler.finish(worker, id, self.now).unwrap() {
            assert_eq!(job, id.0);
            self.end(job);
        }
        true
    }

    /// Lets a batch that a worker runs fail as a whole.
    fn fail_with_batch(&mut self, which: usize) {
        let Some((worker, batch)) = self.choose_batch(which) else { return };
        let mirror = self.workers.get_mut(&worker).unwrap();
        let jobs = mirror.running.remove(batch);
        // A job that goes back must not be taken for one that was started.
        mirror.recorded = mirror.recorded.filter(|recorded| !jobs.contains(recorded));
        for id in jobs {
            let failed = self.scheduler.fail_with_batch(worker, id, self.now, may_run_again);
            match failed.unwrap() {
                Some(job) => self.end(job),
                None if self.open.contains(&id.0) => self.goes_back(id),
                None => {}
            }
        }
    }

    fn happen(&mut self, happening: &Happening) {
        match *happening {
            Happening::Submit { limit } => {
                let job = self.next_job;
                self.next_job += 1;
                let total = limit.map(Duration::from_millis);
                let limit = total.map(|total| Deadline { total, grace: GRACE });
                let is_full = self.scheduler.waiting() >= CAPACITY;
                match self.scheduler.submit(JobId(job), job, limit, self.now) {
                    Ok(()) => assert!(!is_full && self.open.insert(job)),
                    Err(Full(returned)) => assert!(is_full && returned == job),
                }
            }
            Happening::Announce => self.announced += usize::from(self.scheduler.announce()),
            Happening::Arrive => {
                if self.announced > 0 {
                    self.announced -= 1;
                    self.scheduler.arrived();
                }
            }
            Happening::Join(capacity) => self.join(capacity),
            Happening::Start(which) => drop(self.start(which)),
            Happening::Finish(which) => drop(self.finish(which)),
            Happening::FailWithBatch(which) => self.fail_with_batch(which),
            Happening::Die(which) => {
                if let Some(worker) = self.choose(which, |_| true) {
                    self.die(worker);
                }
            }
            Happening::Cancel(which) => {
                let which = which % self.open.len().max(1);
                if let Some(job) = self.open.iter().nth(which).copied() {
                    assert_eq!(self.scheduler.cancel(JobId(job)).unwrap().job, job);
                    self.end(job);
                    assert_eq!(self.scheduler.cancel(JobId(job)), None);
                }
            }
            Happening::Drain(which) => {
                if let Some(worker) = self.choose(which, |mirror| !mirror.is_draining) {
                    self.scheduler.drain(worker);
                    self.workers.get_mut(&worker).unwrap().is_draining = true;
                }
            }
            Happening::Reload => {
                let old: Vec<WorkerId> = self.workers.keys().copied().collect();
                for worker in old {
                    self.join(Capacity { quota: None, ..self.workers[&worker].capacity });
                    self.scheduler.drain(worker);
                    self.workers.get_mut(&worker).unwrap().is_draining = true;
                }
            }
            Happening::Batch(batch) => self.scheduler.set_batching(
                batch.map(|(max_size, wait)| Batching { max_size, max_wait_ms: wait.into() }),
            ),
            Happening::Pass { micros } => self.now += Duration::from_micros(micros),
        }
        self.settle();
    }

    /// Does what the engine does after each change, and checks the invariants.
    fn settle(&mut self) {
        while let Some(due) = self.scheduler.due(self.now) {
            match due {
                Due::Expired(id, dropped, _) => {
                    assert_eq!(id.0, dropped.job);
                    self.end(dropped.job);
                }
                Due::Overdue(worker) => self.die(worker),
            }
        }
        let mut follows: Option<WorkerId> = None;
        while let Some(Assignment { worker, id, more, .. }) = self.scheduler.assign(self.now) {
            assert!(self.open.contains(&id.0), "{id:?} was handed out after its end");
            let holders = self.workers.values().filter(|mirror| mirror.holds(id));
            assert_eq!(holders.count(), 0, "{id:?} is in two workers");
            assert!(follows.is_none_or(|expected| expected == worker), "a batch was split");
            if more || follows.is_some() {
                assert!(!self.run_again.contains(&id.0), "{id:?} must be run alone");
                self.in_company.insert(id.0);
            } else {
                self.in_company.remove(&id.0);
            }
            follows = more.then_some(worker);
            let mirror = self.workers.get_mut(&worker).unwrap();
            assert!(!mirror.is_draining, "{worker:?} was draining");
            mirror.sent.push((id, more));
            if mirror.capacity.concurrency > 1 && mirror.batches() > 1 {
                let runs_alone = self.run_again.iter().any(|job| mirror.holds(JobId(*job)));
                assert!(!runs_alone, "a job that must be run alone has company");
            }
            if let Some(quota) = &mut mirror.capacity.quota {
                *quota -= 1;
                mirror.is_draining = *quota == 0;
            }
        }
        assert_eq!(follows, None, "a batch was left open");
        assert!(self.scheduler.waiting() <= CAPACITY + self.returned);
        assert_eq!(self.scheduler.is_idle(), self.open.is_empty());
        let at_work = self.workers.values().filter(|mirror| !mirror.is_draining).count();
        assert_eq!(self.scheduler.workers(), at_work);
        // If a worker is idle, jobs wait only for a larger batch, and only for a limited time.
        let idle = |m: &Mirror| !m.is_draining && m.sent.is_empty() && m.running.is_empty();
        if self.scheduler.waiting() > 0 && self.workers.values().any(idle) {
            assert!(self.scheduler.alarm().is_some_and(|at| at > self.now));
        }
        // The same is true for a worker with room beside its jobs, unless a job is run alone.
        let runs_alone = |m: &Mirror| self.run_again.iter().any(|job| m.holds(JobId(*job)));
        let has_room =
            |m: &Mirror| !m.is_draining && m.batches() < m.capacity.concurrency && !runs_alone(m);
        let has_alone = self.run_again.iter().any(|job| self.open.contains(job));
        if self.scheduler.waiting() > 0 && !has_alone && self.workers.values().any(has_room) {
            assert!(self.scheduler.alarm().is_some_and(|at| at > self.now));
        }
    }

    /// Checks that every job ends if no new ones are submitted and workers go on.
    fn drain(&mut self) {
        for _ in 0..std::mem::take(&mut self.announced) {
            self.scheduler.arrived();
        }
        self.join(PLAIN);
        self.settle();
        for step in 0..10_000 {
            if self.open.is_empty() && self.workers.values().all(|m| m.running.is_empty()) {
                break;
            }
            if !self.start(step) && !self.finish(step) {
                let alarm = self.scheduler.alarm().expect("something to wait for");
                self.now = self.now.max(alarm);
            }
            self.settle();
        }
        assert!(self.open.is_empty(), "never ended: {:?}", self.open);
        let accepted = self.ended.len();
        assert!(accepted < usize::try_from(self.next_job).unwrap());
        for worker in self.workers.keys().copied().collect::<Vec<_>>() {
            self.die(worker);
        }
        assert!(self.scheduler.is_idle() && self.scheduler.alarm().is_none());
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the scheduler passes any job so")]
fn may_run_again(job: &u64) -> bool {
    !job.is_multiple_of(3)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn every_job_ends_once_whatever_happens(happenings in prop::collection::vec(happening(), 1..200)) {
        let mut world = World::new();
        for happening in &happenings {
            world.happen(happening);
        }
        world.drain();
    }
}
