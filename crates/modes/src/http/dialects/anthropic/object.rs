//! The JSON objects of messages.

use axum::http::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::http::conversation::delta::{End, Usage};
use crate::http::failure::{Failure, Wording};
use crate::http::request_context::RequestId;

/// Returns the body of the response to a failure. The same object is sent when a stream fails.
pub(super) fn error(failure: &Failure, wording: Wording, id: &RequestId) -> Value {
    let kind = match failure.reason.status() {
        StatusCode::UNAUTHORIZED => "authentication_error",
        StatusCode::FORBIDDEN => "permission_error",
        StatusCode::NOT_FOUND => "not_found_error",
        StatusCode::PAYLOAD_TOO_LARGE => "request_too_large",
        StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
        StatusCode::SERVICE_UNAVAILABLE => "overloaded_error",
        StatusCode::GATEWAY_TIMEOUT => "timeout_error",
        status if status.is_server_error() => "api_error",
        _ => "invalid_request_error",
    };
    let error = json!({"type": kind, "message": failure.detail(wording)});
    json!({"type": "error", "error": error, "request_id": id.as_str()})
}

/// Describes a message with this content.
pub(super) fn message(
    model: &str,
    content: &[Value],
    stop_reason: Option<&str>,
    usage: &Value,
) -> Value {
    json!({
        "id": format!("msg_{}", Uuid::new_v4().simple()),
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": content,
        "stop_reason": stop_reason,
        "stop_sequence": null,
        "usage": usage,
    })
}

pub(super) fn usage(usage: &Usage) -> Value {
    json!({"input_tokens": usage.input, "output_tokens": usage.output})
}

/// Returns the reason of the end of an answer in Anthropic's words, which a model may use too.
pub(super) fn stop_reason(end: &End, has_calls: bool) -> &str {
    match end.finish_reason(has_calls) {
        "stop" => "end_turn",
        "length" => "max_tokens",
        "tool_calls" | "function_call" => "tool_use",
        "content_filter" => "refusal",
        other => other,
    }
}
