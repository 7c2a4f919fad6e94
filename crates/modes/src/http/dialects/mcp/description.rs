//! Describes the address of the dialect in OpenAPI.

use serde_json::json;

use crate::http::description::{Description, content};

pub(super) const ENDPOINT: &str = "/mcp";

pub(super) fn describe() -> Description {
    let message = json!({"schema": {"$ref": "#/components/schemas/McpMessage"}});
    let events = json!({"schema": {"type": "string"}});
    let answers = content(
        "The response, or server-sent events whose last message is the response",
        &json!({"application/json": message, "text/event-stream": events}),
    );
    let failed = content(
        "There is no answer",
        &json!({
            "application/json": message,
            // The response to a request that is refused before its dialect is known.
            "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}},
        }),
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
            "default": failed,
        },
    });
    let schema = json!({
        "type": "object",
        "required": ["jsonrpc"],
        "properties": {"jsonrpc": {"const": "2.0"}},
    });
    Description::default().at(ENDPOINT, "post", post).schema("McpMessage", schema)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_endpoint_takes_and_sends_messages() {
        let described = describe().paths[ENDPOINT].clone();
        let taken = &described["post"]["requestBody"]["content"]["application/json"];
        assert_eq!(taken, &described["post"]["responses"]["200"]["content"]["application/json"]);
    }
}
