//! The loop of a Rust model: it receives jobs and sends results.

use std::cell::RefCell;
use std::collections::{HashSet, VecDeque};
use std::io;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;

use ai_integration_contract::{Data, Outcome};
use ai_integration_engine::{FromWorker, JobId, Ready, ToWorker, WorkerSide};

use crate::inputs::Inputs;
use crate::invalid_input::InvalidInput;

/// The error that a request gets if the model drops its job without a result.
const UNANSWERED: &str = "Programming Error: the model ended the job without sending a result";
/// The error of a job that was cancelled before the model started it. No client reads it.
const CANCELLED: &str = "the request was cancelled";

/// The maximum number of cancelled jobs that are remembered.
const CANCELLATIONS: usize = 10_000;

/// The error for a cancelled request, whose result is not needed any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{CANCELLED}")]
pub struct Cancelled;

/// The jobs of a worker, one at a time. The iterator ends when the engine shuts down.
#[derive(Debug)]
pub struct Jobs<T = Inputs>(JobSource<T>);

/// The jobs of a worker in batches. The iterator ends when the engine shuts down.
#[derive(Debug)]
pub struct Batches<T = Inputs>(JobSource<T>);

#[derive(Debug)]
struct JobSource<T> {
    link: Rc<RefCell<WorkerLink>>,
    /// Converts the inputs of a job to the type that the model reads.
    read: fn(Inputs) -> Result<T, InvalidInput>,
    /// The message that tells the engine that the model is loaded. It is sent when the model asks
    /// for its first job.
    ready: Option<Ready>,
}

#[derive(Debug)]
struct WorkerLink {
    end: WorkerSide,
    received: VecDeque<Received>,
    cancelled: HashSet<JobId>,
}

#[derive(Debug)]
struct Received {
    id: JobId,
    inputs: Arc<ai_integration_contract::Inputs>,
    /// True if the next job belongs to the same batch.
    more: bool,
}

impl WorkerLink {
    fn receive(&mut self, message: ToWorker) {
        match message {
            ToWorker::Job { id, inputs, more, .. } => {
                self.received.push_back(Received { id, inputs, more });
            }
            ToWorker::Cancel(id) => {
                // The id of a cancelled job that has already ended is never removed, so the set is
                // bounded.
                if self.cancelled.len() < CANCELLATIONS {
                    self.cancelled.insert(id);
                }
            }
            ToWorker::Window { .. } | ToWorker::Unknown => {}
        }
    }

    /// Reads the messages that have arrived, without blocking.
    fn read_arrived(&mut self) {
        // If the engine has ended, the next call of `batch` returns an error.
        while let Ok(Some(message)) = self.end.poll() {
            self.receive(message);
        }
    }

    fn next(&mut self) -> io::Result<Option<Received>> {
        loop {
            if let Some(received) = self.received.pop_front() {
                return Ok(Some(received));
            }
            match self.end.receive()? {
                Some(message) => self.receive(message),
                None => return Ok(None),
            }
        }
    }
}

impl<T> JobSource<T> {
    fn new(end: WorkerSide, ready: Ready, read: fn(Inputs) -> Result<T, InvalidInput>) -> Self {
        let link = WorkerLink { end, received: VecDeque::new(), cancelled: HashSet::new() };
        JobSource { link: Rc::new(RefCell::new(link)), read, ready: Some(ready) }
    }

    /// Returns the jobs of the next batch, or `None` when the engine shuts down. A batch ends with
    /// the first job whose `more` is false.
    fn batch(&mut self) -> io::Result<Option<Vec<Job<T>>>> {
        let mut link = self.link.borrow_mut();
        if let Some(ready) = self.ready.take() {
            link.end.send(FromWorker::Ready(ready))?;
        }
        let mut jobs = Vec::new();
        loop {
            let Some(Received { id, inputs, more }) = link.next()? else { return Ok(None) };
            link.end.send(FromWorker::Start(id, None))?;
            if link.cancelled.contains(&id) {
                link.end.send(FromWorker::Result(id, Outcome::failure(CANCELLED)))?;
            } else {
                match (self.read)(Inputs(inputs)) {
                    Ok(inputs) => {
                        jobs.push(Job { id, inputs, link: self.link.clone(), is_open: true });
                    }
                    Err(invalid) => {
                        link.end.send(FromWorker::InvalidInputs(id, vec![invalid.into()]))?;
                    }
                }
            }
            if !more && !jobs.is_empty() {
                return Ok(Some(jobs));
            }
        }
    }
}

impl<T> Jobs<T> {
    pub(crate) fn new(
        end: WorkerSide,
        ready: Ready,
        read: fn(Inputs) -> Result<T, InvalidInput>,
    ) -> Self {
        Jobs(JobSource::new(end, ready, read))
    }
}

impl<T> Batches<T> {
    pub(crate) fn new(
        end: WorkerSide,
        ready: Ready,
        read: fn(Inputs) -> Result<T, InvalidInput>,
    ) -> Self {
        Batches(JobSource::new(end, ready, read))
    }
}

impl<T> Iterator for Jobs<T> {
    type Item = Job<T>;

    fn next(&mut self) -> Option<Job<T>> {
        // A broken link means that the engine has ended, so the error cannot be reported to anyone.
        // `ready` asks for no batches, so each batch has one job.
        self.0.batch().ok()??.pop()
    }
}

impl<T> Iterator for Batches<T> {
    type Item = Vec<Job<T>>;

    fn next(&mut self) -> Option<Vec<Job<T>>> {
        self.0.batch().ok()?
    }
}

/// One request to the model. It dereferences to its inputs.
///
/// ```no_run
/// use ai_integration::{InvalidInput, Model, Outcome, json};
///
/// let schema = json!({"text": {"type": "text"}});
/// for job in Model::new(schema).jobs() {
///     let words: Vec<&str> = job.text("text").split_whitespace().collect();
///     if words.is_empty() {
///         job.refuse(InvalidInput::new("text", "it has no words"));
///         continue;
///     }
///     // A client that leaves cancels its job; the model can stop early.
///     let is_cancelled = words.iter().any(|word| job.send_chunk("text/plain", *word).is_err());
///     job.send(if is_cancelled { Outcome::failure("cancelled") } else { Outcome::text("") });
/// }
/// ```
#[derive(Debug)]
pub struct Job<T = Inputs> {
    id: JobId,
    inputs: T,
    link: Rc<RefCell<WorkerLink>>,
    is_open: bool,
}

impl<T> Job<T> {
    /// Sends the result of the request.
    pub fn send(mut self, outcome: Outcome) {
        self.finish(FromWorker::Result(self.id, outcome));
    }

    /// Refuses the request because of an input. Over HTTP the client gets status 422. The request
    /// does not count as a failure of the model.
    pub fn refuse(mut self, invalid: InvalidInput) {
        self.finish(FromWorker::InvalidInputs(self.id, vec![invalid.into()]));
    }

    /// Sends a chunk of the result, text or bytes. A client that reads the result as a stream gets
    /// the chunk at once; for other clients the chunks are joined. After the last chunk, call
    /// [`Job::send`] with an outcome without data.
    pub fn send_chunk(&self, content_type: &str, data: impl Into<Data>) -> Result<(), Cancelled> {
        self.send_event(FromWorker::Chunk(self.id, Some(content_type.to_owned()), data.into()))
    }

    /// Reports progress: the fraction that is done, from 0 to 1, and what the model is doing.
    pub fn progress(&self, fraction: f64, message: &str) -> Result<(), Cancelled> {
        self.send_event(FromWorker::Progress(self.id, Some(fraction), Some(message.to_owned())))
    }

    /// Returns true if the request was cancelled. Does not block.
    #[must_use]
    pub fn cancelled(&self) -> bool {
        let mut link = self.link.borrow_mut();
        link.read_arrived();
        link.cancelled.contains(&self.id)
    }

    fn finish(&mut self, message: FromWorker) {
        if !std::mem::replace(&mut self.is_open, false) {
            return;
        }
        let mut link = self.link.borrow_mut();
        // If the engine has ended, the next call of `batch` returns an error.
        if let Err(error) = link.end.send(message)
            && error.kind() == io::ErrorKind::InvalidData
        {
            let failure = Outcome::failure(format!("the result cannot be sent: {error}"));
            let _ = link.end.send(FromWorker::Result(self.id, failure));
        }
        link.cancelled.remove(&self.id);
    }

    fn send_event(&self, message: FromWorker) -> Result<(), Cancelled> {
        if self.cancelled() {
            return Err(Cancelled);
        }
        let _ = self.link.borrow_mut().end.send(message);
        Ok(())
    }
}

impl<T> Deref for Job<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.inputs
    }
}

impl<T> Drop for Job<T> {
    fn drop(&mut self) {
        // After a panic the process ends, and the engine reports the panic's message to the client.
        if self.is_open && !std::thread::panicking() {
            self.finish(FromWorker::Result(self.id, Outcome::failure(UNANSWERED)));
        }
    }
}
