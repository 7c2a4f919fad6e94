//! A job in the embedded engine: the inputs for the model, and the way back to the requester.

use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use ai_integration_contract::{Data, Error, Inputs, Outcome};
use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::job::channel::Exceeded;
use crate::job::event::Event;
use crate::job::id::JobId;
use crate::job::request::{Request, Timing};
use crate::job::ticket::{Jobs, Passing, Responder, Ticket};
use crate::metrics::Metrics;

/// The least size in bytes of inputs that are freed on another thread, because it takes long to
/// free many small values, and the engine's thread serves all requests.
const LARGE: usize = 1 << 20;

/// A job of the embedded engine. If it is dropped before [`Job::answer`], its requester gets the
/// error that the server stopped.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) inputs: Arc<Inputs>,
    responder: Responder,
    submitted: Instant,
    timing: Option<Arc<Timing>>,
    metrics: Arc<Metrics>,
    /// True once a chunk was passed on.
    has_chunks: bool,
}

impl Job {
    /// Makes a job of a request, with its ticket.
    pub(crate) fn new(
        request: Request,
        id: JobId,
        jobs: Arc<dyn Jobs>,
        submitted: Instant,
        metrics: Arc<Metrics>,
    ) -> (Self, Ticket) {
        let Request { inputs, is_followed, timing, reservation, .. } = request;
        let (ticket, responder) = Ticket::new(id, jobs, is_followed, reservation);
        let inputs = Arc::new(inputs);
        let job = Job { inputs, responder, submitted, timing, metrics, has_chunks: false };
        job.stamp(|timing| &timing.submitted);
        (job, ticket)
    }

    /// Returns true if the requester follows the job.
    pub(crate) fn is_followed(&self) -> bool {
        self.responder.is_followed()
    }

    /// Ends the job with its outcome or an error.
    pub(crate) fn answer(self, end: Result<Outcome, Error>) {
        self.stamp(|timing| &timing.ended);
        let end = end.and_then(|outcome| self.responder.complete(outcome));
        self.metrics.ended(&end, self.submitted.elapsed());
        free(self.inputs);
        self.responder.answer(end);
    }

    /// Records that the job was handed to a worker.
    pub(crate) fn handed_out(&self, now: Instant) {
        self.metrics.handed_out(now - self.submitted);
        self.stamp(|timing| &timing.handed_out);
    }

    fn stamp(&self, which: impl FnOnce(&Timing) -> &OnceLock<SystemTime>) {
        if let Some(timing) = &self.timing {
            let _ = which(timing).set(SystemTime::now());
        }
    }

    /// Passes an event on to a requester that follows the job, unless too many events wait already.
    pub(crate) fn offer(&self, event: Event) {
        self.responder.offer(event);
    }

    /// Returns true if a chunk was passed on.
    pub(crate) fn has_chunks(&self) -> bool {
        self.has_chunks
    }

    /// Passes a chunk on. If the requester's window is full, the returned chunk must be awaited.
    pub(crate) fn chunk(&mut self, content_type: Option<String>, data: Data) -> Option<Passing> {
        self.has_chunks = true;
        self.responder.chunk(content_type, data)
    }

    /// Passes on a chunk of a concurrent worker. Returns the number of bytes that the worker may
    /// send in addition, if it is time to report that.
    pub(crate) fn chunk_in_window(
        &mut self,
        content_type: Option<String>,
        data: Data,
    ) -> Result<Option<usize>, Exceeded> {
        self.has_chunks = true;
        self.responder.chunk_in_window(content_type, data)
    }
}

fn free(inputs: Arc<Inputs>) {
    let Some(inputs) = Arc::into_inner(inputs) else { return };
    if inputs.values().map(|value| value.extent(LARGE)).sum::<usize>() >= LARGE
        && let Ok(runtime) = Handle::try_current()
    {
        runtime.spawn_blocking(move || drop(inputs));
    }
}
