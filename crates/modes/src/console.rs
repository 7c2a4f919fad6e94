//! Messages for people on the standard streams. Each message is one write, so that the output of
//! another process does not get into the middle of it. If the reader has closed the stream
//! (`… | head`), the message is dropped; `println!` would panic.

use std::fmt::Display;
use std::io::{self, Write};

/// Prints a message to standard output.
pub fn say(message: impl Display) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(format!("{message}\n").as_bytes()).and_then(|()| out.flush());
}

/// Prints a message to standard error.
pub fn eprint(message: impl Display) {
    let _ = io::stderr().write_all(format!("{message}\n").as_bytes());
}
