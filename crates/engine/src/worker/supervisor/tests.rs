use std::ffi::OsString;

use tokio::time::timeout;

use super::*;
use crate::engine::Engine;
use crate::engine::state::State;
use crate::job::request::Request;
use crate::worker::output::Output;
use crate::worker::reaper::ALONE;
use ai_integration_contract::{Environment, Inputs};

fn supervise(script: &str, attempts: usize) -> (Embedded, Supervisor) {
    let engine = Embedded::start(Config::read(&Environment::default()).unwrap().limits());
    let program = Program {
        command: ["sh", "-c", script].map(OsString::from).into(),
        variables: vec![("GREETING".to_owned(), "hello".to_owned())],
        hidden: Vec::new(),
        stdout: Output::Stderr,
        form: None,
    };
    let mut config = Config::read(&Environment::default()).unwrap();
    config.start_attempts = attempts;
    config.start_timeout = Duration::from_millis(300);
    let supervisor = Supervisor::start(engine.clone(), program, config).unwrap();
    (engine, supervisor)
}

async fn failure(engine: &Embedded) -> String {
    Engine::from(engine.clone()).model().await.unwrap_err().to_string()
}

#[tokio::test]
async fn a_program_that_always_exits_is_given_up_with_the_cause() {
    let _alone = ALONE.lock().await;
    let (engine, supervisor) = supervise("echo $GREETING; exit 7", 3);
    let waiting = engine.submit(Request::new(Inputs::new())).unwrap();
    let expected = "the model cannot be started: exit status 7 before it called get_next_input. \
                    Its last output:\n    hello";
    assert_eq!(failure(&engine).await, expected);
    assert_eq!(waiting.outcome().await.unwrap_err().kind, Kind::ModelUnavailable);
    assert_eq!(supervisor.given_up().await, Exit::Status(7));
    supervisor.stop().await;
}

#[tokio::test]
async fn a_program_that_never_asks_for_an_input_is_killed() {
    let _alone = ALONE.lock().await;
    let (engine, supervisor) = supervise("sleep 60", 1);
    let failure = failure(&engine).await;
    assert!(failure.ends_with("it did not ask for its first input within 0.3 s"), "{failure}");
    assert_eq!(supervisor.given_up().await, Exit::Signal(9));
}

#[tokio::test]
async fn output_that_is_not_the_protocol_is_refused() {
    let _alone = ALONE.lock().await;
    let (engine, _supervisor) = supervise("echo GET / HTTP/1.1 >&3; sleep 60", 1);
    let failure = failure(&engine).await;
    assert!(failure.contains("the worker sent a header of 1195725856 bytes"), "{failure}");
}

#[tokio::test]
async fn a_program_that_does_not_exist_is_reported() {
    let _alone = ALONE.lock().await;
    let engine = Embedded::start(Config::read(&Environment::default()).unwrap().limits());
    let program = Program {
        command: vec!["/nonexistent/model".into()],
        variables: Vec::new(),
        hidden: Vec::new(),
        stdout: Output::Stderr,
        form: None,
    };
    let config = Config::read(&Environment::default()).unwrap();
    let supervisor = Supervisor::start(engine.clone(), program, config).unwrap();
    assert!(failure(&engine).await.contains("there is no such program"));
    assert!(matches!(supervisor.given_up().await, Exit::NotFound));
    assert!(matches!(*engine.state().borrow(), State::Failed(_)));
}

#[tokio::test]
async fn a_process_group_ends_with_its_worker_and_stop_returns() {
    let _alone = ALONE.lock().await;
    let (_engine, supervisor) = supervise("sleep 60 & sleep 60", 100);
    let stopped = timeout(Duration::from_secs(5), supervisor.stop()).await;
    assert!(stopped.is_ok());
}
