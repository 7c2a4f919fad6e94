//! The plain form: a widget for each input, by its shape.

use ai_integration_contract::{Field, InputsSchema, Shape};
use maud::{Markup, html};
use serde_json::Value as Json;

/// The form of a schema, sent as multipart to the page's own address.
pub(crate) fn draw(schema: &InputsSchema) -> Markup {
    html! {
        form method="post" enctype="multipart/form-data" {
            @for (index, (name, field)) in schema.fields().iter().enumerate() {
                p {
                    @let id = format!("input-{index}");
                    label for=(id) {
                        (name)
                        @if !field.required { span.note { " (optional)" } }
                    }
                    @if let Some(description) = &field.description {
                        span.note { (description) }
                    }
                    (widget(&id, name, field))
                }
            }
            button type="submit" { "Run" }
        }
    }
}

fn widget(id: &str, name: &str, field: &Field) -> Markup {
    let Field { required, constraints, .. } = field;
    let required = *required;
    let default = field.default.as_ref();
    match field.shape() {
        Shape::Text { format: Some(format) } => line(id, name, field, Some(format)),
        Shape::Text { .. } if constraints.max_bytes.is_some_and(|max| max <= 200) => {
            line(id, name, field, None)
        }
        Shape::Text { .. } => html! {
            textarea id=(id) name=(name) rows="3" required[required] {
                @if let Some(default) = default { (plain(default)) }
            }
        },
        Shape::Json => html! {
            textarea id=(id) name=(name) rows="3" required[required] {
                @if let Some(default) = default { (default) }
            }
        },
        Shape::Blob { media } => html! {
            input id=(id) name=(name) type="file" accept=(media) required[required];
        },
        Shape::Number { whole } => html! {
            input id=(id) name=(name) type="number" required[required] min=[constraints.min.as_ref()]
                max=[constraints.max.as_ref()] step=(if whole { "1" } else { "any" }) value=[default.map(plain)];
        },
        Shape::Flag => {
            let chosen = default.map(plain);
            let labels = ["true", "false"].map(str::to_owned);
            select(id, name, required, &labels, chosen.as_deref())
        }
        Shape::Choice => {
            let chosen = default.map(plain);
            select(id, name, required, &constraints.choice_labels(), chosen.as_deref())
        }
    }
}

/// Draws text of one line, with a picker where the format has one that can show all its values:
/// the one of times has no offset.
fn line(id: &str, name: &str, field: &Field, format: Option<&str>) -> Markup {
    let default = field.default.as_ref().map(plain);
    let line_type = if format == Some("date") { "date" } else { "text" };
    let placeholder =
        format.filter(|format| *format == "date-time").map(|_| "2024-02-29T12:30:00Z");
    html! {
        input id=(id) name=(name) type=(line_type) required[field.required] value=[default]
            placeholder=[placeholder];
    }
}

fn select(id: &str, name: &str, required: bool, labels: &[String], chosen: Option<&str>) -> Markup {
    html! {
        select id=(id) name=(name) required[required] {
            @if !required && chosen.is_none() { option value="" { "" } }
            @for label in labels {
                option value=(label) selected[chosen == Some(label)] { (label) }
            }
        }
    }
}

/// A default as a person would type it.
fn plain(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_has_a_picker_and_a_time_a_line() {
        let (schema, _) = InputsSchema::parse(&serde_json::json!({
            "d": {"type": "date", "default": "2024-01-31"}, "t": {"type": "datetime"}, "x": "text",
        }));
        let drawn = draw(&schema).into_string();
        for part in [
            r#"name="d" type="date" value="2024-01-31">"#,
            r#"name="t" type="text" required placeholder="2024-02-29T12:30:00Z">"#,
            r#"<textarea id="input-2" name="x""#,
        ] {
            assert!(drawn.contains(part), "{drawn}");
        }
    }
}
