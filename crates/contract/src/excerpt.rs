//! Excerpts of a client's values for messages: the whole value where it is short.

/// The most characters of a value that are shown.
const SHOWN: usize = 40;

/// Puts the text in quotes, and only its beginning where it is long.
pub(crate) fn quote(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}

/// Keeps the digits of a number, and only the first ones where they are many.
pub(crate) fn shorten(mut number: String) -> String {
    if number.len() > SHOWN {
        number.truncate(SHOWN);
        number.push('…');
    }
    number
}
