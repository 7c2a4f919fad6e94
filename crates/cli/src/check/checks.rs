//! The checks, in the order in which they run. The checks of the server come before those that
//! start the program again, because these need the schema from the server.
//!
//! To add a check, write a file with a `CHECK`, and add a line to the table.

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
