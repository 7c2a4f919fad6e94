//! The values that a model is given.

use bytes::Bytes;
use indexmap::IndexMap;

use crate::json;

/// One input, ready for the model.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Text: `str` in Python.
    Text(String),
    /// Bytes exactly as they were sent: `bytes` in Python.
    Bytes(Bytes),
    /// A number, a boolean, or any other JSON value.
    Json(serde_json::Value),
}

impl Value {
    /// The text, when this is text.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            Value::Json(json) => json.as_str(),
            Value::Bytes(_) => None,
        }
    }

    /// The bytes, when these are bytes.
    #[must_use]
    pub fn as_bytes(&self) -> Option<&Bytes> {
        match self {
            Value::Bytes(bytes) => Some(bytes),
            Value::Text(_) | Value::Json(_) => None,
        }
    }

    /// About the bytes that the value has, as text where it is JSON. Nothing is looked at beyond `most`.
    #[must_use]
    pub fn extent(&self, most: usize) -> usize {
        match self {
            Value::Text(text) => text.len(),
            Value::Bytes(bytes) => bytes.len(),
            Value::Json(value) => json::extent(value, most),
        }
    }

    /// The number, boolean or other JSON value, when it is one.
    #[must_use]
    pub fn as_json(&self) -> Option<&serde_json::Value> {
        match self {
            Value::Json(json) => Some(json),
            Value::Text(_) | Value::Bytes(_) => None,
        }
    }
}

/// All inputs of one request by name, in the order of the schema; options that the schema does
/// not mention follow.
pub type Inputs = IndexMap<String, Value>;
