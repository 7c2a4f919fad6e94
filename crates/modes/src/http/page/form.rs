//! Draws the plain form, with a widget for each input according to its shape.

use ai_integration_contract::{Field, InputsSchema, Shape};
use maud::{Markup, html};
use serde_json::Value as Json;

/// The number of additional empty rows of a list.
const SPARE_ROWS: u64 = 3;
/// The maximum number of rows of a list.
const MAX_ROWS: u64 = 50;

/// Draws the form of a schema. The browser sends it as multipart to the page's own address.
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
                    (widgets(&id, name, field))
                }
            }
            button type="submit" { "Run" }
        }
    }
}

/// Draws the widgets of an input. A list has several rows, and empty rows are ignored.
fn widgets(id: &str, name: &str, field: &Field) -> Markup {
    let default = field.default.as_ref();
    let Some(count) = &field.items else {
        return widget(id, name, field, &One { default, required: field.required, is_list: false });
    };
    let shape = field.shape();
    if matches!(shape, Shape::Blob { .. } | Shape::Choice) {
        return widget(id, name, field, &One { default, required: field.required, is_list: true });
    }
    let defaults = default.and_then(Json::as_array).map_or(&[][..], Vec::as_slice);
    let least = count.min.max(u64::from(field.required)).min(MAX_ROWS);
    let rows = (least + SPARE_ROWS).max(defaults.len() as u64 + SPARE_ROWS);
    let rows = rows.min(count.max.unwrap_or(MAX_ROWS)).clamp(1, MAX_ROWS);
    html! {
        @for (row, place) in (0..rows).zip(0..) {
            @let id = if row == 0 { id.to_owned() } else { format!("{id}-{row}") };
            @let one = One { default: defaults.get(place), required: field.required && row < least, is_list: true };
            (widget(&id, name, field, &one))
        }
    }
}

/// The properties of one widget, for a whole input or for one item of a list.
struct One<'a> {
    default: Option<&'a Json>,
    required: bool,
    is_list: bool,
}

fn widget(id: &str, name: &str, field: &Field, one: &One<'_>) -> Markup {
    let constraints = &field.constraints;
    let One { default, required, is_list } = *one;
    let label = is_list.then_some(name);
    match field.shape() {
        Shape::Text { format: Some(format) } => line(id, name, one, Some(format)),
        Shape::Text { .. } if constraints.max_bytes.is_some_and(|max| max <= 200) => {
            line(id, name, one, None)
        }
        Shape::Text { .. } => html! {
            textarea id=(id) name=(name) rows=(if is_list { "1" } else { "3" }) required[required] aria-label=[label] {
                @if let Some(default) = default { (plain(default)) }
            }
        },
        Shape::Json => html! {
            textarea id=(id) name=(name) rows=(if is_list { "1" } else { "3" }) required[required] aria-label=[label] {
                @if let Some(default) = default { (default) }
            }
        },
        Shape::Blob { media } => html! {
            input id=(id) name=(name) type="file" accept=(constraints.formats.accept(media))
                required[required] multiple[is_list];
        },
        Shape::Number { whole } => html! {
            input id=(id) name=(name) type="number" required[required] min=[constraints.min.as_ref()]
                max=[constraints.max.as_ref()] step=(if whole { "1" } else { "any" }) value=[default.map(plain)]
                aria-label=[label];
        },
        Shape::Flag => select(id, name, one, &["true", "false"].map(str::to_owned), false),
        Shape::Choice => select(id, name, one, &constraints.choice_labels(), is_list),
    }
}

/// Draws a text field of one line. Dates get the browser's date picker. Times do not, because that
/// picker has no time zone.
fn line(id: &str, name: &str, one: &One<'_>, format: Option<&str>) -> Markup {
    let line_type = if format == Some("date") { "date" } else { "text" };
    let placeholder =
        format.filter(|format| *format == "date-time").map(|_| "2024-02-29T12:30:00Z");
    html! {
        input id=(id) name=(name) type=(line_type) required[one.required] value=[one.default.map(plain)]
            placeholder=[placeholder] aria-label=[one.is_list.then_some(name)];
    }
}

/// Draws a selection of one label, or of several labels.
fn select(id: &str, name: &str, one: &One<'_>, labels: &[String], several: bool) -> Markup {
    let One { default, required, is_list } = *one;
    let chosen: Vec<String> = match default {
        Some(Json::Array(chosen)) if several => chosen.iter().map(plain).collect(),
        chosen => chosen.into_iter().map(plain).collect(),
    };
    html! {
        select id=(id) name=(name) required[required] multiple[several] aria-label=[is_list.then_some(name)] {
            @if !several && !required && chosen.is_empty() { option value="" { "" } }
            @for label in labels {
                option value=(label) selected[chosen.contains(label)] { (label) }
            }
        }
    }
}

/// Returns a default as a person would type it.
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
    fn a_list_has_several_rows_or_one_widget_for_several_values() {
        let (schema, _) = InputsSchema::parse(&serde_json::json!({
            "f": {"type": "image", "list": true},
            "c": {"type": "choice", "choices": ["a", "b"], "list": true, "default": ["b"]},
            "n": {"type": "integer", "list": true, "min_items": 2, "max_items": 3, "default": [4, 5]},
            "t": {"type": "text", "list": true},
        }));
        let drawn = draw(&schema).into_string();
        for (part, count) in [
            (r#"name="f" type="file" accept="image/*" required multiple>"#, 1),
            (r#"<select id="input-1" name="c" multiple aria-label="c">"#, 1),
            (r#"<option value="b" selected>"#, 1),
            (r#"name="n""#, 3),
            (r#"value="5""#, 1),
            (r#"name="t""#, 4),
            (r#"name="t" rows="1" required"#, 1),
        ] {
            assert_eq!(drawn.matches(part).count(), count, "{part} in {drawn}");
        }
    }

    #[test]
    fn a_date_has_a_picker_and_a_time_has_a_text_field() {
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
