//! Checks that several requests at once all get a response.

use std::thread;

use crate::check::checks::answer;
use crate::check::session::{AppliesTo, Check, Session};
use crate::check::verdict::{Fault, Verdict};

pub(crate) const CHECK: Check = Check {
    name: "together",
    title: "sending eight requests at once",
    applies_to: AppliesTo::Any,
    run: check,
};

const REQUESTS: usize = 8;
/// The reason for skipping the checks that need a response.
pub(crate) const UNANSWERED: &str = "a single request has no result either";

fn check(session: &mut Session) -> Verdict {
    let (Some(server), Some(schema)) = (&session.server, &session.schema) else {
        return Verdict::Skipped("there is no server".to_owned());
    };
    if !session.has_results {
        return Verdict::Skipped(UNANSWERED.to_owned());
    }
    let (port, limit, body) = (server.port, session.limit, answer::body(schema));
    let answers: Vec<Result<(), String>> = thread::scope(|scope| {
        let ask = || answer::ask(port, &body, limit).map(|_| ());
        let threads: Vec<_> = (0..REQUESTS).map(|_| scope.spawn(ask)).collect();
        let lost = |_| Err("the thread that asked ended".to_owned());
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(lost)).collect()
    });
    let mut lost = answers.iter().filter_map(|answer| answer.as_ref().err());
    let count = lost.clone().count();
    match lost.next() {
        None => Verdict::Passed(format!("{REQUESTS} requests at once all got results")),
        Some(reason) => Fault::new(
            format!("{count} of {REQUESTS} requests at once got no result: {reason}"),
            "keep no data of one request for the next, and do not leave the loop",
        )
        .with_output(server.running.last_lines())
        .into(),
    }
}
