use ai_integration_contract::{Inputs, Kind, Outcome, Value};
use tokio::sync::mpsc;

use super::*;
use crate::engine::queue::Submission;
use crate::job::event::Event;
use crate::job::id::JobId;
use crate::job::ticket::{Jobs, Responder};

/// A queue whose jobs the test answers.
#[derive(Debug)]
struct Remote {
    jobs: mpsc::UnboundedSender<(Inputs, Responder)>,
    cancelled: Arc<Cancelled>,
    model: watch::Sender<Option<Arc<Model>>>,
    state: watch::Sender<State>,
}

#[derive(Debug)]
struct Cancelled(mpsc::UnboundedSender<JobId>);

impl Jobs for Cancelled {
    fn cancel(&self, id: JobId) {
        self.0.send(id).unwrap();
    }

    fn position(&self, _id: JobId) -> Option<usize> {
        Some(3)
    }
}

impl Queue for Remote {
    fn submit(&self, request: Request) -> Submission<'_> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            let (inputs, jobs) = (request.inputs, self.cancelled.clone());
            let (ticket, responder) = Ticket::new(JobId(7), jobs, request.is_followed, None);
            self.jobs.send((inputs, responder)).unwrap();
            Ok(ticket)
        })
    }

    fn model(&self) -> watch::Receiver<Option<Arc<Model>>> {
        self.model.subscribe()
    }

    fn state(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    fn shut_down(&self) {
        let stopping =
            ai_integration_contract::Error::new(Kind::ShuttingDown, "the queue is shut down");
        self.state.send_replace(State::Failed(stopping));
    }
}

struct Scene {
    engine: Engine,
    queue: Arc<Remote>,
    jobs: mpsc::UnboundedReceiver<(Inputs, Responder)>,
    cancelled: mpsc::UnboundedReceiver<JobId>,
}

fn scene() -> Scene {
    let (jobs, received) = mpsc::unbounded_channel();
    let (cancel, cancelled) = mpsc::unbounded_channel();
    let queue = Arc::new(Remote {
        jobs,
        cancelled: Arc::new(Cancelled(cancel)),
        model: watch::channel(None).0,
        state: watch::channel(State::Starting).0,
    });
    Scene { engine: Engine::remote(queue.clone()), queue, jobs: received, cancelled }
}

fn request() -> Request {
    let text = Value::Text("a question".to_owned());
    Request::new(Inputs::from_iter([("text".to_owned(), text)]))
}

#[tokio::test]
async fn a_remote_queue_answers_as_the_embedded_engine_does() {
    let Scene { engine, queue, mut jobs, .. } = scene();
    let worker = tokio::spawn(async move {
        while let Some((inputs, responder)) = jobs.recv().await {
            responder.offer(Event::Started);
            assert!(responder.chunk(None, "an ".into()).is_none());
            assert!(responder.chunk(None, inputs["text"].as_text().unwrap().into()).is_none());
            responder.answer(Ok(Outcome { success: true, ..Outcome::default() }));
        }
    });
    let outcome = engine.ask(request()).await.unwrap();
    assert_eq!(outcome.data, "an a question".into());

    // A requester that does not follow its job gets the result only.
    let mut ticket = engine.submit(request()).await.unwrap();
    assert!(matches!(ticket.event().await, Some(Event::Chunk { .. })));
    drop(ticket);

    let mut ticket = engine.submit(request().follow()).await.unwrap();
    assert_eq!(ticket.position(), Some(3));
    assert_eq!(ticket.event().await, Some(Event::Started));
    let mut chunks = 0;
    while let Some(Event::Chunk { .. }) = ticket.event().await {
        chunks += 1;
    }
    assert_eq!(chunks, 2);
    assert!(ticket.outcome().await.unwrap().success);

    assert!(engine.model_now().is_none());
    queue.model.send_replace(Some(Arc::default()));
    queue.state.send_replace(State::Ready(1));
    assert!(engine.model().await.is_ok() && engine.model_now().is_some());
    assert_eq!(*engine.state().borrow(), State::Ready(1));
    queue.model.send_replace(None);
    engine.shut_down();
    assert_eq!(engine.model().await.unwrap_err().kind, Kind::ShuttingDown);
    drop((engine, queue));
    worker.await.unwrap();
}

#[tokio::test]
async fn a_dropped_ticket_cancels_its_job_and_a_detached_one_does_not() {
    let Scene { engine, mut jobs, mut cancelled, .. } = scene();
    drop(engine.submit(request()).await.unwrap());
    assert_eq!(cancelled.try_recv(), Ok(JobId(7)));
    engine.submit(request().follow()).await.unwrap().detach();
    assert!(cancelled.try_recv().is_err());
    let (_, _cancelled) = jobs.recv().await.unwrap();
    let (_, detached) = jobs.recv().await.unwrap();
    // Nobody reads the chunks, and the model is not blocked.
    for _ in 0..100 {
        assert!(detached.chunk(None, "x".repeat(10_000).into()).is_none());
    }
    detached.answer(Ok(Outcome::text("for nobody")));
    assert!(cancelled.try_recv().is_err());
}

#[tokio::test]
async fn a_dropped_responder_ends_its_job_with_an_error() {
    let Scene { engine, mut jobs, mut cancelled, .. } = scene();
    let ticket = engine.submit(request()).await.unwrap();
    drop(jobs.recv().await.unwrap());
    assert_eq!(ticket.outcome().await.unwrap_err().kind, Kind::ShuttingDown);
    assert!(cancelled.try_recv().is_err());
}
