//! Checks that the program does not keep memory of each request, which would end with an
//! out-of-memory kill.

use std::time::Duration;

use crate::check::checks::answer;
use crate::check::checks::together::UNANSWERED;
use crate::check::http;
use crate::check::session::{AppliesTo, Check, Session};
use crate::check::verdict::{Fault, Verdict};

pub(crate) const CHECK: Check =
    Check { name: "memory", title: "checking its memory", applies_to: AppliesTo::Any, run: check };

const RESIDENT: &str = "ai_integration_worker_resident_memory_bytes{";
/// The maximum number of requests. The check stops at the first request that adds less than `STEP`.
const REQUESTS: usize = 5;
const MEGABYTE: f64 = 1e6;
/// The growth in bytes that is not by chance if each request causes it.
const STEP: f64 = 32.0 * MEGABYTE;

fn check(session: &mut Session) -> Verdict {
    let (Some(server), Some(schema)) = (&session.server, &session.schema) else {
        return Verdict::Skipped("there is no server".to_owned());
    };
    if !session.has_results {
        return Verdict::Skipped(UNANSWERED.to_owned());
    }
    let (port, limit, body) = (server.port, session.limit, answer::body(schema));
    let Some(first) = resident(port, limit) else {
        return Verdict::Skipped("/metrics does not report its memory".to_owned());
    };
    let mut last = first;
    for _ in 0..REQUESTS {
        if let Err(error) = answer::ask(port, &body, limit) {
            return Verdict::Skipped(format!("a request was not answered: {error}"));
        }
        let now = resident(port, limit).unwrap_or_default();
        if now - last < STEP {
            return Verdict::Passed("its memory does not grow with each request".to_owned());
        }
        last = now;
    }
    let growth = (last - first) / MEGABYTE;
    Fault::new(
        format!("its memory grew with each of {REQUESTS} requests, by {growth:.0} MB in total"),
        "keep nothing of a request after its result: limit the size of lists and caches, and run \
         torch inside torch.no_grad()",
    )
    .into()
}

/// Returns the memory of all workers in bytes, or `None` if the metrics lack it.
fn resident(port: u16, limit: Duration) -> Option<f64> {
    let answer = http::get(port, "/metrics", limit).ok()?;
    let metrics = String::from_utf8_lossy(&answer.body).into_owned();
    let lines = metrics.lines().filter(|line| line.starts_with(RESIDENT));
    let sizes = lines.map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    sizes.sum::<Option<f64>>().filter(|sum| *sum > 0.0)
}
