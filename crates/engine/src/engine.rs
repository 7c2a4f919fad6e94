//! The engine's front door and the dispatcher behind it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use ai_integration_contract::{Error, Inputs, Kind};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::job::Job;
use crate::message::fits_frame;
use crate::scheduler::{Scheduler, WorkerId};
use crate::{JobId, Model, Ready, Ticket};

/// Events that may wait for a follower before they hold the model's stream up.
const EVENTS: usize = 64;

/// What the engine is up to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// No worker is ready yet, or none just now; jobs wait.
    Starting,
    /// This many workers are ready.
    Ready(usize),
    /// The model cannot be had; every job is answered with this error.
    Failed(Error),
}

/// A handle on the engine; clones are handles on the same one.
#[derive(Clone, Debug)]
pub struct Engine {
    commands: mpsc::UnboundedSender<Command>,
    queued: Arc<AtomicUsize>,
    capacity: usize,
    next_id: Arc<AtomicU64>,
    state: watch::Receiver<State>,
    model: watch::Receiver<Option<Arc<Model>>>,
    shut_down: CancellationToken,
}

/// What the dispatcher is told, in the order in which it happened.
#[derive(Debug)]
pub(crate) enum Command {
    Submit(Job),
    Join(WorkerId, mpsc::UnboundedSender<Job>, Ready),
    Finish(WorkerId),
    Leave(WorkerId, Vec<Job>),
    Fail(Error),
    NotifyIdle(oneshot::Sender<()>),
}

impl Engine {
    /// Starts an engine whose queue holds up to `capacity` jobs. Needs a runtime to run on.
    #[must_use]
    pub fn start(capacity: usize) -> Self {
        let (commands, receiver) = mpsc::unbounded_channel();
        let (state_sender, state) = watch::channel(State::Starting);
        let (model_sender, model) = watch::channel(None);
        let queued = Arc::new(AtomicUsize::new(0));
        let dispatcher = Dispatcher {
            scheduler: Scheduler::new(),
            assignments: HashMap::new(),
            queued: queued.clone(),
            state: state_sender,
            model: model_sender,
            ready: None,
            waiting_for_idle: Vec::new(),
        };
        tokio::spawn(dispatcher.run(receiver));
        let next_id = Arc::new(AtomicU64::new(1));
        let shut_down = CancellationToken::new();
        Engine { commands, queued, capacity, next_id, state, model, shut_down }
    }

    /// Puts a job into the queue. Chunks of the answer are put together in the outcome.
    pub fn submit(&self, inputs: Inputs) -> Result<Ticket, Error> {
        self.enqueue(inputs, false)
    }

    /// Puts a job into the queue and follows it: the ticket yields events, and chunks are only
    /// among these.
    pub fn follow(&self, inputs: Inputs) -> Result<Ticket, Error> {
        self.enqueue(inputs, true)
    }

    fn enqueue(&self, inputs: Inputs, followed: bool) -> Result<Ticket, Error> {
        if let State::Failed(error) = &*self.state.borrow() {
            return Err(error.clone());
        }
        if !fits_frame(&inputs) {
            return Err(Error::new(Kind::TooLarge, "the inputs are too many or too large"));
        }
        if self.queued.fetch_add(1, Ordering::Relaxed) >= self.capacity {
            self.queued.fetch_sub(1, Ordering::Relaxed);
            let message =
                format!("{} requests are waiting already; try again later", self.capacity);
            return Err(Error::new(Kind::QueueFull, message));
        }
        let id = JobId(self.next_id.fetch_add(1, Ordering::Relaxed));
        let (outcome_sender, outcome) = oneshot::channel();
        let (event_sender, events) = match followed.then(|| mpsc::channel(EVENTS)) {
            Some((sender, receiver)) => (Some(sender), Some(receiver)),
            None => (None, None),
        };
        let inputs = Arc::new(inputs);
        let job = Job { id, inputs, outcome: outcome_sender, losses: 0, events: event_sender };
        self.tell(Command::Submit(job));
        Ok(Ticket { id, outcome, events })
    }

    /// Waits until the model has described itself, or is known not to.
    pub async fn model(&self) -> Result<Arc<Model>, Error> {
        let mut model = self.model.clone();
        let mut state = self.state.clone();
        loop {
            if let Some(model) = &*model.borrow_and_update() {
                return Ok(model.clone());
            }
            if let State::Failed(error) = &*state.borrow_and_update() {
                return Err(error.clone());
            }
            let gone = tokio::select! {
                changed = model.changed() => changed.is_err(),
                changed = state.changed() => changed.is_err(),
            };
            if gone {
                return Err(Error::new(Kind::ShuttingDown, "the server is stopping"));
            }
        }
    }

    /// The model, if it has described itself already.
    #[must_use]
    pub fn model_now(&self) -> Option<Arc<Model>> {
        self.model.borrow().clone()
    }

    /// What the engine is up to, now and as it changes.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<State> {
        self.state.clone()
    }

    /// Jobs that wait for a worker.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.queued.load(Ordering::Relaxed)
    }

    /// Waits until every job has ended. Nothing stops new ones meanwhile.
    pub async fn idle(&self) {
        let (sender, receiver) = oneshot::channel();
        self.tell(Command::NotifyIdle(sender));
        let _ = receiver.await;
    }

    /// Ends everything that is still going on: jobs that wait or run are answered with an error,
    /// and workers are ended.
    pub fn shut_down(&self) {
        self.fail(Engine::shutting_down());
        self.shut_down.cancel();
    }

    /// Waits until the engine has been shut down.
    pub(crate) async fn is_shut_down(&self) {
        self.shut_down.cancelled().await;
    }

    /// What a job is told that ended with the engine rather than with its worker, if it did.
    pub(crate) fn shut_down_error(&self) -> Option<Error> {
        self.shut_down.is_cancelled().then(Engine::shutting_down)
    }

    fn shutting_down() -> Error {
        Error::new(Kind::ShuttingDown, "the server is stopping and could not wait any longer")
    }

    /// Gives the model up: jobs that wait, and all that follow, are answered with this error.
    pub(crate) fn fail(&self, error: Error) {
        self.tell(Command::Fail(error));
    }

    pub(crate) fn tell(&self, command: Command) {
        // The dispatcher outlives its handles; when the runtime itself is gone nobody waits.
        let _ = self.commands.send(command);
    }
}

/// Owns the queue and decides, one command after the other, who works on what.
struct Dispatcher {
    scheduler: Scheduler<Job>,
    assignments: HashMap<WorkerId, mpsc::UnboundedSender<Job>>,
    queued: Arc<AtomicUsize>,
    state: watch::Sender<State>,
    model: watch::Sender<Option<Arc<Model>>>,
    /// The description from which `model` was made.
    ready: Option<Ready>,
    waiting_for_idle: Vec<oneshot::Sender<()>>,
}

impl Dispatcher {
    async fn run(mut self, mut commands: mpsc::UnboundedReceiver<Command>) {
        while let Some(command) = commands.recv().await {
            self.carry_out(command);
            self.dispatch();
            if !self.waiting_for_idle.is_empty() && self.scheduler.is_idle() {
                for waiting in self.waiting_for_idle.drain(..) {
                    let _ = waiting.send(());
                }
            }
        }
    }

    fn carry_out(&mut self, command: Command) {
        match command {
            Command::Submit(job) => {
                let failure = match &*self.state.borrow() {
                    State::Failed(error) => Some(error.clone()),
                    State::Starting | State::Ready(_) => None,
                };
                match failure {
                    Some(error) => self.refuse(job, error),
                    None => self.scheduler.submit(job),
                }
            }
            Command::Join(worker, assignments, ready) => {
                self.describe(ready);
                self.assignments.insert(worker, assignments);
                self.scheduler.join(worker);
                self.publish_workers();
            }
            Command::Finish(worker) => self.scheduler.finish(worker),
            Command::Leave(worker, unstarted) => {
                self.assignments.remove(&worker);
                self.queued.fetch_add(unstarted.len(), Ordering::Relaxed);
                self.scheduler.leave(worker, unstarted);
                self.publish_workers();
            }
            Command::Fail(error) => {
                for job in self.scheduler.take_waiting() {
                    self.refuse(job, error.clone());
                }
                self.state.send_replace(State::Failed(error));
            }
            Command::NotifyIdle(waiting) => self.waiting_for_idle.push(waiting),
        }
    }

    fn dispatch(&mut self) {
        while let Some((worker, job)) = self.scheduler.assign() {
            self.queued.fetch_sub(1, Ordering::Relaxed);
            if !job.is_wanted() {
                self.scheduler.finish(worker);
                continue;
            }
            let assigned = self.assignments.get(&worker).map(|sender| sender.send(job));
            if let Some(Err(mpsc::error::SendError(job))) = assigned {
                // The executor has ended and its `Leave` is on the way.
                self.queued.fetch_add(1, Ordering::Relaxed);
                self.assignments.remove(&worker);
                self.scheduler.leave(worker, vec![job]);
            }
        }
    }

    fn refuse(&self, job: Job, error: Error) {
        self.queued.fetch_sub(1, Ordering::Relaxed);
        job.answer(Err(error));
    }

    fn describe(&mut self, ready: Ready) {
        if self.ready.as_ref() == Some(&ready) {
            return;
        }
        self.ready = Some(ready.clone());
        let (model, warnings) = Model::describe(ready);
        for warning in warnings {
            tracing::warn!("{warning}");
        }
        self.model.send_replace(Some(Arc::new(model)));
    }

    fn publish_workers(&self) {
        if matches!(&*self.state.borrow(), State::Failed(_)) {
            return;
        }
        let state = match self.scheduler.workers() {
            0 => State::Starting,
            workers => State::Ready(workers),
        };
        self.state.send_replace(state);
    }
}

#[cfg(test)]
mod tests;
