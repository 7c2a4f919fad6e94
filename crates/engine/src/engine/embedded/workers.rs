//! The engine as executors see it: they report that a worker is ready, what happens to its jobs,
//! and that it is lost.

use std::sync::Arc;

use ai_integration_contract::{Error, Outcome};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::job::Job;
use super::{Embedded, Joined, Order};
use crate::job::event::Event;
use crate::job::id::JobId;
use crate::link::message::Ready;
use crate::scheduler::worker::{Capacity, OutOfTurn, WorkerId};
use crate::scheduler::{Lost, Scheduler};

impl Embedded {
    /// Adds a worker of a slot that is ready, for up to `quota` jobs. Returns the channel of the
    /// orders for it.
    pub(crate) fn join(
        &self,
        worker: WorkerId,
        slot: usize,
        ready: Ready,
        quota: Option<u64>,
    ) -> mpsc::UnboundedReceiver<Order> {
        let (sender, orders) = mpsc::unbounded_channel();
        let mut core = self.0.core();
        core.scheduler.set_batching(ready.batch);
        let is_new = core.ready.as_ref() != Some(&ready);
        core.ready = Some(ready.clone());
        core.workers.insert(worker, Joined { slot, orders: sender });
        let capacity =
            Capacity { quota, concurrency: ready.concurrency(), keeps_board: ready.board };
        core.scheduler.join(worker, capacity);
        if is_new {
            let (model, warnings) = ready.describe();
            for warning in warnings {
                tracing::warn!("{warning}");
            }
            self.0.model.send_replace(Some(Arc::new(model)));
        }
        self.0.publish(&core);
        self.0.settle(core, Instant::now());
        orders
    }

    /// Records that the worker has handed a job to the model.
    pub(crate) fn start_job(&self, worker: WorkerId, id: JobId) -> Result<(), OutOfTurn> {
        let now = Instant::now();
        let mut core = self.0.core();
        if let Some(job) = core.scheduler.start(worker, id, now)? {
            job.offer(Event::Started);
        }
        self.0.settle(core, now);
        Ok(())
    }

    /// Calls `act` with a job that the worker runs. Returns `None` if nobody waits for the job any
    /// more.
    pub(crate) fn with_job<T>(
        &self,
        worker: WorkerId,
        id: JobId,
        act: impl FnOnce(&mut Job) -> T,
    ) -> Result<Option<T>, OutOfTurn> {
        Ok(self.0.core().scheduler.running(worker, id, Instant::now())?.map(act))
    }

    /// Passes a line that the worker printed on to the jobs that it runs. `text_for` returns the
    /// part of the line that belongs to a job, if any.
    pub(crate) fn log(&self, worker: WorkerId, text_for: impl Fn(JobId) -> Option<String>) {
        for (id, job) in self.0.core().scheduler.all_running(worker) {
            if let Some(text) = text_for(id) {
                job.offer(Event::Log(text));
            }
        }
    }

    /// Ends a job that the worker has finished, with its outcome, or with an error if the worker
    /// refused its inputs.
    pub(crate) fn finish(
        &self,
        worker: WorkerId,
        id: JobId,
        end: Result<Outcome, Error>,
    ) -> Result<(), OutOfTurn> {
        self.end(worker, end, |scheduler, now| scheduler.finish(worker, id, now))
    }

    /// Ends a job whose batch has failed as a whole, or retries it alone if that is allowed.
    pub(crate) fn fail_with_batch(
        &self,
        worker: WorkerId,
        id: JobId,
        outcome: Outcome,
    ) -> Result<(), OutOfTurn> {
        self.end(worker, Ok(outcome), |scheduler, now| {
            scheduler.fail_with_batch(worker, id, now, |job| self.may_run_again(job))
        })
    }

    /// Ends the job that `take` takes out of the scheduler, if any.
    fn end(
        &self,
        worker: WorkerId,
        end: Result<Outcome, Error>,
        take: impl FnOnce(&mut Scheduler<Job>, Instant) -> Result<Option<Job>, OutOfTurn>,
    ) -> Result<(), OutOfTurn> {
        let now = Instant::now();
        let mut core = self.0.core();
        let job = take(&mut core.scheduler, now)?;
        core.close_if_drained(worker);
        self.0.settle(core, now);
        if let Some(job) = job {
            job.answer(end);
        }
        Ok(())
    }

    fn may_run_again(&self, job: &Job) -> bool {
        // A client that has read chunks of the first run could not use those of a second one.
        self.0.limits.retry && !job.has_chunks() && !self.0.shut_down.is_cancelled()
    }

    /// Ends a job with an error while the model may still be working on it.
    pub(crate) fn abandon(&self, id: JobId, error: Error) {
        self.0.abandon(id, error);
    }

    /// Gives the worker no more jobs, and closes its link once it has finished those that it has.
    /// The link stays open until then because these jobs may be cancelled.
    pub(crate) fn drain(&self, worker: WorkerId) {
        let mut core = self.0.core();
        core.scheduler.drain(worker);
        core.close_if_drained(worker);
        self.0.publish(&core);
    }

    /// Pauses or resumes sending jobs to the worker, which has asked for that.
    pub(crate) fn pause(&self, worker: WorkerId, paused: bool) {
        let mut core = self.0.core();
        let now = Instant::now();
        core.scheduler.pause(worker, paused, now);
        self.0.settle(core, now);
    }

    /// Returns true if the worker holds no job.
    pub(crate) fn is_free(&self, worker: WorkerId) -> bool {
        self.0.core().scheduler.is_free(worker)
    }

    /// Removes a worker that is lost and had started every job up to `last`. A job that it had
    /// started fails with `error`, or is retried alone if it was in a batch. The others go back
    /// into the queue. But a job fails if too many workers ended when they were about to start it;
    /// `crashed` says how this worker ended. The argument of `error` is true for a job that had
    /// been started.
    pub(crate) fn worker_lost(
        &self,
        worker: WorkerId,
        last: Option<JobId>,
        crashed: bool,
        error: impl Fn(bool) -> Error,
    ) {
        let mut core = self.0.core();
        core.workers.remove(&worker);
        let Lost { begun, unbegun } =
            core.scheduler.worker_lost(worker, last, crashed, |job| self.may_run_again(job));
        let stopped = self.0.shut_down.is_cancelled().then(Embedded::shutting_down);
        for job in begun {
            job.answer(Err(stopped.clone().unwrap_or_else(|| error(true))));
        }
        for job in unbegun {
            job.answer(Err(stopped.clone().unwrap_or_else(|| error(false))));
        }
        if let Some(error) = core.failure.clone() {
            for job in core.scheduler.take_waiting() {
                job.answer(Err(error.clone()));
            }
        }
        self.0.publish(&core);
        self.0.settle(core, Instant::now());
    }
}
