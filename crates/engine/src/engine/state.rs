//! The state of an engine: whether it can serve.

use ai_integration_contract::Error;

/// The state of an engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// No worker is ready at the moment. Jobs wait.
    Starting,
    /// This number of workers is ready.
    Ready(usize),
    /// The engine has failed. Every job ends with this error.
    Failed(Error),
}
