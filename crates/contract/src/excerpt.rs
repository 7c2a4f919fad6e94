//! What messages show of a client's values: themselves where they are short.

/// The most characters of a value that are shown.
const SHOWN: usize = 40;

/// The text in quotes, and only its beginning where it is long.
pub(crate) fn quote(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}

/// The digits of a number, and only the first ones where they are many.
pub(crate) fn shorten(mut number: String) -> String {
    if number.len() > SHOWN {
        number.truncate(SHOWN);
        number.push('…');
    }
    number
}
