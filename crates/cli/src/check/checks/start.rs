//! Checks that the program starts as a server and becomes ready: the mode `http`.

use std::time::{Duration, Instant};

use crate::check::http;
use crate::check::interruption;
use crate::check::running::Running;
use crate::check::session::{AppliesTo, Check, Server, Session};
use crate::check::subject::{Start, Subject};
use crate::check::verdict::{Fault, Verdict};

pub(crate) const CHECK: Check = Check {
    name: "start",
    title: "starting it as a server",
    applies_to: AppliesTo::Any,
    run: check,
};

const PAUSE: Duration = Duration::from_millis(20);
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);
/// Messages of systems and languages about a port that is in use.
const TAKEN: [&str; 3] = ["already in use", "EADDRINUSE", "port is already allocated"];

fn check(session: &mut Session) -> Verdict {
    let Some(port) = http::free_port() else {
        return Verdict::Skipped("this machine has no free port".to_owned());
    };
    let mut variables = vec![("PORT", port.to_string())];
    if matches!(session.subject, Subject::Program(_)) {
        variables.push(("HOST", "127.0.0.1".to_owned()));
    }
    let start = Start { variables, ..Start::default() };
    let ready = session.start("http", start).map_err(|error| Fault::new(error, "")).and_then(
        |mut running| wait_until_ready(&mut running, port, session.limit).map(|()| running),
    );
    match ready {
        Ok(running) => {
            session.server = Some(Server { running, port });
            Verdict::Passed("it became ready as a server".to_owned())
        }
        Err(fault) => fault.into(),
    }
}

/// Waits until a server reports that it is ready.
pub(crate) fn wait_until_ready(
    running: &mut Running,
    port: u16,
    limit: Duration,
) -> Result<(), Fault> {
    let deadline = Instant::now() + limit;
    loop {
        if http::get(port, "/readyz", PROBE_TIMEOUT).is_ok_and(|answer| answer.status == 200) {
            return Ok(());
        }
        if let Some(status) = running.ended() {
            return Err(ended(running, &status.to_string()));
        }
        if Instant::now() >= deadline || interruption::signal().is_some() {
            let cause = format!("the server was not ready within {} s", limit.as_secs());
            let way_out = "load the model faster, or give it more time: --timeout SECONDS";
            return Err(Fault::new(cause, way_out).with_output(running.last_lines()));
        }
        std::thread::sleep(PAUSE);
    }
}

fn ended(running: &Running, status: &str) -> Fault {
    let printed = running.printed();
    let fault = if TAKEN.iter().any(|words| printed.contains(words)) {
        Fault::new(
            "the port is taken: the program listens on it by itself",
            "do not listen on PORT in the program: ai_integration serves the model there",
        )
    } else {
        Fault::new(
            format!("the server ended before it was ready, with {status}"),
            "fix the error in its last lines: as a server the program must load the model and reach its loop",
        )
    };
    fault.with_output(running.last_lines())
}
