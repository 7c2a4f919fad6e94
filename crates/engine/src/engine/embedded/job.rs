//! A job in the embedded engine: what the model is asked, and where the answer goes.

use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use ai_integration_contract::{Data, Error, Inputs, Outcome};
use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::job::event::Event;
use crate::job::id::JobId;
use crate::job::request::{Request, Timing};
use crate::job::ticket::{Jobs, Passing, Responder, Ticket};
use crate::metrics::Metrics;

/// Bytes of inputs from which their memory is given back on another thread: many small values take
/// time, and this thread serves everybody.
const MUCH: usize = 1 << 20;

/// A job. Whoever holds it answers it or passes it on; dropping it tells the requester that the
/// engine is gone.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) inputs: Arc<Inputs>,
    responder: Responder,
    submitted: Instant,
    timing: Option<Arc<Timing>>,
    metrics: Arc<Metrics>,
    /// True once a piece of the answer was passed on.
    has_chunks: bool,
}

impl Job {
    /// The job of a request, and the ticket of whoever made it.
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

    /// Tells whether the requester wants to hear of everything.
    pub(crate) fn is_followed(&self) -> bool {
        self.responder.is_followed()
    }

    /// Ends the job.
    pub(crate) fn answer(self, end: Result<Outcome, Error>) {
        self.stamp(|timing| &timing.ended);
        let end = end.and_then(|outcome| self.responder.complete(outcome));
        self.metrics.ended(&end, self.submitted.elapsed());
        give_back(self.inputs);
        self.responder.answer(end);
    }

    /// Notes that a worker has got the job.
    pub(crate) fn handed_out(&self, now: Instant) {
        self.metrics.handed_out(now - self.submitted);
        self.stamp(|timing| &timing.handed_out);
    }

    fn stamp(&self, which: impl FnOnce(&Timing) -> &OnceLock<SystemTime>) {
        if let Some(timing) = &self.timing {
            let _ = which(timing).set(SystemTime::now());
        }
    }

    /// Tells a requester that follows the job of something that it may miss.
    pub(crate) fn offer(&self, event: Event) {
        self.responder.offer(event);
    }

    /// Tells whether a piece of the answer was passed on.
    pub(crate) fn has_chunks(&self) -> bool {
        self.has_chunks
    }

    /// Passes a piece of the answer on; what comes back takes time.
    pub(crate) fn chunk(&mut self, content_type: Option<String>, data: Data) -> Option<Passing> {
        self.has_chunks = true;
        self.responder.chunk(content_type, data)
    }
}

fn give_back(inputs: Arc<Inputs>) {
    let Some(inputs) = Arc::into_inner(inputs) else { return };
    if inputs.values().map(|value| value.extent(MUCH)).sum::<usize>() >= MUCH
        && let Ok(runtime) = Handle::try_current()
    {
        runtime.spawn_blocking(move || drop(inputs));
    }
}
