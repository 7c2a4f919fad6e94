//! The checks, in the order in which they are made: those of the server before those that run the
//! program once more, which need the server's schema.
//!
//! To add one: write a file with a `CHECK`, and a line into the table.

use crate::check::session::Check;

macro_rules! checks {
    ($($module:ident),+ $(,)?) => {
        $(mod $module;)+
        /// Every check.
        pub(crate) const CHECKS: &[Check] = &[$($module::CHECK),+];
    };
}

checks! {
    image,
    self_test,
    start,
    schema,
    answer,
    together,
    lasting,
    own_answer,
    memory,
    stop,
    command_line,
    exit_status,
    offline,
    serve,
    processes,
    files,
}
