//! The error of an invocation, in the words of Lambda.

use ai_integration_contract::Kind;
use axum::http::HeaderName;
use serde::Serialize;

use crate::http::failure::{Failure, Reason, Wording};

/// The header with the type of an error.
pub(crate) const ERROR_TYPE: HeaderName =
    HeaderName::from_static("lambda-runtime-function-error-type");

/// An error of an invocation.
#[derive(Debug, Serialize)]
pub(crate) struct FunctionError {
    #[serde(rename = "errorType")]
    pub(crate) kind: &'static str,
    #[serde(rename = "errorMessage")]
    message: String,
    #[serde(rename = "stackTrace")]
    stack_trace: [&'static str; 0],
}

impl FunctionError {
    pub(crate) fn of(failure: &Failure, wording: Wording) -> Self {
        FunctionError::new(kind(failure.reason), failure.detail(wording))
    }

    /// Makes the error of an answer that broke off, from the stable code of the failure.
    pub(crate) fn late(code: &str) -> Self {
        let named = Kind::ALL.iter().find(|kind| kind.code() == code);
        let kind = kind(Reason::Failed(named.copied().unwrap_or(Kind::ModelFailed)));
        FunctionError::new(
            kind,
            "the answer broke off; the function's log has the reason".to_owned(),
        )
    }

    pub(crate) fn new(kind: &'static str, message: String) -> Self {
        FunctionError { kind, message, stack_trace: [] }
    }

    pub(crate) fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// Returns the type of an error: a category and a reason, as Lambda recommends.
fn kind(reason: Reason) -> &'static str {
    match reason {
        Reason::Refused(_) => "Event.Refused",
        Reason::Failed(Kind::InvalidInput) => "Event.InvalidInput",
        Reason::Failed(Kind::MalformedRequest) => "Event.Malformed",
        Reason::Failed(Kind::TooLarge) => "Payload.TooLarge",
        Reason::Failed(Kind::QueueFull) => "Model.QueueFull",
        Reason::Failed(Kind::ModelUnavailable) => "Model.Unavailable",
        Reason::Failed(Kind::ModelCrashed) => "Model.Crashed",
        Reason::Failed(Kind::ShuttingDown) => "Model.ShuttingDown",
        Reason::Failed(Kind::Timeout) => "Model.Timeout",
        Reason::Failed(Kind::ModelFailed) => "Model.Failed",
    }
}
