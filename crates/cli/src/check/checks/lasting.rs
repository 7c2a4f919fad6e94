//! Checks that the program keeps running after a result. A program without a loop is restarted after
//! each request.

use std::time::Duration;

use crate::check::http;
use crate::check::session::{AppliesTo, Check, Session};
use crate::check::verdict::{Fault, Verdict};

pub(crate) const CHECK: Check = Check {
    name: "lasting",
    title: "checking that it keeps running",
    applies_to: AppliesTo::Any,
    run: check,
};

/// The time in which the end of a program becomes visible in the metrics.
const PAUSE: Duration = Duration::from_millis(500);
const ENDS: &str = "ai_integration_worker_ends_total";
/// The causes of an end that the engine itself wanted.
const WANTED: [&str; 2] = ["cause=\"stopped\"", "cause=\"retired\""];

fn check(session: &mut Session) -> Verdict {
    let Some(server) = &session.server else {
        return Verdict::Skipped("there is no server".to_owned());
    };
    std::thread::sleep(PAUSE);
    let ends = match http::get(server.port, "/metrics", session.limit) {
        Ok(answer) if answer.status == 200 => ends(&String::from_utf8_lossy(&answer.body)),
        Ok(answer) => {
            return Verdict::Skipped(format!("/metrics answers with {}", answer.status));
        }
        Err(error) => return Verdict::Skipped(format!("/metrics: {error}")),
    };
    if ends == 0.0 {
        Verdict::Passed("the program kept running after each result".to_owned())
    } else {
        let times = if ends > 1.0 { format!("{ends} times") } else { "once".to_owned() };
        Fault::new(
            format!("the program ended {times} while it served, and was restarted"),
            "put get_next_input into a loop (while True:), or use ai_integration.run(f); if the model \
             crashes, its last lines show the cause",
        )
        .with_output(server.running.last_lines())
        .into()
    }
}

/// Counts the ends of workers for other causes than the wanted ones.
fn ends(metrics: &str) -> f64 {
    let lines = metrics.lines().filter(|line| line.starts_with(ENDS));
    let unwanted = lines.filter(|line| !WANTED.iter().any(|cause| line.contains(cause)));
    unwanted.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}
