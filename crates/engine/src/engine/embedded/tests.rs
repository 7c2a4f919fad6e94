use ai_integration_contract::{Data, Error, FieldError, Inputs, Outcome, Value};
use serde_json::json;

use super::*;
use crate::job::event::Event;
use crate::link::Link;
use crate::link::message::{Batching, FromWorker};
use crate::link::worker_side::WorkerSide;
use crate::worker::executor::serve_attached;

fn inputs(text: &str) -> Inputs {
    Inputs::from_iter([("text".to_owned(), Value::Text(text.to_owned()))])
}

fn ask(text: &str) -> Request {
    Request::new(inputs(text))
}

fn ready() -> FromWorker {
    FromWorker::Ready(Ready::new(json!({"text": {"type": "text"}})))
}

fn engine(queue: usize) -> Embedded {
    Embedded::start(JobLimits {
        retry: true,
        queue,
        timeout: None,
        grace: Duration::from_millis(50),
        prefetch: true,
    })
}

/// Runs a model on a thread of its own, which calls `answer` for each job.
fn model(
    engine: &Embedded,
    answer: impl Fn(&mut WorkerSide, JobId, &Inputs) + Send + 'static,
) -> std::thread::JoinHandle<()> {
    let (link, mut worker) = Link::in_process();
    tokio::spawn(serve_attached(engine.clone(), link));
    std::thread::spawn(move || {
        worker.send(ready()).unwrap();
        while let Ok(Some(message)) = worker.receive() {
            let ToWorker::Job { id, inputs, .. } = message else { continue };
            if worker.send(FromWorker::Start(id, None)).is_err() {
                return;
            }
            answer(&mut worker, id, &inputs);
        }
    })
}

fn echo(worker: &mut WorkerSide, id: JobId, inputs: &Inputs) {
    let text = inputs["text"].as_text().unwrap_or_default();
    worker.send(FromWorker::Result(id, Outcome::text(text))).unwrap();
}

#[tokio::test]
async fn inputs_that_the_worker_cannot_read_are_refused_and_it_gets_the_next_job() {
    let engine = engine(10);
    let unfit = || FieldError { name: "text".into(), message: "expected a poem".into() };
    let model = model(&engine, move |worker, id, inputs| match inputs["text"].as_text() {
        Some("prose") => worker.send(FromWorker::InvalidInputs(id, vec![unfit()])).unwrap(),
        _ => echo(worker, id, inputs),
    });
    let refused = engine.submit(ask("prose")).unwrap().outcome().await.unwrap_err();
    assert_eq!(refused, Error::invalid_inputs(vec![unfit()]));
    let answered = engine.submit(ask("poem")).unwrap().outcome().await;
    assert_eq!(answered, Ok(Outcome::text("poem")));
    drop(model);
}

#[tokio::test]
async fn every_requester_gets_its_own_result() {
    let engine = engine(1000);
    let model = model(&engine, echo);
    let tickets: Vec<Ticket> =
        (0..500).map(|n| engine.submit(ask(&n.to_string())).unwrap()).collect();
    for (n, ticket) in tickets.into_iter().enumerate() {
        assert_eq!(ticket.outcome().await, Ok(Outcome::text(n.to_string())));
    }
    engine.idle().await;
    assert_eq!(engine.load().0, 0);
    drop(model);
}

#[tokio::test]
async fn a_full_queue_refuses() {
    let engine = engine(2);
    let _kept = [engine.submit(ask("a")).unwrap(), engine.submit(ask("b")).unwrap()];
    assert_eq!(engine.submit(ask("c")).unwrap_err().kind, Kind::QueueFull);
}

#[tokio::test]
async fn inputs_that_do_not_fit_a_frame_are_refused_at_once() {
    let engine = engine(2);
    let many = (0..20_000).map(|n| (n.to_string(), Value::Json(json!(n)))).collect();
    assert_eq!(engine.submit(Request::new(many)).unwrap_err().kind, Kind::TooLarge);
    assert_eq!(engine.load().0, 0);
}

#[tokio::test]
async fn a_job_whose_requester_left_is_not_started() {
    let engine = engine(10);
    drop(engine.submit(ask("unwanted")).unwrap());
    let wanted = engine.submit(ask("wanted")).unwrap();
    let _model = model(&engine, |worker, id, inputs| {
        assert_eq!(inputs["text"].as_text(), Some("wanted"));
        echo(worker, id, inputs);
    });
    assert_eq!(wanted.outcome().await, Ok(Outcome::text("wanted")));
}

#[tokio::test]
async fn chunks_are_events_for_a_follower_and_data_for_others() {
    let engine = engine(10);
    let _model = model(&engine, |worker, id, _| {
        for chunk in ["one ", "two"] {
            let data = Data::Text(chunk.to_owned());
            let kind = Some("text/plain".to_owned());
            worker.send(FromWorker::Chunk(id, kind, data)).unwrap();
        }
        worker.send(FromWorker::Progress(id, Some(1.0), None)).unwrap();
        let end = Outcome { success: true, ..Outcome::default() };
        worker.send(FromWorker::Result(id, end)).unwrap();
    });
    let whole = engine.submit(ask("")).unwrap().outcome().await;
    assert_eq!(whole, Ok(Outcome::text("one two")));

    let mut ticket = engine.submit(ask("").follow()).unwrap();
    let mut events = Vec::new();
    while let Some(event) = ticket.event().await {
        events.push(event);
    }
    assert_eq!(events.len(), 4, "{events:?}");
    assert_eq!(events[0], Event::Started);
    assert_eq!(ticket.outcome().await.unwrap().data, Data::None);
}

#[tokio::test]
async fn a_model_that_ends_fails_the_started_job_and_those_that_wait() {
    let engine = engine(10);
    let tickets = [engine.submit(ask("a")).unwrap(), engine.submit(ask("b")).unwrap()];
    let (link, mut worker) = Link::in_process();
    let served = tokio::spawn(serve_attached(engine.clone(), link));
    let model = std::thread::spawn(move || {
        worker.send(ready()).unwrap();
        if let Ok(Some(ToWorker::Job { id, .. })) = worker.receive() {
            worker.send(FromWorker::Start(id, None)).unwrap();
        }
    });
    served.await.unwrap();
    model.join().unwrap();
    let mut kinds = Vec::new();
    for ticket in tickets {
        kinds.push(ticket.outcome().await.unwrap_err().kind);
    }
    assert_eq!(kinds, [Kind::ModelCrashed, Kind::ModelUnavailable]);
    assert_eq!(engine.submit(ask("c")).unwrap_err().kind, Kind::ModelUnavailable);
}

#[tokio::test]
async fn a_worker_that_breaks_the_protocol_is_disconnected() {
    for message in [
        FromWorker::Start(JobId(99), None),
        FromWorker::Result(JobId(1), Outcome::text("")),
        FromWorker::Chunk(JobId(1), None, Data::None),
        ready(),
    ] {
        let engine = engine(10);
        let ticket = engine.submit(ask("a")).unwrap();
        let (link, mut worker) = Link::in_process();
        let served = tokio::spawn(serve_attached(engine.clone(), link));
        let model = std::thread::spawn(move || {
            worker.send(ready()).unwrap();
            worker.send(message).unwrap();
            while let Ok(Some(_)) = worker.receive() {}
        });
        served.await.unwrap();
        model.join().unwrap();
        assert_eq!(ticket.outcome().await.unwrap_err().kind, Kind::ModelCrashed);
    }
}

#[tokio::test(start_paused = true)]
async fn a_follower_that_does_not_read_does_not_block_the_model_for_long() {
    let engine = engine(10);
    let stalled = engine.submit(ask("").follow()).unwrap();
    let next = engine.submit(ask("next")).unwrap();
    let _model = model(&engine, |worker, id, inputs| {
        if inputs["text"].as_text() == Some("") {
            for _ in 0..3 {
                let data = Data::Text("x".repeat(100_000));
                worker.send(FromWorker::Chunk(id, None, data)).unwrap();
            }
        }
        echo(worker, id, inputs);
    });
    assert_eq!(next.outcome().await, Ok(Outcome::text("next")));
    assert_eq!(stalled.outcome().await.unwrap_err().kind, Kind::Timeout);
}

#[tokio::test(start_paused = true)]
async fn a_follower_that_reads_slowly_does_not_block_the_model_for_ever() {
    let engine = engine(10);
    let mut slow = engine.submit(ask("").follow()).unwrap();
    let _model = model(&engine, |worker, id, inputs| {
        for _ in 0..30 {
            let data = Data::Text("x".repeat(50_000));
            worker.send(FromWorker::Chunk(id, None, data)).unwrap();
        }
        echo(worker, id, inputs);
    });
    let mut read = 0;
    while slow.event().await.is_some() {
        read += 1;
        tokio::time::sleep(Duration::from_secs(4)).await;
    }
    // Five chunks are buffered. The model may be blocked for ten seconds: each further chunk costs
    // four of them, and reading it earns less than one back.
    assert!((7..15).contains(&read), "{read}");
    assert_eq!(slow.outcome().await.unwrap_err().kind, Kind::Timeout);
}

#[tokio::test]
async fn log_lines_for_a_follower_take_up_no_more_than_its_window() {
    let engine = engine(10);
    let mut follower = engine.submit(ask("end").follow()).unwrap();
    let _model = model(&engine, |worker, id, inputs| {
        for _ in 0..100 {
            worker.send(FromWorker::Log(id, "x".repeat(10_000))).unwrap();
        }
        echo(worker, id, inputs);
    });
    engine.idle().await;
    let mut lines = 0;
    while let Some(event) = follower.event().await {
        lines += usize::from(matches!(event, Event::Log(_)));
    }
    assert_eq!(lines, 26);
    assert_eq!(follower.outcome().await, Ok(Outcome::text("end")));
}

#[tokio::test]
async fn a_deadline_ends_a_job_that_runs_and_one_that_waits() {
    let engine = engine(10);
    let (link, mut worker) = Link::in_process();
    let served = tokio::spawn(serve_attached(engine.clone(), link));
    let timeout = Some(Duration::from_millis(30));
    let running = engine.submit(ask("a").timeout(timeout)).unwrap();
    let waiting = engine.submit(ask("b").timeout(timeout)).unwrap();
    let model = std::thread::spawn(move || {
        worker.send(ready()).unwrap();
        let Ok(Some(ToWorker::Job { id, .. })) = worker.receive() else { panic!() };
        worker.send(FromWorker::Start(id, None)).unwrap();
        assert_eq!(worker.receive().unwrap(), Some(ToWorker::Cancel(id)));
        // The worker goes on all the same, and is disconnected.
        assert_eq!(worker.receive().unwrap(), None);
    });
    assert_eq!(running.outcome().await.unwrap_err().kind, Kind::Timeout);
    assert_eq!(waiting.outcome().await.unwrap_err().kind, Kind::Timeout);
    assert_eq!(engine.load().0, 0);
    served.await.unwrap();
    model.join().unwrap();
}

#[tokio::test]
async fn a_running_job_whose_ticket_is_dropped_is_cancelled() {
    let engine = engine(10);
    let mut ticket = engine.submit(ask("a").follow()).unwrap();
    let (link, mut worker) = Link::in_process();
    tokio::spawn(serve_attached(engine.clone(), link));
    let model = std::thread::spawn(move || {
        worker.send(ready()).unwrap();
        let Ok(Some(ToWorker::Job { id, .. })) = worker.receive() else { panic!() };
        worker.send(FromWorker::Start(id, None)).unwrap();
        assert_eq!(worker.receive().unwrap(), Some(ToWorker::Cancel(id)));
        worker.send(FromWorker::Result(id, Outcome::failure("gone"))).unwrap();
        while let Ok(Some(ToWorker::Job { id, inputs, .. })) = worker.receive() {
            worker.send(FromWorker::Start(id, None)).unwrap();
            echo(&mut worker, id, &inputs);
        }
    });
    assert_eq!(ticket.event().await, Some(Event::Started));
    drop(ticket);
    assert_eq!(engine.submit(ask("b")).unwrap().outcome().await, Ok(Outcome::text("b")));
    drop(model);
}

#[tokio::test]
async fn a_detached_job_goes_on_to_its_end() {
    let engine = engine(10);
    let mut ticket = engine.submit(ask("a").follow()).unwrap();
    let (link, mut worker) = Link::in_process();
    tokio::spawn(serve_attached(engine.clone(), link));
    let (detached, is_detached) = std::sync::mpsc::channel();
    let model = std::thread::spawn(move || {
        worker.send(ready()).unwrap();
        let Ok(Some(ToWorker::Job { id, .. })) = worker.receive() else { panic!() };
        worker.send(FromWorker::Start(id, None)).unwrap();
        is_detached.recv().unwrap();
        assert_eq!(worker.poll().unwrap(), None, "the worker got a cancel");
        worker.send(FromWorker::Result(id, Outcome::text("a"))).unwrap();
    });
    assert_eq!(ticket.event().await, Some(Event::Started));
    ticket.detach();
    detached.send(()).unwrap();
    engine.idle().await;
    model.join().unwrap();
}

#[tokio::test]
async fn a_requester_that_reads_no_events_gets_the_whole_result_however_large() {
    let engine = engine(10);
    let _model = model(&engine, |worker, id, inputs| {
        for _ in 0..10 {
            let data = Data::Text("x".repeat(100_000));
            worker.send(FromWorker::Chunk(id, None, data)).unwrap();
        }
        if inputs["text"].as_text() == Some("in chunks") {
            worker
                .send(FromWorker::Result(id, Outcome { success: true, ..Outcome::default() }))
                .unwrap();
        } else {
            echo(worker, id, inputs);
        }
    });
    let waits = engine.submit(ask("in chunks")).unwrap();
    let next = engine.submit(ask("whole")).unwrap();
    // Nobody reads the first result meanwhile.
    assert!(next.outcome().await.unwrap().success);
    assert_eq!(waits.outcome().await.unwrap().data.len(), 1_000_000);
}

#[tokio::test]
async fn a_draining_worker_gets_the_cancel_of_its_last_job() {
    let engine = engine(10);
    let mut ticket = engine.submit(ask("a").follow()).unwrap();
    let (link, mut worker) = Link::in_process();
    tokio::spawn(serve_attached(engine.clone(), link));
    let model = std::thread::spawn(move || {
        worker.send(ready()).unwrap();
        let Ok(Some(ToWorker::Job { id, .. })) = worker.receive() else { panic!() };
        worker.send(FromWorker::Start(id, None)).unwrap();
        assert_eq!(worker.receive().unwrap(), Some(ToWorker::Cancel(id)));
        worker.send(FromWorker::Result(id, Outcome::failure("gone"))).unwrap();
        assert_eq!(worker.receive().unwrap(), None);
    });
    assert_eq!(ticket.event().await, Some(Event::Started));
    engine.drain(WorkerId(0));
    drop(ticket);
    tokio::task::spawn_blocking(|| model.join().unwrap()).await.unwrap();
}

#[tokio::test]
async fn a_model_that_asks_for_batches_gets_them() {
    let engine = engine(100);
    let (link, mut worker) = Link::in_process();
    let tickets: Vec<Ticket> =
        (0..10).map(|n| engine.submit(ask(&n.to_string())).unwrap()).collect();
    tokio::spawn(serve_attached(engine.clone(), link));
    let model = std::thread::spawn(move || {
        let FromWorker::Ready(ready) = ready() else { panic!() };
        let batch = Some(Batching { max_size: 4, max_wait_ms: 5.0 });
        worker.send(FromWorker::Ready(Ready { batch, ..ready })).unwrap();
        let (mut sizes, mut jobs) = (Vec::new(), Vec::new());
        while let Ok(Some(ToWorker::Job { id, inputs, more, .. })) = worker.receive() {
            worker.send(FromWorker::Start(id, None)).unwrap();
            jobs.push((id, inputs));
            if !more {
                sizes.push(jobs.len());
                // Backwards: a model may send the results of a batch in any order.
                for (id, inputs) in jobs.drain(..).rev() {
                    echo(&mut worker, id, &inputs);
                }
            }
            if sizes.iter().sum::<usize>() == 10 {
                return sizes;
            }
        }
        sizes
    });
    for (n, ticket) in tickets.into_iter().enumerate() {
        assert_eq!(ticket.outcome().await, Ok(Outcome::text(n.to_string())));
    }
    assert_eq!(model.join().unwrap(), [4, 4, 2]);
}

/// Receives the next job, and reports its start.
fn start_next(worker: &mut WorkerSide) -> JobId {
    let Some(ToWorker::Job { id, .. }) = worker.receive().unwrap() else { panic!("a job") };
    worker.send(FromWorker::Start(id, None)).unwrap();
    id
}

#[tokio::test]
async fn a_slow_reader_does_not_hold_up_the_other_jobs_of_a_concurrent_worker() {
    const WINDOW: usize = 256 * 1024;
    let engine = engine(10);
    let (link, mut worker) = Link::in_process();
    tokio::spawn(serve_attached(engine.clone(), link));
    let model = std::thread::spawn(move || {
        let schema = json!({"text": {"type": "text"}});
        let ready = Ready { concurrency: Some(2), ..Ready::new(schema) };
        worker.send(FromWorker::Ready(ready)).unwrap();
        let (slow, quick) = (start_next(&mut worker), start_next(&mut worker));
        let chunk = || FromWorker::Chunk(slow, None, "x".repeat(WINDOW / 4).into());
        (0..4).for_each(|_| worker.send(chunk()).unwrap());
        worker.send(FromWorker::Result(quick, Outcome::text("quick"))).unwrap();
        let more = ToWorker::Window { id: slow, bytes: WINDOW / 2 };
        assert_eq!(worker.receive().unwrap(), Some(more));
        worker.send(chunk()).unwrap();
        let end = Outcome { success: true, ..Outcome::default() };
        worker.send(FromWorker::Result(slow, end)).unwrap();
        while worker.receive().unwrap().is_some() {}
    });
    let mut slow = engine.submit(ask("slow").follow()).unwrap();
    let quick = engine.submit(ask("quick")).unwrap();
    assert_eq!(quick.outcome().await, Ok(Outcome::text("quick")));
    let mut read = 0;
    while let Some(event) = slow.event().await {
        if let Event::Chunk { data, .. } = event {
            read += data.len();
        }
    }
    assert_eq!(read, WINDOW / 4 * 5);
    engine.shut_down();
    tokio::task::spawn_blocking(|| model.join().unwrap()).await.unwrap();
}
