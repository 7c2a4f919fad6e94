//! The JSON objects of responses.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::http::conversation::delta::{End, Usage};
use crate::http::models::seconds_since_1970;

/// The members that are the same from the first event of a response to its last.
pub(super) struct Head {
    id: String,
    created: u64,
    model: String,
}

impl Head {
    pub(super) fn new(model: String) -> Self {
        Head { id: id("resp"), created: seconds_since_1970(), model }
    }

    /// Describes the response with these items.
    pub(super) fn response(&self, status: &str, output: &Value) -> Value {
        json!({
            "id": self.id,
            "object": "response",
            "created_at": self.created,
            "status": status,
            "background": false,
            "error": null,
            "incomplete_details": null,
            "instructions": null,
            "max_output_tokens": null,
            "metadata": {},
            "model": self.model,
            "output": output,
            "parallel_tool_calls": true,
            "previous_response_id": null,
            "store": false,
            "temperature": null,
            "tool_choice": "auto",
            "tools": [],
            "top_p": null,
            "truncation": "disabled",
            "usage": null,
        })
    }

    /// Describes the response at its end.
    pub(super) fn ended(&self, end: &End, output: &Value) -> Value {
        let reason = match end.finish_reason.as_deref() {
            Some("length") => Some("max_output_tokens"),
            Some("content_filter") => Some("content_filter"),
            _ => None,
        };
        let status = if reason.is_some() { "incomplete" } else { "completed" };
        let mut response = self.response(status, output);
        if let Some(reason) = reason {
            response["incomplete_details"] = json!({"reason": reason});
        }
        response["usage"] = usage(&end.usage);
        response
    }
}

/// Makes the id of an object.
pub(super) fn id(prefix: &str) -> String {
    format!("{prefix}_{}", Uuid::new_v4().simple())
}

fn usage(usage: &Usage) -> Value {
    let cached = usage.detail(["input_tokens_details", "prompt_tokens_details"], "cached_tokens");
    let reasoning =
        usage.detail(["output_tokens_details", "completion_tokens_details"], "reasoning_tokens");
    json!({
        "input_tokens": usage.input,
        "input_tokens_details": {"cached_tokens": cached},
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": reasoning},
        "total_tokens": usage.total(),
    })
}

/// Describes an item that is a message.
pub(super) fn message(id: &str, status: &str, content: &[Value]) -> Value {
    json!({
        "id": id,
        "type": "message",
        "status": status,
        "role": "assistant",
        "content": content,
    })
}

/// Describes the part of a message that has its text.
pub(super) fn text_part(text: &str) -> Value {
    json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []})
}

/// Describes an item that is a call with this id, name and arguments.
pub(super) fn function_call(
    id: &str,
    status: &str,
    (call_id, name, arguments): (&str, &str, &str),
) -> Value {
    json!({
        "id": id,
        "type": "function_call",
        "status": status,
        "call_id": call_id,
        "name": name,
        "arguments": arguments,
    })
}
