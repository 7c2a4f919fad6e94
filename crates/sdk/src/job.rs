//! The loop of a Rust model: jobs come, answers go.

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

/// What is answered for a job that is dropped without an answer.
const UNANSWERED: &str = "Programming Error: the model ended the job without sending a result";
/// What is answered for a job that is not worked on any further; nobody reads it.
const CANCELLED: &str = "the request was cancelled";

/// Cancellations that are remembered.
const CANCELLATIONS: usize = 10_000;

/// Nobody waits for the job any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{CANCELLED}")]
pub struct Cancelled;

/// The jobs of a worker, one by one as they come. Ends when there are no more.
#[derive(Debug)]
pub struct Jobs<T = Inputs>(JobSource<T>);

/// The jobs of a worker, in batches. Ends when there are no more.
#[derive(Debug)]
pub struct Batches<T = Inputs>(JobSource<T>);

#[derive(Debug)]
struct JobSource<T> {
    link: Rc<RefCell<WorkerLink>>,
    /// Makes of the inputs what the model takes.
    read: fn(Inputs) -> Result<T, InvalidInput>,
    /// Sent with the first request for a job.
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
    /// True where the next one belongs to the same batch.
    more: bool,
}

impl WorkerLink {
    fn receive(&mut self, message: ToWorker) {
        match message {
            ToWorker::Job { id, inputs, more, .. } => {
                self.received.push_back(Received { id, inputs, more });
            }
            ToWorker::Cancel(id) => {
                // What came too late is never forgotten; there is little of it.
                if self.cancelled.len() < CANCELLATIONS {
                    self.cancelled.insert(id);
                }
            }
            ToWorker::Unknown => {}
        }
    }

    /// Takes in what has come meanwhile.
    fn look(&mut self) {
        // An engine that is gone is noticed when the next job is asked for.
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

    /// The next jobs, whose `more` says where they end; `None` when there are no more.
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
        // A broken link means that the engine is gone, and with it whoever could be told. Without
        // a word on batches in `ready` each has one member.
        self.0.batch().ok()??.pop()
    }
}

impl<T> Iterator for Batches<T> {
    type Item = Vec<Job<T>>;

    fn next(&mut self) -> Option<Vec<Job<T>>> {
        self.0.batch().ok()?
    }
}

/// One request to the model. It reads like its inputs.
#[derive(Debug)]
pub struct Job<T = Inputs> {
    id: JobId,
    inputs: T,
    link: Rc<RefCell<WorkerLink>>,
    is_open: bool,
}

impl<T> Job<T> {
    /// Answers the request.
    pub fn send(mut self, outcome: Outcome) {
        self.finish(FromWorker::Result(self.id, outcome));
    }

    /// Answers the request with what is wrong with an input: over HTTP with status 422. The model has
    /// not failed then, but the client.
    pub fn refuse(mut self, invalid: InvalidInput) {
        self.finish(FromWorker::InvalidInputs(self.id, vec![invalid.into()]));
    }

    /// Sends a piece of the answer ahead, text or bytes, for whoever reads it as a stream. The
    /// pieces together are the answer's data; end it with [`Job::send`] and an outcome without
    /// data.
    pub fn send_chunk(&self, content_type: &str, data: impl Into<Data>) -> Result<(), Cancelled> {
        self.tell(FromWorker::Chunk(self.id, Some(content_type.to_owned()), data.into()))
    }

    /// Tells how far the job is, from 0 to 1, and what is being done.
    pub fn progress(&self, fraction: f64, message: &str) -> Result<(), Cancelled> {
        self.tell(FromWorker::Progress(self.id, Some(fraction), Some(message.to_owned())))
    }

    /// Whether nobody waits for the answer any more. Does not block.
    #[must_use]
    pub fn cancelled(&self) -> bool {
        let mut link = self.link.borrow_mut();
        link.look();
        link.cancelled.contains(&self.id)
    }

    fn finish(&mut self, answer: FromWorker) {
        if !std::mem::replace(&mut self.is_open, false) {
            return;
        }
        let mut link = self.link.borrow_mut();
        // An engine that is gone is noticed when the next job is asked for.
        if let Err(error) = link.end.send(answer)
            && error.kind() == io::ErrorKind::InvalidData
        {
            let failure = Outcome::failure(format!("the result cannot be sent: {error}"));
            let _ = link.end.send(FromWorker::Result(self.id, failure));
        }
        link.cancelled.remove(&self.id);
    }

    fn tell(&self, message: FromWorker) -> Result<(), Cancelled> {
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
        // A panic is told by the end of the process, with its message.
        if self.is_open && !std::thread::panicking() {
            self.finish(FromWorker::Result(self.id, Outcome::failure(UNANSWERED)));
        }
    }
}
