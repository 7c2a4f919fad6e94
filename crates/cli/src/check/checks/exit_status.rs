//! Checks that a wrong command line ends with exit status 2, as scripts and schedulers expect.

use crate::check::session::{AppliesTo, Check, Session};
use crate::check::subject::Start;
use crate::check::verdict::{Fault, Verdict};

pub(crate) const CHECK: Check = Check {
    name: "exit_status",
    title: "checking the exit status of a wrong command line",
    applies_to: AppliesTo::Any,
    run: check,
};

const WRONG: &str = "--no-such-flag-of-this-model";
const EXPECTED: i32 = 2;

fn check(session: &mut Session) -> Verdict {
    let start = Start { arguments: vec![WRONG.into()], ..Start::default() };
    let mut running = match session.start("command_line", start) {
        Ok(running) => running,
        Err(error) => return Fault::new(error, "").into(),
    };
    let limit = session.limit;
    let status = session.finish(&mut running, limit);
    let cause = match status {
        Some(status) if status.code() == Some(EXPECTED) => {
            let sentence = "a wrong command line ends with status 2";
            return Verdict::Passed(sentence.to_owned());
        }
        Some(status) => {
            format!("a wrong command line ended with {status} instead of status {EXPECTED}")
        }
        None => format!("a wrong command line did not end within {} s", limit.as_secs()),
    };
    let way_out = "pass the program's exit status on: end a start script with exec python3 \
                   entrypoint.py \"$@\", and do not catch SystemExit in Python";
    Fault::new(cause, way_out).with_output(running.last_lines()).into()
}
