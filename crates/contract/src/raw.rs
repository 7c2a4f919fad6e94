//! Input values as they arrive from a form, a command line or a pipe, before the schema is applied.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use indexmap::IndexMap;

use crate::encoding::Encoding;
use crate::excerpt::{quote, shorten};
use crate::value::Value;

/// One input as it arrived. The variant shows its source, which decides how it can be read.
#[derive(Clone, Debug, PartialEq)]
pub enum RawValue {
    /// The content of a file or an uploaded part.
    Bytes(Bytes),
    /// A form field or a word of a command line.
    Text(String),
    /// A member of a JSON object.
    Json(serde_json::Value),
    /// Several values under one name, such as repeated fields of a form.
    List(Vec<RawValue>),
}

impl RawValue {
    /// Describes the value for an error message: its kind, and a short value itself.
    pub(crate) fn describe(&self) -> String {
        match self {
            RawValue::Bytes(bytes) => match Encoding::Utf8.measure(bytes) {
                Ok(length) => format!("{length} bytes"),
                Err(error) => format!("{} bytes, of which {error}", bytes.len()),
            },
            RawValue::Text(text) | RawValue::Json(serde_json::Value::String(text)) => quote(text),
            RawValue::Json(serde_json::Value::Array(items)) => {
                format!("a list of {}", items.len())
            }
            RawValue::Json(serde_json::Value::Object(_)) => "an object".to_owned(),
            RawValue::Json(value) => shorten(value.to_string()),
            RawValue::List(items) => format!("a list of {}", items.len()),
        }
    }
}

impl From<Value> for RawValue {
    fn from(value: Value) -> Self {
        match value {
            Value::Text(text) => RawValue::Text(text),
            Value::Bytes(bytes) => RawValue::Bytes(bytes),
            Value::Json(json) => RawValue::Json(json),
            Value::List(items) => RawValue::List(items.into_iter().map(RawValue::from).collect()),
        }
    }
}

/// All inputs of one request as they arrived.
pub type RawInputs = IndexMap<String, RawValue>;

/// Decodes base64 (RFC 4648, either alphabet, optional padding, line breaks ignored), alone or in a
/// `data:` URL (RFC 2397). Returns `None` for other text.
#[must_use]
pub fn decode_base64(text: &str) -> Option<Bytes> {
    let encoded = match text.strip_prefix("data:") {
        Some(url) => {
            let (head, data) = url.split_once(',')?;
            if !head.ends_with(";base64") {
                return None;
            }
            data
        }
        None => text,
    };
    let compact: Vec<u8> = encoded.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let url_safe = compact.iter().any(|byte| matches!(byte, b'-' | b'_'));
    let alphabet = if url_safe { &alphabet::URL_SAFE } else { &alphabet::STANDARD };
    let config =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    GeneralPurpose::new(alphabet, config).decode(compact).ok().map(Bytes::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_read_in_every_usual_spelling() {
        for text in ["/+8=", "/+8", "_-8", "/+\n8=", "data:image/png;base64,/+8="] {
            assert_eq!(decode_base64(text).as_deref(), Some(&[0xff, 0xef][..]), "{text:?}");
        }
        assert_eq!(decode_base64("not base64!"), None);
        assert_eq!(decode_base64("data:text/plain,hello"), None);
    }
}
