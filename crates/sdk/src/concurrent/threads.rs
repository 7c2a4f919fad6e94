//! Runs several jobs of a worker at a time, each on its own thread.

use std::error::Error;
use std::io;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use ai_integration_contract::{Data, Outcome};

use crate::concurrent::worker::{Line, Shared, Waiting, Worker, lock};
use crate::inputs::Inputs;
use crate::job::Cancelled;

/// One of several requests that a model works on, each on its own thread. It dereferences to its
/// inputs.
#[derive(Debug)]
pub struct ThreadJob<T = Inputs> {
    inputs: T,
    line: Line,
}

impl<T> ThreadJob<T> {
    /// Sends a chunk of the result, text or bytes. A client that reads the result as a stream gets
    /// the chunk at once; for other clients the chunks are joined. After the last chunk, return
    /// `Outcome::text("")`.
    ///
    /// Blocks while the client has many chunks left to read.
    ///
    /// # Errors
    /// The request was cancelled.
    pub fn send_chunk(&self, content_type: &str, data: impl Into<Data>) -> Result<(), Cancelled> {
        let data = data.into();
        self.line.flow.take_blocking(data.len())?;
        self.line.send_chunk(content_type, data);
        Ok(())
    }

    /// Reports progress: the fraction that is done, from 0 to 1, and what the model is doing.
    ///
    /// # Errors
    /// The request was cancelled.
    pub fn progress(&self, fraction: f64, message: &str) -> Result<(), Cancelled> {
        self.line.progress(fraction, message)
    }

    /// Returns true if the request was cancelled.
    #[must_use]
    pub fn cancelled(&self) -> bool {
        self.line.flow.is_cancelled()
    }
}

impl<T> Deref for ThreadJob<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.inputs
    }
}

/// Runs the jobs of a worker until the engine closes the link.
pub(crate) fn run<T>(
    worker: Worker<T>,
    infer: impl Fn(&ThreadJob<T>) -> Result<Outcome, Box<dyn Error>> + Sync,
) -> io::Result<()> {
    let Worker { link, ready, read } = worker;
    let count = ready.concurrency.unwrap_or(1);
    let shared = Shared::new(&link, count)?;
    let (queue, waiting) = channel();
    let waiting = Mutex::new(waiting);
    let work = || {
        while let Some(Waiting { line, inputs }) = next(&waiting) {
            if line.flow.is_cancelled() {
                line.finish(Ok(Err(Cancelled.into())));
                continue;
            }
            // The model's own state is behind locks, which a panic marks as poisoned.
            let done = catch_unwind(AssertUnwindSafe(|| {
                infer(&ThreadJob { inputs: read(inputs)?, line: line.clone() })
            }));
            line.finish(done);
        }
    };
    thread::scope(|scope| {
        // The scope waits for the threads. Each of them ends when the queue is dropped.
        let queue = queue;
        for _ in 0..count {
            thread::Builder::new().name("model".to_owned()).spawn_scoped(scope, work)?;
        }
        // The receiver outlives the scope, so this cannot fail.
        shared.read(link, ready, |job| drop(queue.send(job)));
        Ok(())
    })
}

/// Waits for the next job, and reports its start. The lock is held meanwhile, so that jobs start in
/// their order.
fn next(waiting: &Mutex<Receiver<Waiting>>) -> Option<Waiting> {
    let waiting = lock(waiting);
    let job = waiting.recv().ok()?;
    job.line.start();
    Some(job)
}
