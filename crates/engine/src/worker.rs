//! Workers: the slots in which model processes run. The supervisor starts a process in each slot,
//! and restarts it when it ends. An executor carries messages between the engine and one worker.

pub(crate) mod backoff;
pub(crate) mod ending;
pub(crate) mod executor;
pub(crate) mod generation;
pub(crate) mod memory;
pub(crate) mod output;
pub(crate) mod pipe;
pub(crate) mod process;
pub(crate) mod reaper;
pub(crate) mod rlimits;
pub(crate) mod supervisor;
pub(crate) mod tail;
