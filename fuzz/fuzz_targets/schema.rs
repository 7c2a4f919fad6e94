#![no_main]
//! Reads a schema and inputs for it, each a line of JSON. No bytes may cause a panic.

use ai_integration_contract::{InputsSchema, RawValue};
use serde_json::{Map, Value};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else { return };
    let (schema, inputs) = (&bytes[..end], &bytes[end + 1..]);
    let Ok(schema) = serde_json::from_slice::<Value>(schema) else { return };
    let (schema, _) = InputsSchema::parse(&schema);
    let raw = match serde_json::from_slice::<Map<String, Value>>(inputs) {
        Ok(members) => {
            members.into_iter().map(|(name, value)| (name, RawValue::Json(value))).collect()
        }
        Err(_) => {
            let bytes = RawValue::Bytes(inputs.to_vec().into());
            schema.fields().keys().map(|name| (name.clone(), bytes.clone())).collect()
        }
    };
    let _ = schema.resolve(raw);
});
