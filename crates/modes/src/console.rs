//! Words for people on the standard streams. A reader who has gone away (`… | head`) is no reason
//! to panic, as `println!` would.

/// A line on standard output.
macro_rules! say {
    ($($word:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stdout(), $($word)*);
    }};
}

/// A line on standard error.
macro_rules! note {
    ($($word:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), $($word)*);
    }};
}

pub(crate) use {note, say};
