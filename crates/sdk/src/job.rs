//! The loop of a Rust model: jobs come, answers go.

use std::cell::RefCell;
use std::ops::Deref;
use std::rc::Rc;

use ai_integration_contract::{Data, Outcome};
use ai_integration_engine::{FromWorker, JobId, Ready, ToWorker, WorkerEnd};

use crate::Inputs;

/// What is answered for a job that is dropped without an answer.
const UNANSWERED: &str = "Programming Error: the model ended the job without sending a result";

/// The jobs of a worker, as they come. Ends when there are no more.
#[derive(Debug)]
pub struct Jobs {
    link: Rc<RefCell<WorkerEnd>>,
    /// Sent with the first request for a job.
    ready: Option<Ready>,
}

impl Jobs {
    pub(crate) fn new(link: WorkerEnd, ready: Ready) -> Self {
        Jobs { link: Rc::new(RefCell::new(link)), ready: Some(ready) }
    }

    fn receive(&mut self) -> std::io::Result<Option<(JobId, Inputs)>> {
        let mut link = self.link.borrow_mut();
        if let Some(ready) = self.ready.take() {
            link.send(FromWorker::Ready(ready))?;
        }
        loop {
            match link.receive()? {
                None => return Ok(None),
                Some(ToWorker::Job(id, inputs)) => {
                    link.send(FromWorker::Start(id))?;
                    return Ok(Some((id, Inputs(inputs))));
                }
                Some(ToWorker::Cancel(_) | ToWorker::Unknown) => {}
            }
        }
    }
}

impl Iterator for Jobs {
    type Item = Job;

    fn next(&mut self) -> Option<Job> {
        // A broken link means that the engine is gone, and with it whoever could be told.
        let (id, inputs) = self.receive().ok().flatten()?;
        Some(Job { id, inputs, link: self.link.clone(), is_open: true })
    }
}

/// One request to the model. It reads like its [`Inputs`].
#[derive(Debug)]
pub struct Job {
    id: JobId,
    inputs: Inputs,
    link: Rc<RefCell<WorkerEnd>>,
    is_open: bool,
}

impl Job {
    /// Answers the request.
    pub fn send(mut self, outcome: Outcome) {
        self.finish(outcome);
    }

    /// Sends a piece of the answer ahead, for whoever reads it as a stream. The pieces together
    /// are the answer's data; end it with [`Job::send`] and an outcome without data.
    pub fn send_chunk(&self, content_type: &str, text: impl Into<String>) {
        let data = Data::Text(text.into());
        self.tell(FromWorker::Chunk(self.id, Some(content_type.to_owned()), data));
    }

    /// Tells how far the job is, from 0 to 1, and what is being done.
    pub fn progress(&self, fraction: f64, message: &str) {
        self.tell(FromWorker::Progress(self.id, Some(fraction), Some(message.to_owned())));
    }

    fn finish(&mut self, outcome: Outcome) {
        if std::mem::replace(&mut self.is_open, false) {
            let too_large = |error| Outcome::failure(format!("the result cannot be sent: {error}"));
            let message = FromWorker::Result(self.id, outcome);
            if let Err(error) = self.link.borrow_mut().send(message)
                && error.kind() == std::io::ErrorKind::InvalidData
            {
                self.tell(FromWorker::Result(self.id, too_large(error)));
            }
        }
    }

    fn tell(&self, message: FromWorker) {
        // An engine that is gone is noticed when the next job is asked for.
        let _ = self.link.borrow_mut().send(message);
    }
}

impl Deref for Job {
    type Target = Inputs;

    fn deref(&self) -> &Inputs {
        &self.inputs
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        // A panic is told by the end of the process, with its message.
        if self.is_open && !std::thread::panicking() {
            self.finish(Outcome::failure(UNANSWERED));
        }
    }
}
