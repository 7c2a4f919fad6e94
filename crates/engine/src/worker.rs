//! Workers: the processes that run the model. The supervisor starts one in each slot and starts it
//! again when it ends; an executor carries messages between the engine and one of them.

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
