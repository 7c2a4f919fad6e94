//! A model that reads its inputs by name and repeats a text.

use ai_integration::{InvalidInput, Model, Outcome, json};

fn main() {
    let schema = json!({
        "text": {"type": "text"},
        "times": {"type": "integer"},
        "between": {"type": "text", "required": false},
    });
    Model::new(schema).run(|inputs| {
        let times: u8 = inputs.get_as("times")?;
        let between: Option<&str> = inputs.get_as("between")?;
        let text = inputs.text("text");
        if text.is_empty() {
            return Err(InvalidInput::new("text", "there is nothing to repeat").into());
        }
        let all = vec![text; times.into()];
        Ok(Outcome::text(all.join(between.unwrap_or_default())))
    });
}
