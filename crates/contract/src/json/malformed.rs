//! Describes the faults of JSON text in words, with their places.

use crate::encoding::{Encoding, NotText};
use crate::excerpt::quote;

/// The end of the parser's message if JSON is not an object but must be.
const NO_OBJECT: &str = ", expected an object";

/// The reason why a text cannot be read as JSON.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// The text is not valid in its encoding.
    #[error("its {0}")]
    NotText(#[from] NotText),
    /// The text is not JSON, or exceeds a limit. The message names the place.
    #[error("{0}")]
    Fault(String),
}

impl Malformed {
    /// Describes the fault that the parser found in this text.
    #[cold]
    pub(super) fn of(text: &[u8], error: &serde_json::Error) -> Self {
        let read = end(text, error);
        let valid = match std::str::from_utf8(text) {
            Ok(text) => text,
            Err(broken) if broken.valid_up_to() < read => {
                let offset = broken.valid_up_to();
                return NotText { encoding: Encoding::Utf8, offset, byte: text[offset] }.into();
            }
            Err(broken) => std::str::from_utf8(&text[..broken.valid_up_to()]).unwrap_or_default(),
        };
        if valid.trim_ascii().is_empty() {
            return Malformed::Fault("it is empty".to_owned());
        }
        // The text before the fault ends with the wrong character, and often in the middle of it.
        let at = valid.floor_char_boundary(read.saturating_sub(1));
        let message = error.to_string();
        let fault = message.rsplit_once(" at line ").map_or(message.as_str(), |(fault, _)| fault);
        if error.is_eof() {
            let inside = fault.strip_prefix("EOF while parsing ").unwrap_or("a value");
            let inside = inside.replace("JSON ", "");
            return Malformed::Fault(format!(
                "it is cut off in the middle of {inside}{}",
                place(valid, read)
            ));
        }
        let at = match fault {
            "expected value" | "expected ident" => begin_of_word(valid, at),
            "invalid number" if !advice(word(valid, at)).is_empty() => begin_of_word(valid, at),
            _ if fault.ends_with(NO_OBJECT) => valid.len() - valid.trim_ascii_start().len(),
            _ => at,
        };
        Malformed::Fault(format!("{}{}", in_words(fault, valid, at), place(valid, at)))
    }
}

/// Returns the number of bytes up to the end of the character at which the parser stopped.
fn end(text: &[u8], error: &serde_json::Error) -> usize {
    let mut ends = text.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    let line = match error.line() {
        0 | 1 => 0,
        line => ends.nth(line - 2).map_or(0, |(end, _)| end + 1),
    };
    (line + error.column()).min(text.len())
}

fn place(text: &str, at: usize) -> String {
    let before = &text[..text.floor_char_boundary(at)];
    let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!(", at line {line} column {column}")
}

/// Puts the parser's message about the text at `at` into words.
fn in_words(message: &str, text: &str, at: usize) -> String {
    let found = found(text, at);
    let got = if found.is_empty() { "the end".to_owned() } else { quote(found) };
    match message {
        "expected value" | "expected ident" => {
            format!("expected a value, got {got}{}", advice(found))
        }
        "invalid number" if !advice(found).is_empty() => {
            format!("expected a value, got {got}{}", advice(found))
        }
        "key must be a string" => format!("expected a key in double quotes, got {got}"),
        "expected `:`" => format!("expected : after the key, got {got}"),
        "expected `,` or `]`" => format!("expected , or ] after a value of a list, got {got}"),
        "expected `,` or `}`" => format!("expected , or }} after a value, got {got}"),
        "trailing comma" => {
            format!("expected a further value after the comma, got {got}; leave the comma out")
        }
        "trailing characters" => format!("expected nothing after the value, got {got}"),
        "control character (\\u0000-\\u001F) found while parsing a string" => match found {
            "\n" | "\r" => "a line ends inside a string; write the line break as \\n".to_owned(),
            "\t" => "a string contains a tab; write it as \\t".to_owned(),
            _ => format!("a string contains the control character {got}"),
        },
        "invalid escape" if text[..at].ends_with('\\') => {
            format!("{got} cannot follow a backslash; write \\\\ for a backslash")
        }
        "invalid escape" => "four hexadecimal digits must follow \\u".to_owned(),
        "invalid number" => "a number is not written as in 7, -0.5 or 1e3".to_owned(),
        "lone leading surrogate in hex escape" | "unexpected end of hex escape" => {
            "half of a character is escaped, such as \\ud83d without \\ude00".to_owned()
        }
        "recursion limit exceeded" => "it is nested more than 127 levels deep".to_owned(),
        other if other.ends_with(NO_OBJECT) => {
            format!("expected an object such as {{\"name\": \"value\"}}, got {}", kind(text))
        }
        other => other.to_owned(),
    }
}

/// Returns the word or the character that begins at `at`.
fn found(text: &str, at: usize) -> &str {
    let rest = &text[at..];
    let end = rest.find(|character| !in_word(character)).unwrap_or(rest.len());
    let single = rest.chars().next().map_or(0, char::len_utf8);
    &rest[..end.max(single)]
}

/// Returns the whole word around `at`.
fn word(text: &str, at: usize) -> &str {
    found(text, begin_of_word(text, at))
}

fn begin_of_word(text: &str, at: usize) -> usize {
    text[..at].trim_end_matches(in_word).len()
}

fn in_word(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '_' | '.' | '-' | '+')
}

/// Suggests the JSON for a value that other languages write differently.
fn advice(found: &str) -> &'static str {
    match found {
        "'" | "`" => "; put text in double quotes",
        "“" | "”" | "„" | "«" => "; put text in straight double quotes",
        "True" | "False" | "None" | "TRUE" | "FALSE" | "NULL" | "Null" | "nil" | "undefined" => {
            "; JSON has true, false and null"
        }
        "NaN" | "Infinity" | "-Infinity" | "inf" | "-inf" => "; JSON has no such number",
        "/" | "#" => "; JSON has no comments",
        "," | "]" | "}" | ":" => "",
        _ if found.starts_with(['+', '.']) => "; numbers are written as in 7, -0.5 or 1e3",
        _ if found.starts_with(char::is_alphabetic) => "; put text in double quotes",
        _ => "",
    }
}

fn kind(text: &str) -> &'static str {
    match text.trim_ascii_start().as_bytes() {
        [b'[', ..] => "a list",
        [b'"', ..] => "text",
        [b'n', ..] => "null",
        [b't' | b'f', ..] => "true or false",
        _ => "a number",
    }
}
