//! The parts that chat completions and completions have in common: the head of each object, the numbers
//! of tokens, and the end of a stream.

use ai_integration_contract::Error;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::http::conversation::delta::Usage;
use crate::http::inputs::envelope::unfit;
use crate::http::models::seconds_since_1970;
use crate::http::server_sent::put_json;

/// Returns true if a stream must end with the numbers of tokens.
pub(super) fn wants_usage(members: &Map<String, Value>) -> Result<bool, Error> {
    let options = match members.get("stream_options") {
        None | Some(Value::Null) => return Ok(false),
        Some(Value::Object(options)) => options,
        Some(_) => return Err(unfit("stream_options", "expected an object")),
    };
    match options.get("include_usage") {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(wanted)) => Ok(*wanted),
        Some(_) => Err(unfit("stream_options", "expected include_usage to be true or false")),
    }
}

/// The members that all objects of an answer have.
pub(super) struct Head {
    pub(super) id: String,
    pub(super) created: u64,
    pub(super) model: String,
}

impl Head {
    pub(super) fn new(prefix: &str, model: String) -> Self {
        let id = format!("{prefix}-{}", Uuid::new_v4().simple());
        Head { id, created: seconds_since_1970(), model }
    }

    /// Begins an event of a stream. The choices follow.
    pub(super) fn prefix(&self, object: &str) -> Vec<u8> {
        let Head { id, created, model } = self;
        let head = json!({"id": id, "object": object, "created": created, "model": model});
        let mut prefix = b"data: ".to_vec();
        put_json(&mut prefix, &head);
        prefix.pop();
        prefix.extend_from_slice(b",\"choices\":[");
        prefix
    }
}

/// Describes the numbers of tokens in the words of OpenAI's completions.
pub(super) fn usage(usage: &Usage) -> Value {
    let mut described = usage.others.clone();
    described.insert("prompt_tokens".to_owned(), usage.input.into());
    described.insert("completion_tokens".to_owned(), usage.output.into());
    described.insert("total_tokens".to_owned(), usage.total().into());
    described.into()
}

/// Writes the event with the numbers of tokens, which has no choices.
pub(super) fn put_usage(prefix: &[u8], tokens: &Usage, to: &mut Vec<u8>) {
    to.extend_from_slice(prefix);
    to.extend_from_slice(b"],\"usage\":");
    put_json(to, &usage(tokens));
    to.extend_from_slice(b"}\n\n");
}

/// Writes the last event of a stream.
pub(super) fn put_done(to: &mut Vec<u8>) {
    to.extend_from_slice(b"data: [DONE]\n\n");
}
