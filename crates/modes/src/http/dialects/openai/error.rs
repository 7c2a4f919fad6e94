//! The errors of OpenAI's API.

use ai_integration_contract::Kind;
use axum::Json;
use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::http::failure::{Failure, Reason, Wording};

/// Returns the body of the response to a failure. The same object is sent when a stream fails.
pub(crate) fn body(failure: &Failure, wording: Wording) -> Value {
    written(&failure.detail(wording), failure.reason, failure.first_field())
}

/// Makes the response of a probe while the model is not ready.
pub(super) fn not_ready(reason: &str) -> Response {
    let reason = written(reason, Reason::Failed(Kind::ModelUnavailable), None);
    (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "1")], Json(reason)).into_response()
}

fn written(message: &str, reason: Reason, param: Option<&str>) -> Value {
    let kind = type_of(reason.status());
    let code = reason.code();
    json!({"error": {"message": message, "type": kind, "param": param, "code": code}})
}

/// Returns OpenAI's type of errors with this status.
fn type_of(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => "authentication_error",
        StatusCode::FORBIDDEN => "permission_error",
        StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
        status if status.is_server_error() => "server_error",
        _ => "invalid_request_error",
    }
}
