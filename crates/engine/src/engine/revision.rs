//! The revisions of a program whose processes are replaced while the engine runs.

use ai_integration_contract::Error;

/// The revision of the program that serves, and the reason why a later one does not.
#[derive(Clone, Debug, Default)]
pub struct Revision {
    /// A number that changes whenever new workers have taken over. Each engine begins with a random
    /// number.
    pub number: u32,
    /// The latest attempt to replace the workers, if it failed.
    pub broken: Option<Broken>,
}

/// A failed attempt to replace the workers.
#[derive(Clone, Debug)]
pub struct Broken {
    /// The names of the changed files, in words, if a change was the reason for the attempt.
    pub changed: Option<String>,
    /// The reason why the attempt failed, with the last lines of the program's output.
    pub error: Error,
}
