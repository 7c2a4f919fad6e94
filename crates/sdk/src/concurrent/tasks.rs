//! Runs several jobs of a worker at a time, as tasks of one thread.

use std::error::Error;
use std::future::poll_fn;
use std::io;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::thread;

use ai_integration_contract::{Data, Outcome};
use tokio::runtime::Builder;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{LocalSet, spawn_local};

use crate::concurrent::worker::{Done, Line, Shared, Waiting, Worker};
use crate::inputs::Inputs;
use crate::job::Cancelled;

/// One of several requests that a model works on, each as an asynchronous task. It dereferences to
/// its inputs.
#[derive(Debug)]
pub struct AsyncJob<T = Inputs> {
    inputs: T,
    line: Line,
}

impl<T> AsyncJob<T> {
    /// Sends a chunk of the result, text or bytes. A client that reads the result as a stream gets
    /// the chunk at once; for other clients the chunks are joined. After the last chunk, return
    /// `Outcome::text("")`.
    ///
    /// Waits while the client has many chunks left to read.
    ///
    /// # Errors
    /// The request was cancelled.
    pub async fn send_chunk(
        &self,
        content_type: &str,
        data: impl Into<Data>,
    ) -> Result<(), Cancelled> {
        let data = data.into();
        self.line.flow.take(data.len()).await?;
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

    /// Returns true if the request was cancelled. The model's future is dropped then, so only tasks
    /// and threads that the model has started itself need this.
    #[must_use]
    pub fn cancelled(&self) -> bool {
        self.line.flow.is_cancelled()
    }

    /// Waits until the request is cancelled, for tasks that the model has started itself.
    pub async fn until_cancelled(&self) {
        self.line.flow.until_cancelled().await;
    }
}

impl<T> Deref for AsyncJob<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.inputs
    }
}

/// Runs the jobs of a worker until the engine closes the link.
pub(crate) fn run<T: 'static>(
    worker: Worker<T>,
    infer: impl AsyncFn(AsyncJob<T>) -> Result<Outcome, Box<dyn Error>> + 'static,
) -> io::Result<()> {
    let Worker { link, ready, read } = worker;
    let count = ready.concurrency.unwrap_or(1);
    let shared = Shared::new(&link, count)?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    // The engine bounds the number of jobs that it sends in advance.
    let (queue, mut waiting) = mpsc::unbounded_channel();
    let reader = thread::Builder::new().name("link".to_owned());
    reader.spawn(move || shared.read(link, ready, |job| drop(queue.send(job))))?;
    let infer = Rc::new(infer);
    let free = Arc::new(Semaphore::new(count));
    LocalSet::new().block_on(&runtime, async {
        while let Some(Waiting { line, inputs }) = waiting.recv().await {
            let Ok(place) = free.clone().acquire_owned().await else { return };
            line.start();
            let infer = infer.clone();
            spawn_local(async move {
                let answer = async {
                    let inputs = read(inputs)?;
                    infer(AsyncJob { inputs, line: line.clone() }).await
                };
                let done = tokio::select! {
                    biased;
                    () = line.flow.until_cancelled() => Ok(Err(Cancelled.into())),
                    done = caught(answer) => done,
                };
                line.finish(done);
                drop(place);
            });
        }
    });
    // Threads of the model that still block must not hold up the end of the process.
    runtime.shutdown_background();
    Ok(())
}

/// Completes a job, and catches its panic.
async fn caught(answer: impl Future<Output = Result<Outcome, Box<dyn Error>>>) -> Done {
    let mut answer = pin!(answer);
    poll_fn(|context| {
        // The future is not polled again after a panic.
        match catch_unwind(AssertUnwindSafe(|| answer.as_mut().poll(context))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(returned)) => Poll::Ready(Ok(returned)),
            Err(panic) => Poll::Ready(Err(panic)),
        }
    })
    .await
}
