//! What can go wrong with a request, apart from the model's own verdict, which is an
//! [`Outcome`](crate::Outcome).

use std::borrow::Cow;
use std::fmt;

/// Why a request got no outcome. The code of a kind is stable: clients may rely on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The inputs do not fit the schema.
    InvalidInput,
    /// The request cannot be read as what it says it is.
    MalformedRequest,
    /// The request has no valid token.
    Unauthorized,
    /// A browser sent the request for a page of another site.
    Forbidden,
    /// There is nothing at the request's address.
    NotFound,
    /// The request's address is not asked with its method.
    MethodNotAllowed,
    /// The request is for a host that this server does not answer to.
    Misdirected,
    /// The request, or the answer, is larger than the limit.
    TooLarge,
    /// The address is longer than the limit.
    UriTooLong,
    /// The request's format is not one that is read here.
    UnsupportedMediaType,
    /// The request did not arrive in time.
    RequestTimeout,
    /// The client asks more often than it may.
    RateLimited,
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
        Kind::Unauthorized,
        Kind::Forbidden,
        Kind::NotFound,
        Kind::MethodNotAllowed,
        Kind::Misdirected,
        Kind::TooLarge,
        Kind::UriTooLong,
        Kind::UnsupportedMediaType,
        Kind::RequestTimeout,
        Kind::RateLimited,
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
            Kind::Unauthorized => "unauthorized",
            Kind::Forbidden => "forbidden",
            Kind::NotFound => "not_found",
            Kind::MethodNotAllowed => "method_not_allowed",
            Kind::Misdirected => "misdirected",
            Kind::TooLarge => "too_large",
            Kind::UriTooLong => "uri_too_long",
            Kind::UnsupportedMediaType => "unsupported_media_type",
            Kind::RequestTimeout => "request_timeout",
            Kind::RateLimited => "rate_limited",
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
            Kind::Unauthorized => "the request is not authorized",
            Kind::Forbidden => "the request is not allowed",
            Kind::NotFound => "there is nothing at this address",
            Kind::MethodNotAllowed => "the method is not allowed",
            Kind::Misdirected => "there is no such host here",
            Kind::TooLarge => "too large",
            Kind::UriTooLong => "the address is too long",
            Kind::UnsupportedMediaType => "the format is not supported",
            Kind::RequestTimeout => "the request took too long to arrive",
            Kind::RateLimited => "too many requests",
            Kind::QueueFull => "the queue is full",
            Kind::ModelUnavailable => "the model is not available",
            Kind::ModelCrashed => "the model crashed",
            Kind::ShuttingDown => "the server is stopping",
            Kind::Timeout => "no answer in time",
        }
    }
}

/// A request that got no outcome: its [`Kind`] and a sentence for the person who asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// What went wrong, for programs.
    pub kind: Kind,
    /// What went wrong and what to do, for people. Never a path, an address or a host's name.
    pub message: Cow<'static, str>,
    /// What the model's program said last, line by line: its author's words, which a public server
    /// keeps to itself.
    pub output: Vec<String>,
    /// Seconds after which the same request may go well.
    pub retry_after: Option<u64>,
}

impl Error {
    /// An error of `kind` that says `message`.
    pub fn new(kind: Kind, message: impl Into<Cow<'static, str>>) -> Self {
        Error { kind, message: message.into(), output: Vec::new(), retry_after: None }
    }

    /// The same with the last lines of the program's output.
    #[must_use]
    pub fn with_output(mut self, output: &[String]) -> Self {
        self.output = output.to_vec();
        self
    }

    /// The same with a time, in seconds, after which it may be tried again.
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
