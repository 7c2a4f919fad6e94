//! The state of an engine.

use ai_integration_contract::Error;

/// The state of an engine: whether it can serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// No worker is ready yet, or none just now; jobs wait.
    Starting,
    /// This many workers are ready.
    Ready(usize),
    /// The model cannot be had; every job is answered with this error.
    Failed(Error),
}
