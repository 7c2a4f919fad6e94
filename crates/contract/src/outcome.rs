//! What a model answers.

use std::borrow::Cow;

use bytes::Bytes;

use crate::json;

/// The most bytes of JSON text that are checked.
const MAX_CHECKED: usize = 1_000_000;
/// The greatest length of a content type in bytes.
const MAX_CONTENT_TYPE: usize = 1024;
/// The most characters of a content type that an error quotes.
const QUOTED: usize = 80;
/// The most pieces of data that a list of them holds.
pub const MAX_LIST: usize = 1000;

/// The data of a result.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Data {
    /// Nothing.
    #[default]
    None,
    /// Text in UTF-8.
    Text(String),
    /// JSON text in UTF-8 that a library wrote from a value, so that it need not be checked.
    Json(String),
    /// Bytes of the result's content type.
    Bytes(Bytes),
    /// From 2 to [`MAX_LIST`] pictures or other files, each of the result's content type.
    List(Vec<Bytes>),
}

impl Data {
    /// The data as bytes; nothing is no bytes, and the members of a list follow one another.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        match self {
            Data::None => Bytes::new(),
            Data::Text(text) | Data::Json(text) => text.into(),
            Data::Bytes(bytes) => bytes,
            Data::List(list) => list.concat().into(),
        }
    }

    /// The data as text where it is UTF-8.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Data::None | Data::List(_) => None,
            Data::Text(text) | Data::Json(text) => Some(text),
            Data::Bytes(bytes) => std::str::from_utf8(bytes).ok(),
        }
    }

    /// The length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Data::None => 0,
            Data::Text(text) | Data::Json(text) => text.len(),
            Data::Bytes(bytes) => bytes.len(),
            Data::List(list) => list.iter().map(Bytes::len).sum(),
        }
    }

    /// Whether there is no byte.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl From<&str> for Data {
    fn from(text: &str) -> Self {
        Data::Text(text.to_owned())
    }
}

impl From<String> for Data {
    fn from(text: String) -> Self {
        Data::Text(text)
    }
}

impl From<Bytes> for Data {
    fn from(bytes: Bytes) -> Self {
        Data::Bytes(bytes)
    }
}

impl From<Vec<u8>> for Data {
    fn from(bytes: Vec<u8>) -> Self {
        Data::Bytes(bytes.into())
    }
}

/// A model's result: the ancestor's result dict with `content-type`, `data`, `success`, `error`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Whether the model says that it succeeded.
    pub success: bool,
    /// The media type of `data` (RFC 2045), when the model gave one.
    pub content_type: Option<String>,
    /// The answer itself.
    pub data: Data,
    /// The model's message when it failed.
    pub error: Option<String>,
    /// True where the program has printed the traceback in `error` on its standard error, so that who
    /// sees that output need not be shown it again. It does not travel through a queue.
    pub is_printed: bool,
}

impl Outcome {
    /// A successful answer of text.
    pub fn text(text: impl Into<String>) -> Self {
        Outcome::success("text/plain", Data::Text(text.into()))
    }

    /// A successful answer of JSON. A value that JSON cannot express gives a failed outcome that
    /// says why.
    pub fn json(value: impl serde::Serialize) -> Self {
        match serde_json::to_string(&value) {
            Ok(text) => Outcome::success("application/json", Data::Json(text)),
            Err(error) => {
                Outcome::failure(format!("the result cannot be written as JSON: {error}"))
            }
        }
    }

    /// A successful answer of bytes with their media type, such as `image/png`.
    pub fn bytes(content_type: impl Into<String>, bytes: impl Into<Bytes>) -> Self {
        Outcome::success(content_type, Data::Bytes(bytes.into()))
    }

    /// A successful answer of several pictures, or other files, with the media type that all of them
    /// have. A list of one is that one; an empty one, one of more than [`MAX_LIST`] and one of text
    /// or JSON give a failed outcome that says why.
    pub fn list(content_type: impl Into<String>, list: Vec<Bytes>) -> Self {
        let length = list.len();
        let data = match <[Bytes; 1]>::try_from(list) {
            Ok([one]) => Data::Bytes(one),
            Err(list) => Data::List(list),
        };
        if matches!(data, Data::List(_)) && !(2..=MAX_LIST).contains(&length) {
            return Outcome::failure(format!(
                "the result is a list of {length}; one has from 1 to {MAX_LIST}"
            ));
        }
        Outcome::success(content_type, data).checked()
    }

    /// A failed answer with the message for whoever asked.
    pub fn failure(message: impl Into<String>) -> Self {
        Outcome {
            success: false,
            content_type: Some("text/plain".to_owned()),
            data: Data::None,
            error: Some(message.into()),
            is_printed: false,
        }
    }

    fn success(content_type: impl Into<String>, data: Data) -> Self {
        let content_type = Some(content_type.into());
        Outcome { success: true, content_type, data, ..Outcome::default() }
    }

    /// The media type without parameters, in lower case; empty when the model gave none.
    #[must_use]
    pub fn media_type(&self) -> String {
        let full = self.content_type.as_deref().unwrap_or_default();
        full.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
    }

    /// Whether the content type is JSON: `application/json`, `text/json` or `…+json` (RFC 6839).
    #[must_use]
    pub fn is_json(&self) -> bool {
        let media = self.media_type();
        media == "application/json" || media == "text/json" || media.ends_with("+json")
    }

    /// Returns the fault of a successful answer that is not JSON though its content type says so. Text
    /// that a library wrote from a value is not checked, nor is more than 1 MB, which would take long.
    #[must_use]
    pub fn json_fault(&self) -> Option<json::Malformed> {
        let text = match &self.data {
            Data::Text(text) => text.as_bytes(),
            Data::Bytes(bytes) => bytes,
            Data::None | Data::Json(_) | Data::List(_) => return None,
        };
        let is_checked = self.success && text.len() <= MAX_CHECKED && self.is_json();
        if is_checked { json::check(text).err() } else { None }
    }

    /// Whether the content type is a picture's.
    #[must_use]
    pub fn is_image(&self) -> bool {
        self.media_type().starts_with("image/")
    }

    /// Tells whether several pieces of data of the content type make a list: those of pictures, sounds
    /// and other files do. Several texts or values are one result of JSON.
    #[must_use]
    pub fn may_be_list(&self) -> bool {
        let media = self.media_type();
        !(media.is_empty() || media.starts_with("text/") || self.is_json())
    }

    /// The outcome as it may be passed on: a result whose content type cannot be is the model's
    /// failure, and so is one that does not go with a list.
    #[must_use]
    pub fn checked(self) -> Self {
        match check_content_type(self.content_type.as_deref()) {
            Ok(()) if matches!(self.data, Data::List(_)) && !self.may_be_list() => {
                let media = self.content_type.as_deref().unwrap_or("no content type");
                Outcome::failure(format!(
                    "the model's result: a list of data goes with the content type of a picture or \
                     another file, not with {media}"
                ))
            }
            Ok(()) => self,
            Err(reason) if self.success => {
                Outcome::failure(format!("the model's result: {reason}"))
            }
            Err(_) => Outcome { content_type: None, ..self },
        }
    }

    /// The message of a failed outcome, never empty.
    #[must_use]
    pub fn error_message(&self) -> &str {
        match self.error.as_deref() {
            Some(message) if !message.trim().is_empty() => message,
            _ => "the model reported a failure without a message",
        }
    }

    /// The message of a failed outcome for somebody who sees what the program prints.
    #[must_use]
    pub fn error_beside_output(&self) -> Cow<'_, str> {
        match self.error_message() {
            message if self.is_printed => without_traceback(message).into(),
            message => message.into(),
        }
    }
}

/// Returns a message without the Python tracebacks in it: what stands before the first, and the last
/// part, which says what went wrong.
#[must_use]
pub fn without_traceback(message: &str) -> String {
    const HEADING: &str = "Traceback (most recent call last):";
    let Some((before, _)) = message.split_once(HEADING) else { return message.to_owned() };
    let last = message.rsplit(HEADING).next().unwrap_or_default();
    // The calls are indented; the exception begins with the first line that is not.
    let exception = last.lines().skip(1).skip_while(|line| line.starts_with(' '));
    let lines: Vec<&str> = before.lines().chain(exception).collect();
    lines.join("\n").trim().to_owned()
}

/// Refuses a content type that is too long, or that no header field can carry (RFC 9110, section 5.5).
/// The error says so to the model's author.
pub fn check_content_type(content_type: Option<&str>) -> Result<(), String> {
    let Some(text) = content_type else { return Ok(()) };
    let reason = if text.len() > MAX_CONTENT_TYPE {
        format!("has {} bytes; up to {MAX_CONTENT_TYPE} are allowed", text.len())
    } else if text.bytes().fold(false, |found, byte| found | is_control(byte)) {
        "has a control character in it".to_owned()
    } else {
        return Ok(());
    };
    let start: String = text.chars().take(QUOTED).collect();
    Err(format!("the content type {start:?} {reason}; expected a media type such as image/png"))
}

/// Tells whether no header field can carry this byte.
fn is_control(byte: u8) -> bool {
    byte.is_ascii_control() && byte != b'\t'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_type_that_no_header_carries_is_the_models_failure() {
        for fits in ["", "image/png", "text/plain;\tcharset=utf-8", "x/ü", &"x".repeat(1024)] {
            let outcome = Outcome::bytes(fits, "x");
            assert_eq!(outcome.clone().checked(), outcome, "{fits}");
        }
        let untyped = Outcome { content_type: None, ..Outcome::text("x") };
        assert_eq!(untyped.clone().checked(), untyped);
        for (unfit, words) in [
            ("text/plain\r\nSet-Cookie: a=b".to_owned(), "\\r\\nSet-Cookie"),
            ("a\0b".to_owned(), "control"),
            ("a\u{7f}".to_owned(), "control"),
            ("x".repeat(1025), "1025 bytes"),
        ] {
            let failed = Outcome::bytes(unfit.as_str(), "x").checked();
            assert!(!failed.success && failed.data.is_empty());
            assert!(failed.error_message().contains(words), "{failed:?}");
            let told = Outcome { content_type: Some(unfit), ..Outcome::failure("my words") };
            assert_eq!(told.checked().error_message(), "my words");
        }
    }

    #[test]
    fn a_traceback_is_left_out_and_the_exception_stays() {
        let text = "Traceback (most recent call last):\n  File \"/app/a.py\", line 1, in <module>\n    \
                    f()\n    ^^^\nKeyError: 1\n\nDuring handling of the above exception, another \
                    exception occurred:\n\nTraceback (most recent call last):\n  File \"/app/a.py\", \
                    line 3, in <module>\n    g()\nValueError: no such size\nas this\n";
        assert_eq!(without_traceback(text), "ValueError: no such size\nas this");
        assert_eq!(without_traceback("too dark"), "too dark");
        assert_eq!(without_traceback("in short\nTraceback (most recent call last):\n"), "in short");
        let printed = Outcome { is_printed: true, ..Outcome::failure(text) };
        assert_eq!(printed.error_beside_output(), "ValueError: no such size\nas this");
        assert_eq!(Outcome::failure(text).error_beside_output(), text);
    }

    #[test]
    fn several_files_of_one_type_are_a_list() {
        let list = |media, length| Outcome::list(media, vec![Bytes::from_static(b"x"); length]);
        assert_eq!(list("image/png", 1), Outcome::bytes("image/png", "x"));
        for media in ["image/png", "audio/wav", "application/pdf"] {
            let outcome = list(media, MAX_LIST);
            assert!(outcome.success);
            assert_eq!(outcome.data.len(), MAX_LIST);
            assert_eq!(outcome.data.as_text(), None);
        }
        for (media, length, words) in [
            ("image/png", 0, "a list of 0"),
            ("image/png", MAX_LIST + 1, "a list of 1001"),
            ("text/html", 2, "not with text/html"),
            ("application/json", 2, "not with application/json"),
            ("", 2, "a picture or another file"),
        ] {
            let failed = list(media, length);
            assert!(!failed.success && failed.data.is_empty());
            assert!(failed.error_message().contains(words), "{failed:?}");
        }
    }
}
