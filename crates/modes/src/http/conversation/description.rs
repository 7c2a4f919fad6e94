//! Describes the addresses of conversations in OpenAPI.

use ai_integration_contract::InputsSchema;
use serde_json::{Map, Value, json};

use crate::http::conversation::{HISTORY, MESSAGES, SYSTEM, is_for_media, text_input};
use crate::http::description::{Encoding, content, failed, inputs, reference};

/// An operation of a protocol for chat models.
pub(crate) struct Operation<'a> {
    pub(crate) id: &'a str,
    pub(crate) summary: &'a str,
    /// The member of the request that has the conversation, and its schema.
    pub(crate) member: (&'a str, Value),
    /// The members that every whole answer has.
    pub(crate) answer: &'a [&'a str],
    /// The name of the schema of the protocol's errors.
    pub(crate) error: &'a str,
}

impl Operation<'_> {
    /// Describes the operation for a model with this schema.
    pub(crate) fn describe(&self, schema: &InputsSchema) -> Value {
        let (member, conversation) = &self.member;
        let mut properties = options(schema);
        properties.insert("stream".to_owned(), json!({"type": ["boolean", "null"]}));
        properties.insert((*member).to_owned(), conversation.clone());
        let body = json!({"type": "object", "required": [member], "properties": properties});
        let answer = json!({"type": "object", "required": self.answer});
        let success = json!({
            "application/json": {"schema": answer},
            "text/event-stream": {},
        });
        json!({
            "operationId": self.id,
            "summary": self.summary,
            "parameters": [{"$ref": "#/components/parameters/Timeout"}],
            "requestBody": {"required": true, "content": {"application/json": {"schema": body}}},
            "responses": {
                "200": content("The answer, or with `stream` its events", &success),
                "default": failed(&reference(self.error)),
            },
        })
    }
}

/// Describes a list of messages, each with a role and a content. One of them is the user's.
pub(crate) fn messages() -> Value {
    let content = json!({"type": ["string", "array", "null"], "items": {"type": "object"}});
    let message = json!({
        "type": "object",
        "required": ["role"],
        "properties": {"role": {"type": "string"}, "content": content},
    });
    let of_user = json!({"properties": {"role": {"const": "user"}}});
    json!({"type": "array", "items": message, "contains": of_user})
}

/// Describes the inputs that the conversation does not give.
fn options(schema: &InputsSchema) -> Map<String, Value> {
    let mut all = inputs(schema, Encoding::Json)["properties"].take();
    let text = text_input(schema).map_or(MESSAGES, |(name, _)| name);
    let media = schema.fields().iter().filter(|(_, field)| is_for_media(field));
    let media = media.map(|(name, _)| name.as_str());
    if let Value::Object(all) = &mut all {
        for name in media.chain([MESSAGES, SYSTEM, HISTORY, text]) {
            all.remove(name);
        }
    }
    match all {
        Value::Object(all) => all,
        _ => Map::new(),
    }
}
