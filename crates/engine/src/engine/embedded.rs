//! The engine of this process. All changes of its state happen here: those that requesters cause in
//! this file, and those that workers cause in `workers`.

mod job;
mod scrape;
mod workers;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ai_integration_contract::{Error, Kind};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use self::job::Job;
use crate::busy_poll::BusyPoll;
use crate::engine::revision::Revision;
use crate::engine::state::State;
use crate::housekeeping;
use crate::job::channel::Reading;
use crate::job::id::JobId;
use crate::job::request::Request;
use crate::job::ticket::{Jobs, Ticket};
use crate::link::message::{Ready, ToWorker};
use crate::metrics::Metrics;
use crate::model::Model;
use crate::scheduler::entry::{Deadline, Entry};
use crate::scheduler::worker::WorkerId;
use crate::scheduler::{Due, Scheduler};

/// The resolution of the runtime's timers. For a shorter time the clock task yields instead of
/// sleeping.
const TICK: Duration = Duration::from_millis(1);

/// The limits of the queue and of a job's time.
#[derive(Clone, Copy, Debug)]
pub struct JobLimits {
    /// Jobs that may wait for a worker.
    pub queue: usize,
    /// The time from the submission of a job to its outcome; `None` for no limit.
    pub timeout: Option<Duration>,
    /// The extra time after the timeout of a job before a worker that is still busy with it is
    /// killed.
    pub grace: Duration,
    /// True if a busy worker may be sent jobs in advance. That is for engines with one worker: with
    /// several, such a job would wait although another worker is free.
    pub prefetch: bool,
    /// True if each job of a failed batch is retried once, alone.
    pub retry: bool,
}

/// A handle to an engine in this process, whose workers join it. Requesters use it as an
/// [`Engine`](crate::Engine). Clones are handles to the same engine.
#[derive(Clone, Debug)]
pub struct Embedded(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    limits: JobLimits,
    /// The lock is never held across an await, so the engine's one thread never waits for it.
    core: Mutex<Core>,
    /// Wakes the clock task when the next alarm is earlier than the one that it waits for.
    earlier: Notify,
    busy_poll: BusyPoll,
    state: watch::Sender<State>,
    model: watch::Sender<Option<Arc<Model>>>,
    revision: watch::Sender<Revision>,
    metrics: Arc<Metrics>,
    shut_down: CancellationToken,
}

/// The state that changes, always under the lock in [`Inner`].
#[derive(Debug)]
struct Core {
    scheduler: Scheduler<Job>,
    workers: HashMap<WorkerId, Joined>,
    next_id: u64,
    failure: Option<Error>,
    /// The description that the model in [`Inner`] was made from.
    ready: Option<Ready>,
    waiting_for_idle: Vec<oneshot::Sender<()>>,
    /// The time at which the clock task wakes.
    alarm: Option<Instant>,
}

/// A worker that has joined the engine.
#[derive(Debug)]
struct Joined {
    /// The slot that it runs in.
    slot: usize,
    /// The channel to its executor.
    orders: mpsc::UnboundedSender<Order>,
}

/// An order to the executor of a worker.
#[derive(Debug)]
pub(crate) enum Order {
    /// Send a message to the worker.
    Send(ToWorker),
    /// Close the link: no more messages follow.
    Close,
    /// Kill the worker, whatever it does.
    End,
}

/// A request that is being received, for which a batch may wait. Drop it when the request has been
/// submitted, or will not be.
#[derive(Debug)]
pub struct Announcement(Embedded);

impl Embedded {
    /// Starts an engine. Must be called inside a tokio runtime.
    #[must_use]
    pub fn start(limits: JobLimits) -> Self {
        let engine = Embedded(Arc::new(Inner {
            limits,
            core: Mutex::new(Core {
                scheduler: Scheduler::new(limits.queue, limits.prefetch),
                workers: HashMap::new(),
                next_id: 1,
                failure: None,
                ready: None,
                waiting_for_idle: Vec::new(),
                alarm: None,
            }),
            earlier: Notify::new(),
            busy_poll: BusyPoll::default(),
            state: watch::channel(State::Starting).0,
            model: watch::channel(None).0,
            revision: watch::channel(Revision { number: fastrand::u32(..), broken: None }).0,
            metrics: Arc::default(),
            shut_down: CancellationToken::new(),
        }));
        tokio::spawn(engine.clone().watch_clock());
        engine.0.busy_poll.start();
        tokio::spawn(housekeeping::run());
        engine
    }

    /// Puts a request into the queue.
    pub(crate) fn submit(&self, request: Request) -> Result<Ticket, Error> {
        if !request.fits() {
            return Err(Error::new(Kind::TooLarge, "the inputs are too many or too large"));
        }
        let limits = &self.0.limits;
        let limit = self.limit(request.timeout);
        let deadline = limit.map(|total| Deadline { total, grace: limits.grace });
        let mut core = self.0.core();
        if let Some(error) = &core.failure {
            return Err(error.clone());
        }
        let id = JobId(core.next_id);
        core.next_id += 1;
        let now = Instant::now();
        let (job, ticket) = Job::new(request, id, self.0.clone(), now, self.0.metrics.clone());
        // A job that is refused is dropped here, so its ticket has nothing to cancel.
        let is_full = core.scheduler.submit(id, job, deadline, now).is_err();
        if is_full {
            let message = format!("{} requests are waiting already; try again later", limits.queue);
            // The first place becomes free earlier. But all refused clients are given this time, so
            // the queue should have room for many of them.
            let seconds = core.scheduler.time_to_drain().as_secs().saturating_add(1).min(3600);
            return Err(Error::new(Kind::QueueFull, message).with_retry_after(seconds));
        }
        self.0.settle(core, now);
        Ok(ticket)
    }

    /// Returns the timeout of a job whose request asks for `timeout`.
    pub(crate) fn limit(&self, timeout: Option<Duration>) -> Option<Duration> {
        timeout.into_iter().chain(self.0.limits.timeout).min()
    }

    /// Announces a request that is being received. Returns `None` if no batch would wait for it.
    pub(crate) fn announce(&self) -> Option<Announcement> {
        self.0.core().scheduler.announce().then(|| Announcement(self.clone()))
    }

    /// Returns the channel of the model, which is `None` until the model has described itself.
    pub(crate) fn model(&self) -> &watch::Sender<Option<Arc<Model>>> {
        &self.0.model
    }

    /// Returns the channel of the engine's state.
    pub(crate) fn state(&self) -> &watch::Sender<State> {
        &self.0.state
    }

    /// Returns the channel of the program's revision.
    pub(crate) fn revision(&self) -> &watch::Sender<Revision> {
        &self.0.revision
    }

    /// Returns the number of jobs that wait, and the number of jobs that workers hold.
    pub(crate) fn load(&self) -> (usize, usize) {
        let core = self.0.core();
        (core.scheduler.waiting(), core.scheduler.held())
    }

    /// Returns the number of jobs that the ready workers run at the same time.
    pub(crate) fn places(&self) -> usize {
        self.0.core().scheduler.places()
    }

    /// Returns the number of jobs that the workers of each slot hold.
    pub(crate) fn load_by_slot(&self) -> BTreeMap<usize, usize> {
        let core = self.0.core();
        let mut load = BTreeMap::new();
        for (worker, joined) in &core.workers {
            *load.entry(joined.slot).or_default() += core.scheduler.held_by(*worker);
        }
        load
    }

    /// Returns the engine's metrics.
    pub(crate) fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// Waits until every job has ended. New jobs may be submitted meanwhile.
    pub async fn idle(&self) {
        let _ = self.idleness().await;
    }

    fn idleness(&self) -> oneshot::Receiver<()> {
        let (sender, receiver) = oneshot::channel();
        let mut core = self.0.core();
        core.waiting_for_idle.push(sender);
        self.0.settle(core, Instant::now());
        receiver
    }

    /// Ends all jobs, waiting or running, with an error, and kills the workers.
    pub(crate) fn shut_down(&self) {
        self.fail(Embedded::shutting_down());
        self.0.shut_down.cancel();
    }

    /// Waits until the engine has been shut down.
    pub(crate) async fn is_shut_down(&self) {
        self.0.shut_down.cancelled().await;
    }

    /// Returns the error of a job whose requester reads so slowly that it blocks the model.
    pub(crate) fn read_too_slowly() -> Error {
        Error::new(Kind::Timeout, "the result was read too slowly, and blocked the model")
    }

    fn shutting_down() -> Error {
        Error::new(Kind::ShuttingDown, "the server is stopping and could not wait any longer")
    }

    /// Makes the engine fail: jobs that wait, and all later requests, end with this error.
    pub(crate) fn fail(&self, error: Error) {
        let mut core = self.0.core();
        for job in core.scheduler.take_waiting() {
            job.answer(Err(error.clone()));
        }
        core.failure = Some(error.clone());
        self.0.settle(core, Instant::now());
        self.0.state.send_replace(State::Failed(error));
    }

    /// Takes requests again after the engine has failed, because new workers are ready or starting.
    pub(crate) fn recover(&self) {
        let mut core = self.0.core();
        if self.0.shut_down.is_cancelled() || core.failure.take().is_none() {
            return;
        }
        self.0.publish(&core);
    }

    /// Runs the clock task: it ends jobs and workers at their deadlines, and hands out batches that
    /// have waited for further jobs.
    async fn watch_clock(self) {
        loop {
            let alarm = self.0.core().alarm;
            match alarm {
                None => self.0.earlier.notified().await,
                Some(at) if at <= Instant::now() => self.handle_due(),
                Some(at) if at - Instant::now() < TICK => yield_now().await,
                Some(at) => tokio::select! {
                    () = sleep_until(at) => {}
                    () = self.0.earlier.notified() => {}
                },
            }
        }
    }

    fn handle_due(&self) {
        let mut core = self.0.core();
        let now = Instant::now();
        while let Some(due) = core.scheduler.due(now) {
            match due {
                Due::Overdue(worker) => core.order(worker, Order::End),
                Due::Expired(id, dropped, limit) => {
                    // What is left of a client's limit has more digits than anybody reads.
                    let seconds = (limit.as_secs_f64() * 1e3).round() / 1e3;
                    let message = if dropped.holder.is_some() {
                        format!("the model did not answer within {seconds} s")
                    } else {
                        format!("the request timed out after {seconds} s in the queue")
                    };
                    core.send_cancel(dropped.holder, id);
                    dropped.job.answer(Err(Error::new(Kind::Timeout, message)));
                }
            }
        }
        core.alarm = None;
        self.0.settle(core, now);
    }
}

impl Inner {
    fn core(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Acts on a change of the state: hands out jobs, wakes tasks that wait for idleness, and sets
    /// the clock.
    fn settle(&self, mut core: MutexGuard<'_, Core>, now: Instant) {
        while let Some(next) = core.scheduler.assign(now) {
            if let Some(entry) = core.scheduler.entry(next.id) {
                entry.job.handed_out(now);
            }
            if let Some(size) = next.batch {
                self.metrics.batch(size);
            }
            if let Some(message) = core.scheduler.message(next.id, next.more) {
                core.order(next.worker, Order::Send(message));
            }
        }
        if !core.waiting_for_idle.is_empty() && core.scheduler.is_idle() {
            for waiting in core.waiting_for_idle.drain(..) {
                let _ = waiting.send(());
            }
        }
        self.busy_poll.wake();
        let alarm = core.scheduler.alarm();
        let is_earlier = alarm.is_some_and(|alarm| core.alarm.is_none_or(|known| alarm < known));
        if is_earlier {
            core.alarm = alarm;
            self.earlier.notify_one();
        }
    }

    /// Ends a job with an error while the model may still be working on it.
    fn abandon(&self, id: JobId, error: Error) {
        let mut core = self.core();
        if let Some(dropped) = core.scheduler.cancel(id) {
            core.send_cancel(dropped.holder, id);
            dropped.job.answer(Err(error));
            self.settle(core, Instant::now());
        }
    }

    fn publish(&self, core: &Core) {
        if core.failure.is_some() {
            return;
        }
        let state = match core.scheduler.workers() {
            0 => State::Starting,
            workers => State::Ready(workers),
        };
        self.state.send_if_modified(|known| std::mem::replace(known, state.clone()) != state);
    }
}

impl Jobs for Inner {
    fn cancel(&self, id: JobId) {
        let mut core = self.core();
        if let Some(dropped) = core.scheduler.cancel(id) {
            self.metrics.cancelled();
            core.send_cancel(dropped.holder, id);
            self.settle(core, Instant::now());
        }
    }

    fn position(&self, id: JobId) -> Option<usize> {
        self.core().scheduler.position(id)
    }

    fn reading(&self, id: JobId, reading: Reading) {
        match reading {
            Reading::Window(bytes) => {
                let core = self.core();
                if let Some(worker) = core.scheduler.entry(id).and_then(Entry::holder) {
                    core.order(worker, Order::Send(ToWorker::Window { id, bytes }));
                }
            }
            Reading::TooSlow => self.abandon(id, Embedded::read_too_slowly()),
        }
    }
}

impl Core {
    fn order(&self, worker: WorkerId, order: Order) {
        if let Some(joined) = self.workers.get(&worker) {
            // An executor that has ended calls `worker_lost` next.
            let _ = joined.orders.send(order);
        }
    }

    /// Closes the link of a worker that has drained: it holds no job and gets no more.
    fn close_if_drained(&self, worker: WorkerId) {
        if self.scheduler.is_done(worker) {
            self.order(worker, Order::Close);
        }
    }

    /// Sends `cancel` for a job to the worker that holds it, if any.
    fn send_cancel(&self, holder: Option<WorkerId>, id: JobId) {
        if let Some(worker) = holder {
            self.order(worker, Order::Send(ToWorker::Cancel(id)));
        }
    }
}

impl Scheduler<Job> {
    fn message(&self, id: JobId, more: bool) -> Option<ToWorker> {
        let entry = self.entry(id)?;
        let tell_start = entry.is_limited() || entry.job.is_followed();
        Some(ToWorker::Job { id, inputs: entry.job.inputs.clone(), more, tell_start })
    }
}

impl Drop for Announcement {
    fn drop(&mut self) {
        let engine = &self.0.0;
        let mut core = engine.core();
        core.scheduler.arrived();
        engine.settle(core, Instant::now());
    }
}

#[cfg(test)]
mod tests;
