//! Checks that SIGTERM ends the server as the container format requires, and that the request in
//! progress gets its response first.

use std::os::unix::process::ExitStatusExt;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use crate::check::checks::answer;
use crate::check::http;
use crate::check::session::{AppliesTo, Check, Server, Session};
use crate::check::verdict::{Fault, Verdict};

pub(crate) const CHECK: Check = Check {
    name: "stop",
    title: "ending the server by SIGTERM",
    applies_to: AppliesTo::Any,
    run: check,
};

/// The maximum time for the end: `AI_INTEGRATION_STOP_TIMEOUT`, and the time that the engine needs
/// after it.
const LIMIT: Duration = Duration::from_secs(42);
/// The time after which the end of an idle server slows down a rollout.
const SLOW: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(5);
const SIGTERM: i32 = 15;
const EXEC: &str = "start the program itself: ENTRYPOINT [\"python3\", \"entrypoint.py\"], and in a \
                    script: exec python3 entrypoint.py \"$@\"";

fn check(session: &mut Session) -> Verdict {
    let Some(mut server) = session.server.take() else {
        return Verdict::Skipped("there is no server".to_owned());
    };
    let body = session.schema.as_ref().map(answer::body).unwrap_or_default();
    let (port, limit) = (server.port, session.limit);
    let request = thread::spawn(move || answer::ask(port, &body, limit + LIMIT));
    wait_for_work(port, || request.is_finished());
    let began = Instant::now();
    server.running.terminate();
    let status = session.finish(&mut server.running, LIMIT);
    let took = began.elapsed();
    let Server { running, .. } = server;
    let output = running.last_lines();
    // This kills a program that is still running, so that its request ends too.
    drop(running);
    let lost = match request.join() {
        Ok(Ok(_)) => None,
        Ok(Err(error)) => Some(error),
        Err(_) => Some("the thread that asked ended".to_owned()),
    };
    let seconds = took.as_secs_f64();
    match status {
        None => Fault::new(
            format!("it did not end within {seconds:.0} s of SIGTERM"),
            format!("the signal does not reach the program, or is ignored: {EXEC}"),
        )
        .with_output(output)
        .into(),
        Some(status) if !status.success() => {
            let is_signal =
                status.signal() == Some(SIGTERM) || status.code() == Some(128 + SIGTERM);
            let who =
                if is_signal { ": a process in front of the program got the signal" } else { "" };
            let cause = format!("SIGTERM ended it with {status} instead of status 0{who}");
            Fault::new(cause, EXEC).with_output(output).into()
        }
        Some(_) => match lost.filter(|_| session.has_results) {
            Some(reason) => Fault::new(
                format!("the request that was running at SIGTERM got no response: {reason}"),
                "do not handle SIGTERM in the program: ai_integration finishes the accepted requests first",
            )
            .with_output(output)
            .into(),
            None if took > SLOW => Verdict::Doubtful(Fault::new(
                format!("it took {seconds:.1} s to end; `docker stop` kills after 10 s"),
                "let the program end when its loop ends: make its threads daemons, and do not \
                 handle SIGTERM",
            )),
            None if !session.has_results => {
                Verdict::Passed(format!("SIGTERM ended it with status 0 after {seconds:.1} s"))
            }
            None => Verdict::Passed(format!(
                "SIGTERM ended it with status 0 after {seconds:.1} s, and its last request was answered"
            )),
        },
    }
}

/// Waits until a worker has a request, or until the request has ended.
fn wait_for_work(port: u16, is_over: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(1);
    while !is_over() && Instant::now() < deadline {
        let metrics = http::get(port, "/metrics", Duration::from_secs(1));
        let metrics = metrics.map(|answer| answer.body).unwrap_or_default();
        let metrics = String::from_utf8_lossy(&metrics);
        let is_at_work = |line: &str| {
            line.strip_prefix("ai_integration_jobs_in_flight ").is_some_and(|count| count != "0")
        };
        if metrics.lines().any(is_at_work) {
            return;
        }
        sleep(PAUSE);
    }
}
