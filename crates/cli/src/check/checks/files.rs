//! Checks that the program writes no files into its folder, because a container's file system may
//! be read-only. Images need no such check: all checks of an image run with a read-only file system.

use crate::check::session::{AppliesTo, Check, Session};
use crate::check::verdict::{Fault, Verdict};

pub(crate) const CHECK: Check = Check {
    name: "files",
    title: "looking for files that were written",
    applies_to: AppliesTo::Programs,
    run: check,
};

/// The maximum number of files that are named.
const SHOWN: usize = 3;

fn check(session: &mut Session) -> Verdict {
    let written = session.written();
    if written.is_empty() {
        return Verdict::Passed("it wrote no files into its folder".to_owned());
    }
    let shown: Vec<String> =
        written.iter().take(SHOWN).map(|file| file.display().to_string()).collect();
    Verdict::Doubtful(Fault::new(
        format!("{} files were written during the check: {}", written.len(), shown.join(", ")),
        "write temporary files with tempfile, below /tmp: a container may be read-only, and workers \
         write at the same time",
    ))
}
