//! Words for people on the standard streams, each message in one piece: others write there too, and
//! would come in between. A reader who has gone away (`… | head`) is no reason to panic, as
//! `println!` would.

use std::fmt::Display;
use std::io::{self, Write};

/// A message on standard output.
pub fn say(message: impl Display) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(format!("{message}\n").as_bytes()).and_then(|()| out.flush());
}

/// A message on standard error.
pub fn eprint(message: impl Display) {
    let _ = io::stderr().write_all(format!("{message}\n").as_bytes());
}
