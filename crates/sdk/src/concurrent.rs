//! Runs several jobs of a worker at a time: each on its own thread, or as tasks of one thread. One
//! thread reads the link for all of them.

mod flow;
pub(crate) mod tasks;
pub(crate) mod threads;
pub(crate) mod worker;
