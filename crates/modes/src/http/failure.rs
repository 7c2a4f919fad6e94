//! Why a request is not answered with a result, and how each dialect says so.

use ai_integration_contract::{Error, Kind, Outcome, choices, settings};
use axum::body::Body;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::http::trace::Trace;
use crate::http::wire::edge::RequestId;

settings! {
    /// The wording of failures.
    pub(crate) struct Settings under "Security" {
        /// Detail of the model's failures that clients see: everything, or briefly, without the
        /// traceback and what the program printed last. The log has all of it in any case, under the
        /// request's id.
        errors: Wording = "full",
    }
}

const PROBLEM: HeaderValue = HeaderValue::from_static("application/problem+json");
/// The second one makes browsers ask for a password.
const CHALLENGES: [HeaderValue; 2] = [
    HeaderValue::from_static("Bearer"),
    HeaderValue::from_static("Basic realm=\"model\", charset=\"UTF-8\""),
];

choices! {
    /// The detail of failures that clients see.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) enum Wording {
        Full = "full",
        Brief = "brief",
    }
}

impl Wording {
    /// The model's own words.
    pub(crate) fn of_model(self, outcome: &Outcome) -> String {
        match self {
            Wording::Full => outcome.error_message().to_owned(),
            Wording::Brief => without_traceback(outcome.error_message()),
        }
    }

    pub(crate) fn of_error(self, error: &Error) -> String {
        match self {
            Wording::Full => error.to_string(),
            Wording::Brief => error.message.clone().into_owned(),
        }
    }
}

/// A Python traceback's last part, which says what went wrong, and what stands before the first.
fn without_traceback(text: &str) -> String {
    const HEADING: &str = "Traceback (most recent call last):";
    let Some((before, _)) = text.split_once(HEADING) else { return text.to_owned() };
    let last = text.rsplit(HEADING).next().unwrap_or_default();
    // The calls are indented; the exception begins with the first line that is not.
    let exception = last.lines().skip(1).skip_while(|line| line.starts_with(' '));
    let lines: Vec<&str> = before.lines().chain(exception).collect();
    lines.join("\n").trim().to_owned()
}

/// An error in the native dialect.
#[derive(Clone, Debug)]
pub(crate) struct Rejection(pub(crate) Error);

impl From<Error> for Rejection {
    fn from(error: Error) -> Self {
        Rejection(error)
    }
}

impl Rejection {
    pub(crate) fn not_found() -> Self {
        let message = "there is nothing at this address; /openapi.json has those of the API";
        Error::new(Kind::NotFound, message).into()
    }

    pub(crate) fn method_not_allowed() -> Self {
        let message = "this address does not take the method; the header Allow names what it takes";
        Error::new(Kind::MethodNotAllowed, message).into()
    }
}

/// The HTTP status of a kind of error (RFC 9110, section 15).
pub(crate) fn status(kind: Kind) -> StatusCode {
    match kind {
        Kind::InvalidInput => StatusCode::UNPROCESSABLE_ENTITY,
        Kind::MalformedRequest => StatusCode::BAD_REQUEST,
        Kind::Unauthorized => StatusCode::UNAUTHORIZED,
        Kind::Forbidden => StatusCode::FORBIDDEN,
        Kind::NotFound => StatusCode::NOT_FOUND,
        Kind::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        Kind::Misdirected => StatusCode::MISDIRECTED_REQUEST,
        Kind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Kind::UriTooLong => StatusCode::URI_TOO_LONG,
        Kind::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Kind::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
        Kind::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        Kind::QueueFull | Kind::ModelUnavailable | Kind::ShuttingDown => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        Kind::ModelCrashed | Kind::ModelFailed => StatusCode::INTERNAL_SERVER_ERROR,
        Kind::Timeout => StatusCode::GATEWAY_TIMEOUT,
    }
}

/// What an answer without a result carries as an extension, for whoever finishes, counts and logs
/// it.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    why: Why,
    /// Whether the answer's body says it already.
    is_told: bool,
}

#[derive(Clone, Debug)]
enum Why {
    Rejected(Error),
    /// The model's own words.
    Model(Outcome),
}

impl Failure {
    /// A failure that the model itself reports.
    pub(crate) fn of_model(outcome: Outcome) -> Self {
        Failure { why: Why::Model(outcome), is_told: false }
    }

    /// The answer with the status, the headers and the extension of this failure, and its own body.
    pub(crate) fn told_by(mut self, response: impl IntoResponse) -> Response {
        self.is_told = true;
        self.mark(response.into_response())
    }

    pub(crate) fn is_told(&self) -> bool {
        self.is_told
    }

    fn kind(&self) -> Kind {
        match &self.why {
            Why::Rejected(error) => error.kind,
            Why::Model(_) => Kind::ModelFailed,
        }
    }

    pub(crate) fn code(&self) -> &'static str {
        self.kind().code()
    }

    /// A problem as RFC 9457 has it, with our stable `code`.
    pub(crate) fn problem(&self, wording: Wording, id: &RequestId) -> Value {
        let detail = match &self.why {
            Why::Rejected(error) => wording.of_error(error),
            Why::Model(outcome) => wording.of_model(outcome),
        };
        let kind = self.kind();
        let mut problem = json!({
            "type": "about:blank",
            "title": kind.title(),
            "status": status(kind).as_u16(),
            "code": kind.code(),
            "detail": detail,
            "request_id": id.as_str(),
        });
        if let Why::Rejected(error) = &self.why
            && !error.fields.is_empty()
        {
            problem["errors"] = json!(error.fields);
        }
        problem
    }

    /// Gives the answer its body.
    pub(crate) fn tell(&self, response: Response, wording: Wording, id: &RequestId) -> Response {
        let (mut parts, _) = response.into_parts();
        parts.headers.insert(CONTENT_TYPE, PROBLEM);
        // The router has noted that there is none yet.
        parts.headers.remove(CONTENT_LENGTH);
        Response::from_parts(parts, Body::from(self.problem(wording, id).to_string()))
    }

    /// Leaves what happened in the log: loudly what the operator may have to look after.
    pub(crate) fn log(&self, id: &RequestId, route: &str, trace: &Trace) {
        let (id, code, traceparent) = (id.as_str(), self.code(), trace.parent());
        match &self.why {
            Why::Model(outcome) => {
                let message = outcome.error_message();
                tracing::warn!(
                    request_id = id,
                    code,
                    route,
                    traceparent,
                    "the model failed: {message}"
                );
            }
            Why::Rejected(error) if status(error.kind).is_server_error() => {
                tracing::warn!(request_id = id, code, route, traceparent, "{error}");
            }
            Why::Rejected(error) => {
                tracing::debug!(request_id = id, code, route, traceparent, "refused: {error}");
            }
        }
    }

    fn mark(self, mut response: Response) -> Response {
        let headers = response.headers_mut();
        if let Why::Rejected(error) = &self.why {
            let busy = status(error.kind) == StatusCode::SERVICE_UNAVAILABLE;
            if let Some(seconds) = error.retry_after.or(busy.then_some(1)) {
                headers.insert(RETRY_AFTER, seconds.into());
            }
            if error.kind == Kind::Unauthorized {
                for challenge in CHALLENGES {
                    headers.append(WWW_AUTHENTICATE, challenge);
                }
            }
        }
        response.extensions_mut().insert(self);
        response
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure { why: Why::Rejected(error), is_told: false }
    }
}

impl From<Rejection> for Failure {
    fn from(Rejection(error): Rejection) -> Self {
        error.into()
    }
}

/// In the native dialect; the body is given when the request's id is at hand.
impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = status(self.kind());
        self.mark(status.into_response())
    }
}

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        Failure::from(self).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceback_is_left_out_and_the_exception_stays() {
        let text = "Traceback (most recent call last):\n  File \"/app/a.py\", line 1, in <module>\n    \
                    f()\n    ^^^\nKeyError: 1\n\nDuring handling of the above exception, another \
                    exception occurred:\n\nTraceback (most recent call last):\n  File \"/app/a.py\", \
                    line 3, in <module>\n    g()\nValueError: no such size\nas this\n";
        assert_eq!(without_traceback(text), "ValueError: no such size\nas this");
        assert_eq!(without_traceback("too dark"), "too dark");
        assert_eq!(without_traceback("in short\nTraceback (most recent call last):\n"), "in short");
    }
}
