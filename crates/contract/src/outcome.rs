//! The result of a model.

use std::borrow::Cow;

use bytes::Bytes;

use crate::json;

/// The maximum length of JSON text that is checked, in bytes.
const MAX_CHECKED: usize = 1_000_000;
/// The maximum length of a content type in bytes.
pub(crate) const MAX_CONTENT_TYPE: usize = 1024;
/// The maximum number of characters of a content type that an error quotes.
const QUOTED: usize = 80;
/// The maximum number of members of a list.
pub const MAX_LIST: usize = 1000;

/// The data of a result.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Data {
    /// No data.
    #[default]
    None,
    /// Text in UTF-8.
    Text(String),
    /// JSON text in UTF-8 that a library wrote from a value, so it is valid.
    Json(String),
    /// Bytes with the result's content type.
    Bytes(Bytes),
    /// From 2 to [`MAX_LIST`] pictures or other files. All have the result's content type.
    List(Vec<Bytes>),
}

impl Data {
    /// Returns the data as bytes. The members of a list are joined.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        match self {
            Data::None => Bytes::new(),
            Data::Text(text) | Data::Json(text) => text.into(),
            Data::Bytes(bytes) => bytes,
            Data::List(list) => list.concat().into(),
        }
    }

    /// Returns the data as text, if it is UTF-8.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Data::None | Data::List(_) => None,
            Data::Text(text) | Data::Json(text) => Some(text),
            Data::Bytes(bytes) => std::str::from_utf8(bytes).ok(),
        }
    }

    /// Returns the length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Data::None => 0,
            Data::Text(text) | Data::Json(text) => text.len(),
            Data::Bytes(bytes) => bytes.len(),
            Data::List(list) => list.iter().map(Bytes::len).sum(),
        }
    }

    /// Returns true if the length is 0.
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

/// A model's outcome. It has the members of the result dict of ai_integration 1: `content-type`,
/// `data`, `success` and `error`.
///
/// ```
/// use ai_integration_contract::Outcome;
///
/// let picture = Outcome::bytes("image/png", &b"\x89PNG"[..]);
/// assert!(picture.success && picture.is_image());
/// let failure = Outcome::failure("the picture shows no face");
/// assert_eq!(failure.error_message(), "the picture shows no face");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// True if the model reported success.
    pub success: bool,
    /// The media type of `data` (RFC 2045), if the model gave one.
    pub content_type: Option<String>,
    /// The data of the result.
    pub data: Data,
    /// The model's message, if it failed.
    pub error: Option<String>,
    /// True if the program has already printed the traceback in `error` on its standard error. So a
    /// user who sees that output does not need to see it again. This member does not travel through
    /// a queue.
    pub is_printed: bool,
}

impl Outcome {
    /// Creates a successful result of text.
    pub fn text(text: impl Into<String>) -> Self {
        Outcome::success("text/plain", Data::Text(text.into()))
    }

    /// Creates a successful result of JSON. If the value cannot be written as JSON, this is a
    /// failure with the reason.
    pub fn json(value: impl serde::Serialize) -> Self {
        match serde_json::to_string(&value) {
            Ok(text) => Outcome::success("application/json", Data::Json(text)),
            Err(error) => {
                Outcome::failure(format!("the result cannot be written as JSON: {error}"))
            }
        }
    }

    /// Creates a successful result of bytes with their media type, such as `image/png`.
    pub fn bytes(content_type: impl Into<String>, bytes: impl Into<Bytes>) -> Self {
        Outcome::success(content_type, Data::Bytes(bytes.into()))
    }

    /// Creates a successful result of several pictures or other files, with their common media
    /// type. A list of one file becomes that file. Lists that are empty, have more than
    /// [`MAX_LIST`] members, or are of text or JSON become a failure with the reason.
    pub fn list(content_type: impl Into<String>, list: Vec<Bytes>) -> Self {
        let length = list.len();
        let data = match <[Bytes; 1]>::try_from(list) {
            Ok([one]) => Data::Bytes(one),
            Err(list) => Data::List(list),
        };
        if matches!(data, Data::List(_)) && !(2..=MAX_LIST).contains(&length) {
            return Outcome::failure(format!(
                "the result is a list of {length} members; a list must have from 1 to {MAX_LIST}"
            ));
        }
        Outcome::success(content_type, data).checked()
    }

    /// Creates a failure with a message for the client.
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

    /// Returns the media type without parameters, in lower case; empty if the model gave none.
    #[must_use]
    pub fn media_type(&self) -> String {
        media_type(self.content_type.as_deref().unwrap_or_default())
    }

    /// Returns true if the content type is JSON: `application/json`, `text/json` or `…+json` (RFC
    /// 6839).
    #[must_use]
    pub fn is_json(&self) -> bool {
        is_json(&self.media_type())
    }

    /// Returns the fault of a successful result that is not JSON although its content type is JSON.
    /// Text that a library wrote is not checked. Neither is text of more than 1 MB, because the
    /// check would take too long.
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

    /// Returns true if the content type is that of a picture.
    #[must_use]
    pub fn is_image(&self) -> bool {
        self.media_type().starts_with("image/")
    }

    /// Returns true if results of this content type can form a list: pictures, sounds and other
    /// files can. Several texts or JSON values are one JSON result instead.
    #[must_use]
    pub fn may_be_list(&self) -> bool {
        let media = self.media_type();
        !(media.is_empty() || media.starts_with("text/") || self.is_json())
    }

    /// Returns the outcome in a form that can be passed on. A result with an invalid content type,
    /// or a list of a type that cannot form one, becomes a failure.
    #[must_use]
    pub fn checked(self) -> Self {
        match check_content_type(self.content_type.as_deref()) {
            Ok(()) if matches!(self.data, Data::List(_)) && !self.may_be_list() => {
                let media = self.content_type.as_deref().unwrap_or("no content type");
                Outcome::failure(format!(
                    "the model's result: a list must have the content type of a picture or another \
                     file, not {media}"
                ))
            }
            Ok(()) => self,
            Err(reason) if self.success => {
                Outcome::failure(format!("the model's result: {reason}"))
            }
            Err(_) => Outcome { content_type: None, ..self },
        }
    }

    /// Returns the message of a failure. It is never empty.
    #[must_use]
    pub fn error_message(&self) -> &str {
        match self.error.as_deref() {
            Some(message) if !message.trim().is_empty() => message,
            _ => "the model reported a failure without a message",
        }
    }

    /// Returns the message of a failure for a user who also sees the program's output.
    #[must_use]
    pub fn error_beside_output(&self) -> Cow<'_, str> {
        match self.error_message() {
            message if self.is_printed => without_traceback(message).into(),
            message => message.into(),
        }
    }
}

/// Removes Python tracebacks from a message. Returns the text before the first traceback, and the
/// exception at the end of the last one.
#[must_use]
pub fn without_traceback(message: &str) -> String {
    const HEADING: &str = "Traceback (most recent call last):";
    let Some((before, _)) = message.split_once(HEADING) else { return message.to_owned() };
    let last = message.rsplit(HEADING).next().unwrap_or_default();
    // The calls are indented. The exception begins with the first line that is not indented.
    let exception = last.lines().skip(1).skip_while(|line| line.starts_with(' '));
    let lines: Vec<&str> = before.lines().chain(exception).collect();
    lines.join("\n").trim().to_owned()
}

/// Refuses a content type that is too long, or that a header field cannot contain (RFC 9110,
/// section 5.5). The error is for the model's author.
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

/// Returns the media type in a content type: without parameters, in lower case.
pub(crate) fn media_type(content_type: &str) -> String {
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Returns true if a media type is JSON.
pub(crate) fn is_json(media: &str) -> bool {
    media == "application/json" || media == "text/json" || media.ends_with("+json")
}

/// Returns true if a header field cannot contain this byte.
fn is_control(byte: u8) -> bool {
    byte.is_ascii_control() && byte != b'\t'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_type_that_no_header_can_contain_is_a_failure_of_the_model() {
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
            let failure = Outcome { content_type: Some(unfit), ..Outcome::failure("my words") };
            assert_eq!(failure.checked().error_message(), "my words");
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
            ("text/html", 2, "another file, not text/html"),
            ("application/json", 2, "another file, not application/json"),
            ("", 2, "a picture or another file"),
        ] {
            let failed = list(media, length);
            assert!(!failed.success && failed.data.is_empty());
            assert!(failed.error_message().contains(words), "{failed:?}");
        }
    }
}
