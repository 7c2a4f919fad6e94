//! Input values as they arrive from a form, a command line or a pipe, before the schema is applied.

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
