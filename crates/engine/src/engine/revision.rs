//! The revisions of a program that is started anew while the engine runs.

use ai_integration_contract::Error;

/// The revision of the program that serves, and what keeps a later one from it.
#[derive(Clone, Debug, Default)]
pub struct Revision {
    /// Changes whenever new workers have taken over; another engine begins with another number.
    pub number: u32,
    /// The latest attempt to start the program anew, where it failed.
    pub broken: Option<Broken>,
}

/// An attempt to start the program anew that failed.
#[derive(Clone, Debug)]
pub struct Broken {
    /// The changed files, in words, where a change was the reason.
    pub changed: Option<String>,
    /// The reason why it failed, with the last lines of the program's output.
    pub error: Error,
}
