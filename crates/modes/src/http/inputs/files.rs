//! Decodes the files that a request gives in base64. They are decoded into the memory from which
//! workers read them.

use ai_integration_contract::{
    InputsSchema, RawInputs, RawValue, Shape, decode_base64_into, most_decoded,
};
use ai_integration_engine::BodyBuffer;

/// Replaces each text in base64 that is given for a file by the content of the file. Other values
/// stay as they are, and the schema refuses them.
pub(crate) fn decode(schema: &InputsSchema, raw: &mut RawInputs) {
    let mut given = Vec::new();
    for (name, value) in raw {
        let Some(field) = schema.fields().get(name) else { continue };
        if !matches!(field.shape(), Shape::Blob { .. }) {
            continue;
        }
        match (value, &field.items) {
            (RawValue::List(items), Some(_)) => given.extend(items),
            (value, None) => given.push(value),
            _ => {}
        }
    }
    let most = given.iter().filter_map(|value| text(value)).map(most_decoded).sum();
    // All files of a request are in one buffer, because a worker gets one memory file with a job.
    let mut buffer = BodyBuffer::new(most);
    let mut places = Vec::new();
    for value in given {
        let Some(text) = text(value) else { continue };
        let start = buffer.len();
        let decoded = |room: &mut [u8]| decode_base64_into(text, room);
        if buffer.extend_with(most_decoded(text), decoded) && buffer.len() > start {
            places.push((start..buffer.len(), value));
        }
    }
    let bytes = buffer.freeze();
    for (place, value) in places {
        *value = RawValue::Bytes(bytes.slice(place));
    }
}

fn text(value: &RawValue) -> Option<&str> {
    match value {
        RawValue::Text(text) | RawValue::Json(serde_json::Value::String(text)) => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn texts_in_base64_become_files_where_the_schema_has_files() {
        let schema = json!({
            "file": {"type": "file"},
            "other": {"type": "image"},
            "wrong": {"type": "file"},
            "empty": {"type": "file"},
            "many": {"type": "file", "list": true},
            "lone": {"type": "file", "list": true},
            "text": {"type": "text"},
        });
        let (schema, _) = InputsSchema::parse(&schema);
        let json = |text: &str| RawValue::Json(text.into());
        let bytes = |content: &'static [u8]| RawValue::Bytes(content.into());
        let large = "QUJD".repeat(200_000);
        let list = |first| RawValue::List(vec![first, json("!"), RawValue::Text("_w".to_owned())]);
        let mut raw = RawInputs::from([
            ("file".to_owned(), json(&large)),
            ("other".to_owned(), RawValue::Text("data:image/png;base64,/w==".to_owned())),
        ]);
        let rest = [
            ("wrong", json("no base64!")),
            ("empty", json("")),
            ("lone", json("/w==")),
            ("text", json("/w==")),
            ("unknown", json("/w==")),
        ];
        raw.extend(rest.clone().map(|(name, value)| (name.to_owned(), value)));
        raw.insert("many".to_owned(), list(json("/w==")));
        decode(&schema, &mut raw);
        assert_eq!(raw["file"], RawValue::Bytes("ABC".repeat(200_000).into()));
        assert_eq!(raw["other"], bytes(b"\xff"));
        for (name, value) in rest {
            assert_eq!(raw[name], value, "{name}");
        }
        let many = vec![bytes(b"\xff"), json("!"), bytes(b"\xff")];
        assert_eq!(raw["many"], RawValue::List(many));
    }
}
