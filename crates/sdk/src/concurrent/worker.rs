//! The link of a worker that several jobs share.

use std::any::Any;
use std::collections::HashMap;
use std::error::Error;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ai_integration_contract::{Data, Outcome};
use ai_integration_engine::{FromWorker, JobId, Ready, ToWorker, WINDOW, WorkerSender, WorkerSide};

use crate::concurrent::flow::Flow;
use crate::inputs::Inputs;
use crate::invalid_input::InvalidInput;
use crate::job::Cancelled;

/// A model that takes several requests at a time, with the link to the engine.
#[derive(Debug)]
pub(crate) struct Worker<T> {
    pub(crate) link: WorkerSide,
    pub(crate) ready: Ready,
    /// Converts the inputs of a job to the type that the model reads.
    pub(crate) read: fn(Inputs) -> Result<T, InvalidInput>,
}

/// The part of a worker that its jobs share.
#[derive(Debug)]
pub(super) struct Shared {
    sender: Mutex<WorkerSender>,
    /// The jobs that the worker holds: those that run, and those that wait.
    flows: Mutex<HashMap<JobId, Arc<Flow>>>,
    window: usize,
}

/// A job that the model has not started yet.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) line: Line,
    pub(super) inputs: Inputs,
}

/// A job's part of the link.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) id: JobId,
    pub(super) flow: Arc<Flow>,
    shared: Arc<Shared>,
}

/// The value that the model returned for a job, or its panic.
pub(super) type Done = Result<Result<Outcome, Box<dyn Error>>, Box<dyn Any + Send>>;

impl Shared {
    pub(super) fn new(link: &WorkerSide, concurrency: usize) -> io::Result<Arc<Self>> {
        Ok(Arc::new(Shared {
            sender: Mutex::new(link.sender()?),
            flows: Mutex::default(),
            // The engine sends `window` only to a worker that takes several jobs at a time.
            window: if concurrency > 1 { WINDOW } else { usize::MAX },
        }))
    }

    /// Reports that the model is loaded. Then passes the jobs on, until the engine closes the link.
    pub(super) fn read(
        self: &Arc<Self>,
        mut link: WorkerSide,
        ready: Ready,
        mut pass_on: impl FnMut(Waiting),
    ) {
        self.send(FromWorker::Ready(ready));
        // A broken link means that the engine has ended, so the error cannot be reported to anyone.
        while let Ok(Some(message)) = link.receive() {
            match message {
                ToWorker::Job { id, inputs, .. } => {
                    let flow = Arc::new(Flow::new(self.window));
                    lock(&self.flows).insert(id, flow.clone());
                    let line = Line { id, flow, shared: self.clone() };
                    pass_on(Waiting { line, inputs: Inputs(inputs) });
                }
                ToWorker::Cancel(id) => self.with_flow(id, Flow::cancel),
                ToWorker::Window { id, bytes } => self.with_flow(id, |flow| flow.add(bytes)),
                ToWorker::Unknown => {}
            }
        }
        // The engine closes the link of a worker that has no jobs. If some are left, the engine has
        // ended, and nobody waits for them.
        lock(&self.flows).values().for_each(|flow| flow.cancel());
    }

    fn with_flow(&self, id: JobId, change: impl FnOnce(&Flow)) {
        if let Some(flow) = lock(&self.flows).get(&id) {
            change(flow);
        }
    }

    /// Sends a message. If the engine has ended, the reader of the link ends the program.
    fn send(&self, message: FromWorker) {
        let _ = lock(&self.sender).send(message);
    }
}

impl Line {
    /// Reports that the model starts the job.
    pub(super) fn start(&self) {
        self.shared.send(FromWorker::Start(self.id, None));
    }

    /// Sends a chunk for which there is room in the window.
    pub(super) fn send_chunk(&self, content_type: &str, data: Data) {
        self.shared.send(FromWorker::Chunk(self.id, Some(content_type.to_owned()), data));
    }

    pub(super) fn progress(&self, fraction: f64, message: &str) -> Result<(), Cancelled> {
        if self.flow.is_cancelled() {
            return Err(Cancelled);
        }
        let message = Some(message.to_owned());
        self.shared.send(FromWorker::Progress(self.id, Some(fraction), message));
        Ok(())
    }

    /// Sends the message that ends the job.
    pub(super) fn finish(&self, done: Done) {
        lock(&self.shared.flows).remove(&self.id);
        let mut sender = lock(&self.shared.sender);
        if let Err(error) = sender.send(self.end(done))
            && error.kind() == io::ErrorKind::InvalidData
        {
            let failure = Outcome::failure(format!("the result cannot be sent: {error}"));
            let _ = sender.send(FromWorker::Result(self.id, failure));
        }
    }

    fn end(&self, done: Done) -> FromWorker {
        let outcome = match done {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(error)) => match error.downcast::<InvalidInput>() {
                Ok(invalid) => return FromWorker::InvalidInputs(self.id, vec![(*invalid).into()]),
                Err(error) => Outcome::failure(error.to_string()),
            },
            Err(panic) => Outcome::failure(format!("the model panicked: {}", text(panic.as_ref()))),
        };
        FromWorker::Result(self.id, outcome)
    }
}

/// Returns the message of a panic.
fn text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

/// Locks a mutex. No code of the model runs under these locks, so a panic leaves them intact.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
