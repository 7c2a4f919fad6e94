//! Recognises the language of a text.

use ai_integration::{Model, Outcome, json};

fn main() {
    let schema = json!({"text": {"type": "text", "description": "A sentence or more."}});
    Model::new(schema).name("language").run(|inputs| {
        let found = whatlang::detect(inputs.text("text")).ok_or("the text has no letters")?;
        Ok(Outcome::json(json!({
            "language": found.lang().code(),
            "name": found.lang().eng_name(),
            "script": found.script().name(),
            "confidence": found.confidence(),
        })))
    });
}
