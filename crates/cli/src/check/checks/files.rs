//! Checks whether the program writes files beside itself, which a container's file system may forbid.
//! That of an image is read-only in every check.

use crate::check::session::{Check, Of, Session};
use crate::check::verdict::{Fault, Verdict};

pub(crate) const CHECK: Check = Check {
    name: "files",
    title: "looking for files that were written",
    of: Of::Programs,
    run: check,
};

/// The most files that are named.
const SHOWN: usize = 3;

fn check(session: &mut Session) -> Verdict {
    let written = session.written();
    if written.is_empty() {
        return Verdict::Passed("it wrote no files beside itself".to_owned());
    }
    let shown: Vec<String> =
        written.iter().take(SHOWN).map(|file| file.display().to_string()).collect();
    Verdict::Doubtful(Fault::new(
        format!("{} files were written meanwhile: {}", written.len(), shown.join(", ")),
        "write temporary files with tempfile, below /tmp: a container may be read-only, and workers \
         write at the same time",
    ))
}
