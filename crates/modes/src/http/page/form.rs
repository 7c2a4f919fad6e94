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
    let required = field.required;
    let default = field.default.as_ref();
    match field.shape() {
        Shape::Text if field.max_bytes.is_some_and(|max| max <= 200) => html! {
            input id=(id) name=(name) type="text" required[required] value=[default.map(plain)];
        },
        Shape::Text => html! {
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
            input id=(id) name=(name) type="number" required[required] min=[field.min]
                max=[field.max] step=(if whole { "1" } else { "any" }) value=[default.map(plain)];
        },
        Shape::Flag => {
            let chosen = default.map(plain);
            let labels = ["true", "false"].map(str::to_owned);
            select(id, name, required, &labels, chosen.as_deref())
        }
        Shape::Choice => {
            let chosen = default.map(plain);
            select(id, name, required, &field.choice_labels(), chosen.as_deref())
        }
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
