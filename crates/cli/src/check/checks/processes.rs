//! Checks whether processes stayed behind after a run of the program. Those of a container end with it.

use crate::check::session::{Check, Of, Session};
use crate::check::verdict::{Fault, Verdict};

pub(crate) const CHECK: Check = Check {
    name: "processes",
    title: "looking for processes that stayed",
    of: Of::Programs,
    run: check,
};

/// The most command lines that are shown, and the longest of them in characters.
const SHOWN: usize = 3;
const LONGEST: usize = 100;

fn check(session: &mut Session) -> Verdict {
    if !session.adopts {
        return Verdict::Skipped("only Linux tells who stayed".to_owned());
    }
    let mut left = session.left.clone();
    left.dedup();
    if left.is_empty() {
        return Verdict::Passed("no process stayed after a run".to_owned());
    }
    let shown = left.iter().take(SHOWN).map(|line| line.chars().take(LONGEST).collect::<String>());
    let shown: Vec<String> = shown.collect();
    let cause = format!("processes stayed after a run, and were killed: {}", shown.join("; "));
    let way_out = "end what the model starts (a finally, or atexit), and start the program by exec";
    Fault::new(cause, way_out).into()
}
