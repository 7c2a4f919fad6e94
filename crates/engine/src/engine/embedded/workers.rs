//! The engine as its workers' executors see it: who is ready, what has come of a job, who is lost.

use std::sync::Arc;

use ai_integration_contract::{Error, Outcome};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::job::Job;
use super::{Embedded, Order};
use crate::job::event::Event;
use crate::job::id::JobId;
use crate::link::message::Ready;
use crate::scheduler::worker::{OutOfTurn, WorkerId};
use crate::scheduler::{Lost, Scheduler};

impl Embedded {
    /// A worker is ready, for up to `quota` jobs. Answers with what it is told to do.
    pub(crate) fn join(
        &self,
        worker: WorkerId,
        ready: Ready,
        quota: Option<u64>,
    ) -> mpsc::UnboundedReceiver<Order> {
        let (sender, orders) = mpsc::unbounded_channel();
        let mut core = self.0.core();
        core.scheduler.set_batching(ready.batch);
        let is_news = core.ready.as_ref() != Some(&ready);
        core.ready = Some(ready.clone());
        core.orders.insert(worker, sender);
        let now = Instant::now();
        core.scheduler.join(worker, quota, ready.board, now);
        if is_news {
            let (model, warnings) = ready.describe();
            for warning in warnings {
                tracing::warn!("{warning}");
            }
            self.0.model.send_replace(Some(Arc::new(model)));
        }
        self.0.publish(&core);
        self.0.settle(core, now);
        orders
    }

    /// The worker has handed a job to the model.
    pub(crate) fn start_job(&self, worker: WorkerId, id: JobId) -> Result<(), OutOfTurn> {
        let now = Instant::now();
        let mut core = self.0.core();
        if let Some(job) = core.scheduler.start(worker, id, now)? {
            job.offer(Event::Started);
        }
        self.0.settle(core, now);
        Ok(())
    }

    /// Lets a job that the worker works on hear something; `None` when nobody waits for it.
    pub(crate) fn with_job<T>(
        &self,
        worker: WorkerId,
        id: JobId,
        act: impl FnOnce(&mut Job) -> T,
    ) -> Result<Option<T>, OutOfTurn> {
        Ok(self.0.core().scheduler.running(worker, id, Instant::now())?.map(act))
    }

    /// Passes a line that the worker printed on to the jobs that it has words for.
    pub(crate) fn log(&self, worker: WorkerId, words_for: impl Fn(JobId) -> Option<String>) {
        for (id, job) in self.0.core().scheduler.all_running(worker) {
            if let Some(words) = words_for(id) {
                job.offer(Event::Log(words));
            }
        }
    }

    /// The worker is done with a job, which has an outcome, or was refused before the model saw it.
    pub(crate) fn finish(
        &self,
        worker: WorkerId,
        id: JobId,
        end: Result<Outcome, Error>,
    ) -> Result<(), OutOfTurn> {
        self.end(worker, end, |scheduler, now| scheduler.finish(worker, id, now))
    }

    /// The batch that the job was in has failed as a whole. The job is run again by itself where that
    /// is right, and otherwise answered.
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

    /// Answers the job that `take` takes out of the scheduler, if it takes one.
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
        // What a client has read of one run does not go on in another.
        self.0.limits.retry && !job.has_chunks() && !self.0.shut_down.is_cancelled()
    }

    /// A job that the model may still be working on is answered ahead of its end.
    pub(crate) fn abandon(&self, id: JobId, error: Error) {
        let mut core = self.0.core();
        if let Some(dropped) = core.scheduler.cancel(id) {
            core.recall(dropped.holder, id);
            dropped.job.answer(Err(error));
            self.0.settle(core, Instant::now());
        }
    }

    /// The worker is to get no more jobs, and is told so once it has ended those that it has: until
    /// then they may be cancelled.
    pub(crate) fn drain(&self, worker: WorkerId) {
        let mut core = self.0.core();
        core.scheduler.drain(worker);
        core.close_if_drained(worker);
        self.0.publish(&core);
    }

    /// The worker wants no further jobs for now, or does again.
    pub(crate) fn pause(&self, worker: WorkerId, paused: bool) {
        let mut core = self.0.core();
        let now = Instant::now();
        core.scheduler.pause(worker, paused, now);
        self.0.settle(core, now);
    }

    /// Tells whether the worker holds no job.
    pub(crate) fn is_free(&self, worker: WorkerId) -> bool {
        self.0.core().scheduler.is_free(worker)
    }

    /// A worker is gone, which had started everything up to the job `last`: what it worked on fails
    /// with `error`, or is run again by itself if it was in a batch. The rest goes back into the
    /// queue, but for jobs at which workers keep ending, or have `crashed`, before they begin them.
    /// `error` is told whether the job had begun.
    pub(crate) fn worker_lost(
        &self,
        worker: WorkerId,
        last: Option<JobId>,
        crashed: bool,
        error: impl Fn(bool) -> Error,
    ) {
        let mut core = self.0.core();
        core.orders.remove(&worker);
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
