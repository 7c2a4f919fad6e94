//! Excerpts of values for messages. Short values are shown whole.

use serde_json::Value as Json;

/// The maximum number of characters that are shown.
const SHOWN: usize = 40;

/// Puts a text in quotes; a long text is cut.
pub(crate) fn quote(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}

/// Returns a value as JSON; a long one is cut.
pub(crate) fn shown(value: &Json) -> String {
    let text = value.to_string();
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// Returns the digits of a number; a long number is cut.
pub(crate) fn shorten(mut number: String) -> String {
    if number.len() > SHOWN {
        number.truncate(SHOWN);
        number.push('…');
    }
    number
}
