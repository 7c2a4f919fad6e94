//! The entry point of a fuzz target. It is compiled only for fuzzing.

use ai_integration_contract::{InputsSchema, RawValue};
use serde_json::Value;

use crate::http::dialects::openai::{embeddings, fields, images, transcriptions};
use crate::http::failure::Failure;
use crate::http::inputs::envelope::Envelope;
use crate::http::inputs::request::{RequestInputs, extent};
use crate::http::records;

/// Makes the jobs of a request for the address that `choice` names.
pub(crate) fn jobs(
    choice: u8,
    schema: &InputsSchema,
    inputs: RequestInputs,
    limit: usize,
) -> Result<Vec<RequestInputs>, Failure> {
    let RequestInputs { raw, reservation } = inputs;
    let length = extent(&raw);
    if choice == 0 {
        let json = |value| match value {
            RawValue::Json(value) => value,
            _ => Value::Null,
        };
        let members = raw.into_iter().map(|(name, value)| (name, json(value))).collect();
        let envelope = Envelope { members, length, reservation };
        return Ok(embeddings::read(schema, envelope, limit)?.jobs);
    }
    let mut raw = fields::join_lists(raw);
    let mut count = 1;
    if choice == 1 {
        transcriptions::place(schema, &mut raw, "translate")?;
    } else {
        count = images::count(schema, &mut raw)?;
        images::place(schema, &mut raw, choice == 2)?;
    }
    records::copies(RequestInputs { raw, reservation }, length, count, limit)
}
