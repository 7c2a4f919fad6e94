//! Why a request is not answered with a result, and how each dialect says so.

use ai_integration_contract::{Error, InvalidInputs, Kind, Outcome};
use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// How long a client should wait before it asks again, in seconds, when the server is busy.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// Why a request has no result.
#[derive(Debug)]
pub(crate) enum Rejection {
    /// Some inputs do not fit.
    Invalid(InvalidInputs),
    /// Anything else.
    Error(Error),
}

impl From<Error> for Rejection {
    fn from(error: Error) -> Self {
        Rejection::Error(error)
    }
}

impl From<InvalidInputs> for Rejection {
    fn from(invalid: InvalidInputs) -> Self {
        Rejection::Invalid(invalid)
    }
}

impl Rejection {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Rejection::Invalid(_) => Kind::InvalidInput,
            Rejection::Error(error) => error.kind,
        }
    }

    pub(crate) fn message(&self) -> String {
        match self {
            Rejection::Invalid(invalid) => invalid.to_string(),
            Rejection::Error(error) => error.to_string(),
        }
    }
}

/// The HTTP status of a kind of error (RFC 9110, section 15).
pub(crate) fn status(kind: Kind) -> StatusCode {
    match kind {
        Kind::InvalidInput => StatusCode::UNPROCESSABLE_ENTITY,
        Kind::MalformedRequest => StatusCode::BAD_REQUEST,
        Kind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Kind::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Kind::QueueFull | Kind::ModelUnavailable | Kind::ShuttingDown => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        Kind::ModelCrashed => StatusCode::INTERNAL_SERVER_ERROR,
        Kind::Timeout => StatusCode::GATEWAY_TIMEOUT,
    }
}

/// Says that the same request may go well a little later, where that is so.
pub(crate) fn with_retry_after(mut response: Response) -> Response {
    if response.status() == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
    }
    response
}

/// A problem as RFC 9457 has it, with our stable `code`.
pub(crate) struct Problem {
    status: StatusCode,
    /// The JSON object.
    pub(crate) body: Value,
}

impl Problem {
    fn new(status: StatusCode, code: &str, title: &str, detail: &str) -> Self {
        let body = json!({
            "type": "about:blank",
            "title": title,
            "status": status.as_u16(),
            "code": code,
            "detail": detail,
        });
        Problem { status, body }
    }

    /// A failure that the model itself reports.
    pub(crate) fn model_failed(outcome: &Outcome) -> Self {
        let (status, title) = (StatusCode::INTERNAL_SERVER_ERROR, "the model reported a failure");
        Problem::new(status, "model_failed", title, outcome.error_message())
    }
}

impl From<Rejection> for Problem {
    fn from(rejection: Rejection) -> Self {
        let kind = rejection.kind();
        let mut problem =
            Problem::new(status(kind), kind.code(), kind.title(), &rejection.message());
        if let Rejection::Invalid(InvalidInputs(fields)) = &rejection {
            problem.body["errors"] = json!(fields);
        }
        problem
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        // Set after `Json`, whose own media type it replaces.
        let mut response = (self.status, Json(self.body)).into_response();
        let media = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, media);
        with_retry_after(response)
    }
}

/// A rejection in the native dialect.
impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}
