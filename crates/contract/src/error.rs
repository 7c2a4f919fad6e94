//! The errors of requests: every way in which one can end without the model's
//! [`Outcome`](crate::Outcome).

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Declares an enum of error kinds, each a line of a table: its name, its stable code and a few
/// words for headings. The enum gets `ALL`, `code` and `title`.
///
/// ```
/// ai_integration_contract::kinds! {
///     /// The reasons for which a door stays shut.
///     pub enum Reason {
///         /// The key is not the door's.
///         WrongKey "wrong_key" "the key does not fit",
///     }
/// }
/// assert_eq!(Reason::ALL[0].code(), "wrong_key");
/// ```
#[macro_export]
macro_rules! kinds {
    (
        $(#[$attribute:meta])*
        $visibility:vis enum $name:ident {
            $($(#[$kind_attribute:meta])* $kind:ident $code:literal $title:literal),+ $(,)?
        }
    ) => {
        $(#[$attribute])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        $visibility enum $name {
            $($(#[$kind_attribute])* $kind),+
        }

        impl $name {
            /// Every kind, in the order of the documentation.
            $visibility const ALL: &[$name] = &[$($name::$kind),+];

            /// Returns the stable code, as it appears in answers.
            #[must_use]
            $visibility const fn code(self) -> &'static str {
                match self {
                    $($name::$kind => $code),+
                }
            }

            /// Returns a few words for headings.
            #[must_use]
            $visibility const fn title(self) -> &'static str {
                match self {
                    $($name::$kind => $title),+
                }
            }
        }
    };
}

/// The most faulty values that an error names, where a request may have any number of them.
pub const MAX_NAMED: usize = 20;

kinds! {
    /// A reason for which a request got no outcome. The code of a kind is stable: clients may rely
    /// on it.
    pub enum Kind {
        /// The inputs do not fit the schema.
        InvalidInput "invalid_input" "the inputs are not valid",
        /// The request cannot be read as what it says it is.
        MalformedRequest "malformed_request" "the request cannot be read",
        /// The request, or the answer, is larger than the limit.
        TooLarge "too_large" "too large",
        /// The queue has no room.
        QueueFull "queue_full" "the queue is full",
        /// The model never became ready, and no further attempt is made.
        ModelUnavailable "model_unavailable" "the model is not available",
        /// The model's process ended while it worked on the request.
        ModelCrashed "model_crashed" "the model crashed",
        /// The engine is stopping.
        ShuttingDown "shutting_down" "the server is stopping",
        /// No answer within the time allowed.
        Timeout "timeout" "no answer in time",
        /// The model itself says that it failed. Where an outcome can be told, that says it.
        ModelFailed "model_failed" "the model reported a failure",
    }
}

/// An input of a request that does not fit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldError {
    /// The input's name.
    pub name: String,
    /// Says what is wrong and what was expected.
    pub message: String,
}

/// A request that got no outcome: its [`Kind`] and a sentence for the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// The kind of error, for programs.
    pub kind: Kind,
    /// Says what went wrong and what to do, for people. Never a path, an address or a host's name.
    pub message: Cow<'static, str>,
    /// Each input that does not fit, where that is what went wrong.
    pub fields: Vec<FieldError>,
    /// Last lines of the program's output: its author's words, which a public server keeps to
    /// itself.
    pub output: Vec<String>,
    /// Seconds after which the same request may go well.
    pub retry_after: Option<u64>,
}

impl Error {
    /// Makes an error of `kind` that says `message`.
    pub fn new(kind: Kind, message: impl Into<Cow<'static, str>>) -> Self {
        let (fields, output) = (Vec::new(), Vec::new());
        Error { kind, message: message.into(), fields, output, retry_after: None }
    }

    /// Makes the error of a request of which these inputs do not fit.
    #[must_use]
    pub fn invalid_inputs(fields: Vec<FieldError>) -> Self {
        let each = fields.iter().map(|field| format!("{}: {}", field.name, field.message));
        let message = each.collect::<Vec<_>>().join("; ");
        Error { fields, ..Error::new(Kind::InvalidInput, message) }
    }

    /// Adds the last lines of the program's output.
    #[must_use]
    pub fn with_output(mut self, output: &[String]) -> Self {
        self.output = output.to_vec();
        self
    }

    /// Adds a time, in seconds, after which the request may be tried again.
    #[must_use]
    pub fn with_retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }
}

impl std::error::Error for Error {}

/// The message, and the output where there is some.
impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.message)?;
        if !self.output.is_empty() {
            write!(out, ". Its last output:\n    {}", self.output.join("\n    "))?;
        }
        Ok(())
    }
}
