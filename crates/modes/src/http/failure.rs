//! Failures: all the ways in which a request can end without a result. A failure has a status, a
//! log line, and a body for dialects that have no format of their own: a problem document (RFC
//! 9457).

use std::borrow::Cow;

use ai_integration_contract::{
    Error, FieldError, Kind, Outcome, choices, kinds, settings, without_traceback,
};
use axum::Json;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::http::request_context::{RequestContext, RequestId};

settings! {
    /// The wording of failures.
    pub(crate) struct Settings under "Security" {
        /// Details of the model's failures that clients see: all of them (full), or all but the
        /// traceback and the program's last output (brief). The log always has all of them.
        errors: Wording = "full" { refuses_empty: true },
    }
}

const PROBLEM: HeaderValue = HeaderValue::from_static("application/problem+json");
/// The ways to authenticate. The second one makes browsers ask for a password.
const CHALLENGES: [HeaderValue; 2] = [
    HeaderValue::from_static("Bearer"),
    HeaderValue::from_static("Basic realm=\"model\", charset=\"UTF-8\""),
];

choices! {
    /// The details of failures that clients see.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) enum Wording {
        Full = "full",
        Brief = "brief",
    }
}

kinds! {
    /// A reason for which the server refuses a request before a job is made. The codes are as stable
    /// as those of [`Kind`].
    pub(crate) enum Refusal {
        /// The request has no valid token.
        Unauthorized "unauthorized" "the request is not authorized",
        /// A browser sent the request for a page of another site.
        Forbidden "forbidden" "the request is not allowed",
        /// There is nothing at the request's address.
        NotFound "not_found" "there is nothing at this address",
        /// The request's address does not accept its method.
        MethodNotAllowed "method_not_allowed" "the method is not allowed",
        /// The request is for a host name that is not this server's.
        Misdirected "misdirected" "the host name is not accepted",
        /// The URL is longer than the limit.
        UriTooLong "uri_too_long" "the URL is too long",
        /// The server does not read the request's format.
        UnsupportedMediaType "unsupported_media_type" "the format is not supported",
        /// The server does not read the transfer coding of the body.
        UnsupportedTransferCoding "unsupported_transfer_coding" "the transfer coding is not supported",
        /// The request did not arrive in time.
        RequestTimeout "request_timeout" "the request took too long to arrive",
        /// The client sends more requests than it may.
        RateLimited "rate_limited" "too many requests",
    }
}

/// The reason of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// The server refused the request.
    Refused(Refusal),
    /// The job failed, or no job was made.
    Failed(Kind),
}

impl Reason {
    /// Lists every reason, in the order of the documentation.
    pub(crate) fn all() -> impl Iterator<Item = Reason> {
        let refused = Refusal::ALL.iter().copied().map(Reason::Refused);
        refused.chain(Kind::ALL.iter().copied().map(Reason::Failed))
    }

    /// Returns the stable code.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Reason::Refused(refusal) => refusal.code(),
            Reason::Failed(kind) => kind.code(),
        }
    }

    /// Returns a few words for headings.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Reason::Refused(refusal) => refusal.title(),
            Reason::Failed(kind) => kind.title(),
        }
    }

    /// Returns the HTTP status (RFC 9110, section 15). A dialect may use another one.
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Reason::Refused(Refusal::Unauthorized) => StatusCode::UNAUTHORIZED,
            Reason::Refused(Refusal::Forbidden) => StatusCode::FORBIDDEN,
            Reason::Refused(Refusal::NotFound) => StatusCode::NOT_FOUND,
            Reason::Refused(Refusal::MethodNotAllowed) => StatusCode::METHOD_NOT_ALLOWED,
            Reason::Refused(Refusal::Misdirected) => StatusCode::MISDIRECTED_REQUEST,
            Reason::Refused(Refusal::UriTooLong) => StatusCode::URI_TOO_LONG,
            Reason::Refused(Refusal::UnsupportedMediaType) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Reason::Refused(Refusal::UnsupportedTransferCoding) => StatusCode::NOT_IMPLEMENTED,
            Reason::Refused(Refusal::RequestTimeout) => StatusCode::REQUEST_TIMEOUT,
            Reason::Refused(Refusal::RateLimited) => StatusCode::TOO_MANY_REQUESTS,
            Reason::Failed(Kind::InvalidInput) => StatusCode::UNPROCESSABLE_ENTITY,
            Reason::Failed(Kind::MalformedRequest) => StatusCode::BAD_REQUEST,
            Reason::Failed(Kind::TooLarge) => StatusCode::PAYLOAD_TOO_LARGE,
            Reason::Failed(Kind::QueueFull | Kind::ModelUnavailable | Kind::ShuttingDown) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Reason::Failed(Kind::ModelCrashed | Kind::ModelFailed) => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
            Reason::Failed(Kind::Timeout) => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// Returns the status for protocols that have 400 for inputs that do not fit.
    pub(crate) fn status_without_422(self) -> StatusCode {
        match self.status() {
            StatusCode::UNPROCESSABLE_ENTITY => StatusCode::BAD_REQUEST,
            status => status,
        }
    }
}

/// The failure of a request. The response has it as an extension. The edge counts and logs it, and
/// writes the body if there is none yet.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) reason: Reason,
    /// The cause, in the model's own words if the model reports the failure.
    message: Cow<'static, str>,
    /// The inputs that do not fit, if that is the cause.
    fields: Vec<FieldError>,
    /// The last lines of the program's output.
    output: Vec<String>,
    /// Seconds after which the same request may succeed.
    retry_after: Option<u64>,
    /// True if the response already has its body.
    has_body: bool,
    /// True if the program has already printed the traceback that is in the message.
    is_printed: bool,
}

impl Failure {
    /// Makes the failure of a request that the server refuses.
    pub(crate) fn refused(refusal: Refusal, message: impl Into<Cow<'static, str>>) -> Self {
        Failure::new(Reason::Refused(refusal), message.into())
    }

    /// Returns the outcome if it is a success whose data fits its content type. In every dialect but
    /// the classic one, any other outcome is a failure.
    pub(crate) fn check_outcome(outcome: Outcome) -> Result<Outcome, Self> {
        if !outcome.success {
            return Err(Failure::of_model(&outcome));
        }
        match outcome.json_fault() {
            None => Ok(outcome),
            Some(fault) => {
                let media = outcome.content_type.unwrap_or_default();
                let message = format!(
                    "the model's result is not JSON, though its content type is {media:?}: {fault}; \
                     give the value itself instead of its text"
                );
                Err(Failure::new(Reason::Failed(Kind::ModelFailed), message.into()))
            }
        }
    }

    /// Makes the failure that the model itself reports.
    pub(crate) fn of_model(outcome: &Outcome) -> Self {
        let message = outcome.error_message().to_owned();
        let failure = Failure::new(Reason::Failed(Kind::ModelFailed), message.into());
        Failure { is_printed: outcome.is_printed, ..failure }
    }

    fn new(reason: Reason, message: Cow<'static, str>) -> Self {
        let (fields, output) = (Vec::new(), Vec::new());
        let (has_body, is_printed) = (false, false);
        Failure { reason, message, fields, output, retry_after: None, has_body, is_printed }
    }

    /// Makes the failure of a request for an address that does not exist.
    pub(crate) fn not_found() -> Self {
        let message = "there is nothing at this address; /openapi.json lists the API's addresses";
        Failure::refused(Refusal::NotFound, message)
    }

    /// Makes the failure of a request whose method the address does not accept.
    pub(crate) fn method_not_allowed() -> Self {
        let message = "this address does not accept the method; the header Allow lists the methods \
                       that it accepts";
        Failure::refused(Refusal::MethodNotAllowed, message)
    }

    /// Makes the failure of a request whose body is over the limit, as sent or decompressed.
    pub(crate) fn too_large() -> Self {
        Error::new(Kind::TooLarge, "the body is larger than this server accepts").into()
    }

    /// Makes the failure of a request for which there is no memory now.
    pub(crate) fn full() -> Self {
        let message = "the memory for requests is in use; try again later";
        Error::new(Kind::QueueFull, message).into()
    }

    /// Makes the failure of a request that lost its memory to others, because its body came slowly.
    pub(crate) fn gave_way() -> Self {
        let message = "the body came too slowly while other requests needed its memory; try again \
                       later";
        Error::new(Kind::QueueFull, message).into()
    }

    /// Names the record that has failed, if the record or its run is the cause.
    pub(crate) fn of_record(mut self, number: usize) -> Self {
        let causes =
            [Kind::InvalidInput, Kind::MalformedRequest, Kind::ModelCrashed, Kind::ModelFailed];
        if matches!(self.reason, Reason::Failed(kind) if causes.contains(&kind)) {
            self.message = format!("record {number}: {}", self.message).into();
        }
        self
    }

    /// Adds the number of seconds after which the client may try again.
    pub(crate) fn with_retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// Returns the stable code.
    pub(crate) fn code(&self) -> &'static str {
        self.reason.code()
    }

    /// Returns the description for the client.
    pub(crate) fn detail(&self, wording: Wording) -> String {
        match (self.reason, wording) {
            (Reason::Failed(Kind::ModelFailed), Wording::Brief) => without_traceback(&self.message),
            (_, Wording::Full) if !self.output.is_empty() => {
                format!("{}. Its last output:\n    {}", self.message, self.output.join("\n    "))
            }
            _ => self.message.clone().into_owned(),
        }
    }

    /// Returns the name of the first input that does not fit, if that is the cause.
    pub(crate) fn first_field(&self) -> Option<&str> {
        self.fields.first().map(|field| field.name.as_str())
    }

    /// Returns the failure as a problem document (RFC 9457), with our stable `code`.
    pub(crate) fn problem(&self, wording: Wording, id: &RequestId) -> Value {
        let mut problem = json!({
            "type": "about:blank",
            "title": self.reason.title(),
            "status": self.reason.status().as_u16(),
            "code": self.code(),
            "detail": self.detail(wording),
            "request_id": id.as_str(),
        });
        if !self.fields.is_empty() {
            problem["errors"] = json!(self.fields);
        }
        problem
    }

    /// Writes the failure as `{"error": …}`, for protocols that have 400 for inputs that do not fit.
    pub(crate) fn as_error(&self, wording: Wording) -> Response {
        let body = Json(json!({"error": self.detail(wording)}));
        (self.reason.status_without_422(), body).into_response()
    }

    /// Makes a response whose body the handler has written. `body` also has the status; this adds
    /// the headers and the extension.
    pub(crate) fn with_body(mut self, body: impl IntoResponse) -> Response {
        self.has_body = true;
        self.mark(body.into_response())
    }

    pub(crate) fn has_body(&self) -> bool {
        self.has_body
    }

    /// Logs the failure: as a warning if the operator may have to act, otherwise at the level
    /// `debug`. A log for people has the program's output already, so the output is left out there.
    pub(crate) fn log(&self, context: &RequestContext) {
        let (request_id, code, route) = (context.id.as_str(), self.code(), context.route);
        let traceparent = context.traceparent.as_deref();
        let detail = || match context.is_logged_for_people {
            true if self.is_printed => without_traceback(&self.message),
            true => self.message.to_string(),
            false => self.detail(Wording::Full),
        };
        if self.reason == Reason::Failed(Kind::ModelFailed) {
            tracing::warn!(request_id, code, route, traceparent, "the model failed: {}", detail());
        } else if matches!(self.reason, Reason::Failed(_)) && self.reason.status().is_server_error()
        {
            tracing::warn!(request_id, code, route, traceparent, "{}", detail());
        } else {
            tracing::debug!(request_id, code, route, traceparent, "refused: {}", detail());
        }
    }

    fn mark(self, mut response: Response) -> Response {
        let headers = response.headers_mut();
        let is_busy = self.reason.status() == StatusCode::SERVICE_UNAVAILABLE;
        if let Some(seconds) = self.retry_after.or(is_busy.then_some(1)) {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        if self.reason == Reason::Refused(Refusal::Unauthorized) {
            for challenge in CHALLENGES {
                headers.append(WWW_AUTHENTICATE, challenge);
            }
        }
        response.extensions_mut().insert(self);
        response
    }
}

/// Writes a failure as a problem document, for dialects without a format of their own.
pub(crate) fn problem(failure: &Failure, wording: Wording, id: &RequestId) -> Response {
    let body = failure.problem(wording, id);
    (failure.reason.status(), [(CONTENT_TYPE, PROBLEM)], body.to_string()).into_response()
}

/// Writes a failure as a problem document that also has `error`, for an address of several dialects.
pub(crate) fn problem_with_error(failure: &Failure, wording: Wording, id: &RequestId) -> Response {
    let mut body = failure.problem(wording, id);
    body["error"] = body["detail"].clone();
    (failure.reason.status(), [(CONTENT_TYPE, PROBLEM)], body.to_string()).into_response()
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let Error { kind, message, fields, output, retry_after } = error;
        let reason = Reason::Failed(kind);
        Failure { fields, output, retry_after, ..Failure::new(reason, message) }
    }
}

/// Lets a handler return a failure. The edge adds the body, in the format of the address's dialect.
impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = self.reason.status();
        self.mark(status.into_response())
    }
}
