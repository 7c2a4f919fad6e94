//! What can go wrong with a request, apart from the model's own verdict, which is an
//! [`Outcome`](crate::Outcome).

use std::borrow::Cow;

/// Why a request got no outcome. The code of a kind is stable: clients may rely on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The inputs do not fit the schema.
    InvalidInput,
    /// The request cannot be read as what it says it is.
    MalformedRequest,
    /// The request, or the answer, is larger than the limit.
    TooLarge,
    /// The request's format is not one that is read here.
    UnsupportedMediaType,
    /// The queue has no room.
    QueueFull,
    /// The model never became ready, and no further attempt is made.
    ModelUnavailable,
    /// The model's process ended while it worked on the request.
    ModelCrashed,
    /// The engine is stopping.
    ShuttingDown,
    /// No answer within the time allowed.
    Timeout,
}

impl Kind {
    /// Every kind, in the order of the documentation.
    pub const ALL: &[Kind] = &[
        Kind::InvalidInput,
        Kind::MalformedRequest,
        Kind::TooLarge,
        Kind::UnsupportedMediaType,
        Kind::QueueFull,
        Kind::ModelUnavailable,
        Kind::ModelCrashed,
        Kind::ShuttingDown,
        Kind::Timeout,
    ];

    /// The stable code, as it appears in answers.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Kind::InvalidInput => "invalid_input",
            Kind::MalformedRequest => "malformed_request",
            Kind::TooLarge => "too_large",
            Kind::UnsupportedMediaType => "unsupported_media_type",
            Kind::QueueFull => "queue_full",
            Kind::ModelUnavailable => "model_unavailable",
            Kind::ModelCrashed => "model_crashed",
            Kind::ShuttingDown => "shutting_down",
            Kind::Timeout => "timeout",
        }
    }

    /// A few words for headings.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Kind::InvalidInput => "the inputs are not valid",
            Kind::MalformedRequest => "the request cannot be read",
            Kind::TooLarge => "too large",
            Kind::UnsupportedMediaType => "the format is not supported",
            Kind::QueueFull => "the queue is full",
            Kind::ModelUnavailable => "the model is not available",
            Kind::ModelCrashed => "the model crashed",
            Kind::ShuttingDown => "the server is stopping",
            Kind::Timeout => "no answer in time",
        }
    }
}

/// A request that got no outcome: its [`Kind`] and a sentence for the person who asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// What went wrong, for programs.
    pub kind: Kind,
    /// What went wrong and what to do, for people.
    pub message: Cow<'static, str>,
}

impl Error {
    /// An error of `kind` that says `message`.
    pub fn new(kind: Kind, message: impl Into<Cow<'static, str>>) -> Self {
        Error { kind, message: message.into() }
    }
}
