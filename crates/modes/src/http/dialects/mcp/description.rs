//! Describes the address of the dialect in OpenAPI.

use serde_json::json;

use crate::http::description::{Description, content, failed, reference};

pub(super) const ENDPOINT: &str = "/mcp";

pub(super) fn describe() -> Description {
    let schema = reference("McpMessage");
    let message = json!({"schema": schema});
    let events = json!({"schema": {"type": "string"}});
    let answers = content(
        "The response, or server-sent events whose last message is the response",
        &json!({"application/json": message, "text/event-stream": events}),
    );
    let post = json!({
        "operationId": "mcp",
        "summary": "Use the model as a tool of the Model Context Protocol",
        "parameters": [{"$ref": "#/components/parameters/Timeout"}],
        "requestBody": {
            "required": true,
            "description": "One message of JSON-RPC 2.0. The versions of the protocol up to \
                            2025-11-25 begin with `initialize`; those since 2026-07-28 name their \
                            version in each request.",
            "content": {"application/json": message},
        },
        "responses": {
            "200": answers,
            "202": {"description": "A notification was received"},
            "204": {"description": "The client has cancelled the request"},
            "default": failed(&schema),
        },
    });
    let schema = json!({
        "type": "object",
        "required": ["jsonrpc"],
        "properties": {"jsonrpc": {"const": "2.0"}},
    });
    Description::default().at(ENDPOINT, "post", post).schema("McpMessage", schema)
}
