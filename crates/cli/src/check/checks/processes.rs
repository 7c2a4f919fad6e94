//! Checks that no process stays after a run of the program. A container needs no such check, because
//! its processes end with it.

use crate::check::session::{AppliesTo, Check, Session};
use crate::check::verdict::{Fault, Verdict};

pub(crate) const CHECK: Check = Check {
    name: "processes",
    title: "looking for processes that are still running",
    applies_to: AppliesTo::Programs,
    run: check,
};

/// The maximum number of command lines that are shown, and the maximum length of each in
/// characters.
const SHOWN: usize = 3;
const LONGEST: usize = 100;

fn check(session: &mut Session) -> Verdict {
    if !session.finds_processes {
        return Verdict::Skipped("processes can be found on Linux only".to_owned());
    }
    let mut left = session.left_running.clone();
    left.dedup();
    if left.is_empty() {
        return Verdict::Passed("no process was left running".to_owned());
    }
    let shown = left.iter().take(SHOWN).map(|line| line.chars().take(LONGEST).collect::<String>());
    let shown: Vec<String> = shown.collect();
    let cause = format!("processes were left running, and were killed: {}", shown.join("; "));
    let way_out = "end the processes that the model starts (in a finally, or with atexit), and start the program by exec";
    Fault::new(cause, way_out).into()
}
