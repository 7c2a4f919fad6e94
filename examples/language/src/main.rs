//! Recognises the language of a text.

use ai_integration::{Model, Outcome, json};

fn main() {
    let schema = json!({"text": {"type": "text", "description": "A sentence or more."}});
    let text = json!({"type": "string"});
    let result = json!({
        "type": "object",
        "properties": {
            "language": text,
            "name": text,
            "script": text,
            "confidence": {"type": "number"},
        },
    });
    let outputs = json!({"schema": result});
    Model::new(schema).name("language").outputs(outputs).run(|inputs| {
        let found = whatlang::detect(inputs.text("text")).ok_or("the text has no letters")?;
        Ok(Outcome::json(json!({
            "language": found.lang().code(),
            "name": found.lang().eng_name(),
            "script": found.script().name(),
            "confidence": found.confidence(),
        })))
    });
}
