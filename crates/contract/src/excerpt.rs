//! Excerpts of a client's values for messages. Short values are shown whole.

/// The maximum number of characters that are shown.
const SHOWN: usize = 40;

/// Puts a text in quotes; a long text is cut.
pub(crate) fn quote(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
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
