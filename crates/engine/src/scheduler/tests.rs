use std::ops::RangeInclusive;

use super::entry::LOSSES;
use super::*;

const A: WorkerId = WorkerId(1);
const B: WorkerId = WorkerId(2);
const MILLISECOND: Duration = Duration::from_millis(1);
/// A worker without a quota that takes jobs one by one and reports each start.
const PLAIN: Capacity = Capacity { quota: None, concurrency: 1, keeps_board: false };

fn scheduler(jobs: u64) -> (Scheduler<u64>, Instant) {
    let (mut scheduler, now) = (Scheduler::new(100, true), Instant::now());
    (1..=jobs).for_each(|job| scheduler.submit(JobId(job), job, None, now).unwrap());
    (scheduler, now)
}

/// Returns every job that can be handed out now: the worker, the job, and true if more of the batch
/// follow.
fn assigned(scheduler: &mut Scheduler<u64>, now: Instant) -> Vec<(WorkerId, u64, bool)> {
    std::iter::from_fn(|| scheduler.assign(now)).map(|a| (a.worker, a.id.0, a.more)).collect()
}

/// Lets a worker start and finish a job in `time`.
fn work(
    scheduler: &mut Scheduler<u64>,
    worker: WorkerId,
    job: u64,
    now: &mut Instant,
    time: Duration,
) {
    assert!(scheduler.start(worker, JobId(job), *now).unwrap().is_some());
    *now += time;
    assert_eq!(scheduler.finish(worker, JobId(job), *now), Ok(Some(job)));
}

#[test]
fn an_idle_worker_is_served_first_and_order_is_kept() {
    let (mut scheduler, mut now) = scheduler(4);
    assert_eq!(assigned(&mut scheduler, now), []);
    scheduler.join(A, PLAIN);
    scheduler.join(B, PLAIN);
    assert_eq!(assigned(&mut scheduler, now), [(A, 1, false), (B, 2, false)]);
    work(&mut scheduler, B, 2, &mut now, MILLISECOND);
    assert_eq!(assigned(&mut scheduler, now), [(B, 3, false)]);
}

#[test]
fn the_workers_have_places_for_batches_at_a_time() {
    let (mut scheduler, _) = scheduler(0);
    assert_eq!(scheduler.places(), 0);
    scheduler.join(A, PLAIN);
    scheduler.join(B, Capacity { concurrency: 3, ..PLAIN });
    assert_eq!(scheduler.places(), 4);
    scheduler.set_batching(Some(Batching { max_size: 5, max_wait_ms: 0.0 }));
    assert_eq!(scheduler.places(), 20);
    scheduler.drain(A);
    assert_eq!(scheduler.places(), 15);
}

#[test]
fn short_jobs_are_prefetched_and_long_ones_wait_in_the_queue() {
    for (time, held) in [(MILLISECOND / 1000, 16), (MILLISECOND / 4, 5), (MILLISECOND * 5, 1)] {
        let (mut scheduler, mut now) = scheduler(40);
        scheduler.join(A, PLAIN);
        for job in 1..=10 {
            assigned(&mut scheduler, now);
            work(&mut scheduler, A, job, &mut now, time);
        }
        assigned(&mut scheduler, now);
        assert_eq!(scheduler.waiting(), 30 - held, "{time:?}");
    }
}

#[test]
fn jobs_of_a_lost_worker_come_first_again_and_one_that_crashes_workers_fails() {
    let (mut scheduler, now) = scheduler(3);
    scheduler.join(A, PLAIN);
    assert_eq!(assigned(&mut scheduler, now), [(A, 1, false)]);
    assert!(ended(scheduler.worker_lost(A, None, true, |_| true)).is_empty());
    scheduler.join(B, PLAIN);
    assert_eq!(assigned(&mut scheduler, now), [(B, 1, false)]);
    assert_eq!(
        scheduler.worker_lost(B, None, true, |_| true),
        Lost { begun: vec![], unbegun: vec![1] }
    );
    assert_eq!(scheduler.take_waiting(), [2, 3]);
    assert!(scheduler.is_idle());
}

#[test]
fn the_position_of_a_job_is_the_number_before_it() {
    let (mut scheduler, mut now) = scheduler(3);
    scheduler.join(A, PLAIN);
    assert_eq!([1, 2, 3].map(|id| scheduler.position(JobId(id))), [0, 1, 2].map(Some));
    assert_eq!(assigned(&mut scheduler, now), [(A, 1, false)]);
    assert_eq!([1, 2, 3].map(|id| scheduler.position(JobId(id))), [None, Some(0), Some(1)]);
    // A job that was sent to a busy worker waits as well.
    work(&mut scheduler, A, 1, &mut now, MILLISECOND / 10);
    assert_eq!(assigned(&mut scheduler, now), [(A, 2, false), (A, 3, false)]);
    scheduler.start(A, JobId(2), now).unwrap();
    assert_eq!([2, 3, 4].map(|id| scheduler.position(JobId(id))), [None, Some(0), None]);
}

#[test]
fn a_batch_that_is_being_started_is_not_counted_in_positions() {
    let (mut scheduler, now) = scheduler(3);
    scheduler.set_batching(Some(Batching { max_size: 2, max_wait_ms: 0.0 }));
    scheduler.join(A, Capacity { keeps_board: true, ..PLAIN });
    assert_eq!(assigned(&mut scheduler, now), [(A, 1, true), (A, 2, false)]);
    let places = |scheduler: &Scheduler<u64>| [1, 2, 3].map(|id| scheduler.position(JobId(id)));
    assert_eq!(places(&scheduler), [None, None, Some(0)]);
    // The worker has reported the start of half the batch.
    scheduler.start(A, JobId(1), now).unwrap();
    assert_eq!(places(&scheduler), [None, None, Some(0)]);
}

#[test]
fn a_job_survives_programs_that_exit_after_one_request() {
    let (mut scheduler, now) = scheduler(1);
    for round in 1..LOSSES {
        let worker = WorkerId(round.into());
        scheduler.join(worker, PLAIN);
        assert_eq!(assigned(&mut scheduler, now), [(worker, 1, false)]);
        assert!(ended(scheduler.worker_lost(worker, None, false, |_| true)).is_empty());
    }
    // After that many losses the job fails nevertheless.
    scheduler.join(A, PLAIN);
    assigned(&mut scheduler, now);
    assert_eq!(
        scheduler.worker_lost(A, None, false, |_| true),
        Lost { begun: vec![], unbegun: vec![1] }
    );
}

#[test]
fn a_worker_must_keep_the_order_of_its_jobs() {
    let (mut scheduler, now) = scheduler(2);
    scheduler.join(A, PLAIN);
    assigned(&mut scheduler, now);
    for wrong in [JobId(2), JobId(9)] {
        assert_eq!(scheduler.start(A, wrong, now), Err(OutOfTurn));
    }
    assert_eq!(scheduler.finish(A, JobId(1), now), Err(OutOfTurn));
    assert!(scheduler.start(A, JobId(1), now).is_ok());
    assert_eq!(scheduler.start(A, JobId(1), now), Err(OutOfTurn));
    assert_eq!(scheduler.finish(B, JobId(1), now), Err(OutOfTurn));
}

#[test]
fn a_batch_waits_only_for_jobs_that_are_expected() {
    let batching = Some(Batching { max_size: 4, max_wait_ms: 5.0 });
    let (mut scheduler, mut now) = scheduler(0);
    scheduler.set_batching(batching);
    scheduler.join(A, PLAIN);
    let submit = |scheduler: &mut Scheduler<u64>, id, now| {
        scheduler.submit(JobId(id), id, None, now).unwrap();
    };
    // No other request is being received.
    submit(&mut scheduler, 1, now);
    assert_eq!(assigned(&mut scheduler, now), [(A, 1, false)]);
    work(&mut scheduler, A, 1, &mut now, MILLISECOND * 10);
    // A request is being received. The batch waits for it, but not for ever.
    assert!(scheduler.announce());
    submit(&mut scheduler, 2, now);
    assert_eq!(assigned(&mut scheduler, now), []);
    assert_eq!(scheduler.alarm(), Some(now + MILLISECOND * 5));
    submit(&mut scheduler, 3, now);
    assert_eq!(assigned(&mut scheduler, now), []);
    now += MILLISECOND * 5;
    assert_eq!(assigned(&mut scheduler, now), [(A, 2, true), (A, 3, false)]);
    // While the worker is busy jobs wait for a full batch, which is sent in advance.
    submit(&mut scheduler, 4, now);
    assert_eq!(assigned(&mut scheduler, now), []);
    (5..=8).for_each(|id| submit(&mut scheduler, id, now));
    let next = [(A, 4, true), (A, 5, true), (A, 6, true), (A, 7, false)];
    assert_eq!(assigned(&mut scheduler, now), next);
    // The jobs of a batch are started together, and end in any order.
    for id in [2, 3] {
        assert!(scheduler.start(A, JobId(id), now).is_ok());
    }
    assert_eq!(scheduler.start(A, JobId(4), now), Err(OutOfTurn));
    for id in [3, 2] {
        assert_eq!(scheduler.finish(A, JobId(id), now), Ok(Some(id)));
    }
    assert!(scheduler.start(A, JobId(4), now).is_ok());
}

#[test]
fn a_worker_gets_no_more_jobs_than_its_quota() {
    let (mut scheduler, now) = scheduler(5);
    scheduler.set_batching(Some(Batching { max_size: 4, max_wait_ms: 0.0 }));
    scheduler.join(A, Capacity { quota: Some(3), ..PLAIN });
    assert_eq!(assigned(&mut scheduler, now).len(), 3);
    assert_eq!((scheduler.waiting(), scheduler.workers()), (2, 0));
    for id in 1..=3 {
        assert!(!scheduler.is_done(A));
        assert!(scheduler.start(A, JobId(id), now).is_ok());
    }
    for id in 1..=3 {
        assert!(!scheduler.is_done(A));
        assert!(scheduler.finish(A, JobId(id), now).is_ok());
    }
    assert!(scheduler.is_done(A));
}

#[test]
fn jobs_and_workers_end_at_their_deadlines() {
    let (mut scheduler, begin) = scheduler(0);
    let limit = Some(Deadline { total: MILLISECOND * 10, grace: MILLISECOND * 5 });
    scheduler.join(A, PLAIN);
    for id in [1, 2] {
        scheduler.submit(JobId(id), id, limit, begin).unwrap();
    }
    assert_eq!(assigned(&mut scheduler, begin), [(A, 1, false)]);
    assert!(scheduler.start(A, JobId(1), begin + MILLISECOND).is_ok());
    assert_eq!(scheduler.alarm(), Some(begin + MILLISECOND * 10));
    assert_eq!(scheduler.due(begin + MILLISECOND * 9), None);
    let now = begin + MILLISECOND * 10;
    for (id, holder) in [(1, Some(A)), (2, None)] {
        let expired = Due::Expired(JobId(id), Dropped { job: id, holder }, MILLISECOND * 10);
        assert_eq!(scheduler.due(now), Some(expired));
    }
    assert_eq!(scheduler.due(now), None);
    // From the start of the job, the worker may take as long as the request, and the grace.
    assert_eq!(scheduler.alarm(), Some(begin + MILLISECOND * 16));
    assert_eq!(scheduler.due(begin + MILLISECOND * 16), Some(Due::Overdue(A)));
    assert!(ended(scheduler.worker_lost(A, None, true, |_| true)).is_empty());
    assert_eq!((scheduler.alarm(), scheduler.is_idle()), (None, true));
}

#[test]
fn a_worker_that_keeps_a_board_need_not_report_each_start() {
    let (mut scheduler, now) = scheduler(3);
    scheduler.join(A, Capacity { keeps_board: true, ..PLAIN });
    for id in [1, 2] {
        assigned(&mut scheduler, now);
        assert_eq!(scheduler.finish(A, JobId(id), now), Ok(Some(id)));
    }
    assigned(&mut scheduler, now);
    // The worker is lost, and its board says that it had started the job.
    assert_eq!(
        scheduler.worker_lost(A, Some(JobId(3)), true, |_| false),
        Lost { begun: vec![3], unbegun: vec![] }
    );
    assert!(scheduler.is_idle());
}

#[test]
fn a_worker_that_does_not_start_its_job_is_killed() {
    let (mut scheduler, begin) = scheduler(0);
    let limit = Some(Deadline { total: MILLISECOND * 10, grace: MILLISECOND * 5 });
    scheduler.join(A, PLAIN);
    for id in [1, 2] {
        scheduler.submit(JobId(id), id, limit, begin).unwrap();
    }
    assert_eq!(assigned(&mut scheduler, begin), [(A, 1, false)]);
    let now = begin + MILLISECOND * 10;
    while let Some(due) = scheduler.due(now) {
        assert!(matches!(due, Due::Expired(..)));
    }
    assert_eq!(scheduler.due(begin + MILLISECOND * 15), Some(Due::Overdue(A)));
    assert!(ended(scheduler.worker_lost(A, None, true, |_| true)).is_empty());
    assert_eq!((scheduler.alarm(), scheduler.is_idle()), (None, true));
}

#[test]
fn a_paused_worker_gets_no_jobs_and_its_end_is_not_blamed_on_a_job() {
    let (mut scheduler, now) = scheduler(3);
    for round in 0..5 {
        let worker = WorkerId(round);
        scheduler.join(worker, PLAIN);
        assert_eq!(scheduler.assign(now).map(|one| one.id), Some(JobId(1)));
        scheduler.pause(worker, true, now);
        assert_eq!(scheduler.assign(now), None);
        assert!(ended(scheduler.worker_lost(worker, None, true, |_| true)).is_empty());
    }
    scheduler.join(A, PLAIN);
    scheduler.pause(A, true, now);
    assert_eq!(scheduler.assign(now), None);
    scheduler.pause(A, false, now);
    assert_eq!(scheduler.alarm(), None);
    assert_eq!(scheduler.assign(now).map(|one| one.id), Some(JobId(1)));
}

#[test]
fn a_pause_ends_by_itself() {
    let (mut scheduler, now) = scheduler(1);
    scheduler.join(A, PLAIN);
    scheduler.pause(A, true, now);
    let until = scheduler.alarm().unwrap();
    assert_eq!((scheduler.due(now), scheduler.assign(now)), (None, None));
    assert_eq!(scheduler.due(until), None);
    assert_eq!(scheduler.assign(until).map(|one| one.id), Some(JobId(1)));
    assert_eq!(scheduler.alarm(), None);
}

fn ended(left: Lost<u64>) -> Vec<u64> {
    [left.begun, left.unbegun].concat()
}

#[test]
fn the_members_of_a_batch_that_failed_are_run_again_once_and_one_by_one() {
    let (mut scheduler, now) = scheduler(4);
    scheduler.set_batching(Some(Batching { max_size: 3, max_wait_ms: 0.0 }));
    scheduler.join(A, PLAIN);
    assert_eq!(assigned(&mut scheduler, now), [(A, 1, true), (A, 2, true), (A, 3, false)]);
    (1..=3).for_each(|job| drop(scheduler.start(A, JobId(job), now)));
    // The second job has got a chunk.
    for (job, may_run_again, left) in [(1, true, None), (2, false, Some(2)), (3, true, None)] {
        let failed = scheduler.fail_with_batch(A, JobId(job), now, |_| may_run_again);
        assert_eq!(failed, Ok(left));
    }
    assert_eq!(assigned(&mut scheduler, now), [(A, 1, false), (A, 3, false)]);
    for job in [1, 3] {
        scheduler.start(A, JobId(job), now).unwrap();
        // A job that fails alone is not retried.
        let failed = scheduler.fail_with_batch(A, JobId(job), now, |_| true);
        assert_eq!(failed, Ok(Some(job)));
    }
    assert_eq!(assigned(&mut scheduler, now), [(A, 4, false)]);
}

#[test]
fn the_members_of_a_batch_that_died_with_its_worker_are_run_again_one_by_one() {
    let (mut scheduler, now) = scheduler(3);
    scheduler.set_batching(Some(Batching { max_size: 3, max_wait_ms: 0.0 }));
    scheduler.join(A, Capacity { keeps_board: true, ..PLAIN });
    assert_eq!(assigned(&mut scheduler, now).len(), 3);
    assert_eq!(scheduler.finish(A, JobId(1), now), Ok(Some(1)));
    let last = Some(JobId(3));
    assert!(ended(scheduler.worker_lost(A, last, true, |_| true)).is_empty());
    for (job, worker) in [(2, B), (3, WorkerId(3))] {
        scheduler.join(worker, Capacity { keeps_board: true, ..PLAIN });
        assert_eq!(assigned(&mut scheduler, now), [(worker, job, false)]);
        let lost = scheduler.worker_lost(worker, Some(JobId(job)), true, |_| true);
        assert_eq!(lost, Lost { begun: vec![job], unbegun: vec![] });
    }
}

/// Lets worker A start these jobs.
fn start(scheduler: &mut Scheduler<u64>, jobs: RangeInclusive<u64>, now: Instant) {
    for job in jobs {
        assert!(scheduler.start(A, JobId(job), now).unwrap().is_some());
    }
}

#[test]
fn a_concurrent_worker_runs_several_jobs_and_each_ends_by_itself() {
    let (mut scheduler, mut now) = scheduler(5);
    scheduler.join(A, Capacity { concurrency: 3, ..PLAIN });
    let all = [(A, 1, false), (A, 2, false), (A, 3, false)];
    assert_eq!(assigned(&mut scheduler, now), all);
    start(&mut scheduler, 1..=3, now);
    now += MILLISECOND * 100;
    assert_eq!(scheduler.finish(A, JobId(2), now), Ok(Some(2)));
    assert_eq!(assigned(&mut scheduler, now), [(A, 4, false)]);
    // The job has taken the place of the second one, and is being started.
    assert_eq!((scheduler.position(JobId(4)), scheduler.position(JobId(5))), (None, Some(0)));
    assert_eq!(scheduler.start(A, JobId(4), now), Ok(Some(&mut 4)));
    assert_eq!(scheduler.finish(A, JobId(4), now), Ok(Some(4)));
    assert!(!scheduler.is_free(A));
}

#[test]
fn a_concurrent_worker_may_start_no_more_jobs_than_it_said() {
    let (mut scheduler, now) = scheduler(2);
    scheduler.join(A, Capacity { concurrency: 2, ..PLAIN });
    assert_eq!(assigned(&mut scheduler, now).len(), 2);
    assert_eq!(scheduler.start(A, JobId(2), now), Err(OutOfTurn), "the first job comes first");
    scheduler.start(A, JobId(1), now).unwrap();
    scheduler.start(A, JobId(2), now).unwrap();
    assert_eq!(scheduler.start(A, JobId(2), now), Err(OutOfTurn));
}

#[test]
fn several_batches_run_in_one_worker() {
    let (mut scheduler, now) = scheduler(5);
    scheduler.set_batching(Some(Batching { max_size: 2, max_wait_ms: 0.0 }));
    scheduler.join(A, Capacity { concurrency: 2, ..PLAIN });
    let two = [(A, 1, true), (A, 2, false), (A, 3, true), (A, 4, false)];
    assert_eq!(assigned(&mut scheduler, now), two);
    start(&mut scheduler, 1..=4, now);
    scheduler.finish(A, JobId(3), now).unwrap();
    assert_eq!(assigned(&mut scheduler, now), [], "the second batch goes on");
    scheduler.finish(A, JobId(4), now).unwrap();
    assert_eq!(assigned(&mut scheduler, now), [(A, 5, false)]);
}

#[test]
fn the_jobs_of_a_lost_concurrent_worker_are_run_again_alone() {
    let (mut scheduler, now) = scheduler(4);
    let concurrent = Capacity { concurrency: 4, ..PLAIN };
    scheduler.join(A, concurrent);
    assert_eq!(assigned(&mut scheduler, now).len(), 4);
    start(&mut scheduler, 1..=3, now);
    // A chunk of the second job was sent, and the fourth job was not started.
    let lost = scheduler.worker_lost(A, None, true, |job| *job != 2);
    assert_eq!(lost, Lost { begun: vec![2], unbegun: vec![] });
    scheduler.join(B, concurrent);
    for job in [1, 3] {
        assert_eq!(assigned(&mut scheduler, now), [(B, job, false)]);
        scheduler.start(B, JobId(job), now).unwrap();
        assert_eq!(scheduler.finish(B, JobId(job), now), Ok(Some(job)));
    }
    scheduler.submit(JobId(5), 5, None, now).unwrap();
    assert_eq!(assigned(&mut scheduler, now), [(B, 4, false), (B, 5, false)]);
}

#[test]
fn a_job_that_a_concurrent_worker_ran_without_others_fails_with_it() {
    let (mut scheduler, now) = scheduler(1);
    scheduler.join(A, Capacity { concurrency: 4, ..PLAIN });
    assert_eq!(assigned(&mut scheduler, now), [(A, 1, false)]);
    scheduler.start(A, JobId(1), now).unwrap();
    let lost = scheduler.worker_lost(A, None, true, |_| true);
    assert_eq!(lost, Lost { begun: vec![1], unbegun: vec![] });
}

#[test]
fn one_worker_is_kept_free_for_a_job_that_must_be_run_alone() {
    let (mut scheduler, now) = scheduler(2);
    let concurrent = Capacity { concurrency: 2, ..PLAIN };
    scheduler.join(A, concurrent);
    assert_eq!(assigned(&mut scheduler, now).len(), 2);
    start(&mut scheduler, 1..=2, now);
    scheduler.worker_lost(A, None, true, |_| true);
    let (busy, reserved) = (B, WorkerId(3));
    scheduler.join(reserved, concurrent);
    assert_eq!(assigned(&mut scheduler, now), [(reserved, 1, false)]);
    scheduler.join(busy, concurrent);
    (3..=6).for_each(|job| scheduler.submit(JobId(job), job, None, now).unwrap());
    let others = assigned(&mut scheduler, now);
    assert_eq!(others, [(busy, 2, false)], "the second job is run alone too");
    scheduler.start(reserved, JobId(1), now).unwrap();
    scheduler.finish(reserved, JobId(1), now).unwrap();
    assert_eq!(assigned(&mut scheduler, now), [(reserved, 3, false), (reserved, 4, false)]);
}

#[test]
fn a_hanging_job_is_overdue_while_its_neighbours_go_on() {
    let (mut scheduler, begin) = scheduler(0);
    let limit = Some(Deadline { total: MILLISECOND * 10, grace: MILLISECOND * 5 });
    scheduler.join(A, Capacity { concurrency: 2, ..PLAIN });
    scheduler.submit(JobId(1), 1, limit, begin).unwrap();
    scheduler.submit(JobId(2), 2, None, begin).unwrap();
    assert_eq!(assigned(&mut scheduler, begin).len(), 2);
    start(&mut scheduler, 1..=2, begin);
    let expired = scheduler.due(begin + MILLISECOND * 10);
    assert!(matches!(expired, Some(Due::Expired(JobId(1), ..))));
    assert_eq!(scheduler.due(begin + MILLISECOND * 14), None);
    assert_eq!(scheduler.due(begin + MILLISECOND * 15), Some(Due::Overdue(A)));
    assert!(ended(scheduler.worker_lost(A, None, true, |_| true)).is_empty(), "2 is run again");
}
