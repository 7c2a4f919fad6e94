//! The errors of requests: every way in which a request can end without the model's
//! [`Outcome`](crate::Outcome).

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Declares an enum of error kinds as a table. A row has a kind's name, its stable code and a short
/// title. The enum gets `ALL`, `code` and `title`.
///
/// ```
/// ai_integration_contract::kinds! {
///     /// The reasons why a file is not stored.
///     pub enum Reason {
///         /// The disk is full.
///         DiskFull "disk_full" "the disk is full",
///     }
/// }
/// assert_eq!(Reason::ALL[0].code(), "disk_full");
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

            /// Returns the stable code that responses contain.
            #[must_use]
            $visibility const fn code(self) -> &'static str {
                match self {
                    $($name::$kind => $code),+
                }
            }

            /// Returns a short title for headings.
            #[must_use]
            $visibility const fn title(self) -> &'static str {
                match self {
                    $($name::$kind => $title),+
                }
            }
        }
    };
}

/// The maximum number of wrong values that an error lists. A request can have any number of them.
pub const MAX_NAMED: usize = 20;

kinds! {
    /// The reason why a request has no outcome. The code of a kind is stable, so clients may rely
    /// on it.
    pub enum Kind {
        /// The inputs do not fit the schema.
        InvalidInput "invalid_input" "the inputs are not valid",
        /// The request is malformed. For example, its body does not match its content type.
        MalformedRequest "malformed_request" "the request cannot be read",
        /// The request or the result is larger than a limit.
        TooLarge "too_large" "the request or the result is too large",
        /// The queue is full.
        QueueFull "queue_full" "the queue is full",
        /// The model cannot take the request: its program cannot be started, or has ended for good.
        ModelUnavailable "model_unavailable" "the model is not available",
        /// The model process ended while it worked on the request, or model processes kept ending
        /// before they started it.
        ModelCrashed "model_crashed" "the model crashed",
        /// The engine is shutting down.
        ShuttingDown "shutting_down" "the server is stopping",
        /// There is no result within the time limit.
        Timeout "timeout" "the timeout passed",
        /// The model reported a failure. This kind is used if a dialect or a queue cannot carry the
        /// outcome itself.
        ModelFailed "model_failed" "the model reported a failure",
    }
}

/// An input of a request that does not fit the schema.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldError {
    /// The input's name.
    pub name: String,
    /// Says what is wrong and what was expected.
    pub message: String,
}

/// The error of a request without an outcome: its [`Kind`], and a message for the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// The kind of error, for programs.
    pub kind: Kind,
    /// The message for people: the fault, and what to do. It never contains a path, an address or a
    /// host name.
    pub message: Cow<'static, str>,
    /// The inputs that do not fit, if that is the error.
    pub fields: Vec<FieldError>,
    /// The last lines of the program's output. A public server does not show them to clients.
    pub output: Vec<String>,
    /// The time in seconds after which the same request may succeed.
    pub retry_after: Option<u64>,
}

impl Error {
    /// Creates an error of `kind` with `message`.
    pub fn new(kind: Kind, message: impl Into<Cow<'static, str>>) -> Self {
        let (fields, output) = (Vec::new(), Vec::new());
        Error { kind, message: message.into(), fields, output, retry_after: None }
    }

    /// Creates the error of a request whose inputs do not fit.
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

    /// Adds the time in seconds after which the client may retry.
    #[must_use]
    pub fn with_retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }
}

impl std::error::Error for Error {}

/// Writes the message, and the output if there is some.
impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.message)?;
        if !self.output.is_empty() {
            write!(out, ". Its last output:\n    {}", self.output.join("\n    "))?;
        }
        Ok(())
    }
}
