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
    /// A number, a boolean, or any other JSON value; also a list in which nothing is bytes.
    Json(serde_json::Value),
    /// A list in which something is bytes: a `list` in Python. Its items are no lists of this kind.
    List(Vec<Value>),
}

impl Value {
    /// The text, when this is text.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            Value::Json(json) => json.as_str(),
            Value::Bytes(_) | Value::List(_) => None,
        }
    }

    /// The bytes, when these are bytes.
    #[must_use]
    pub fn as_bytes(&self) -> Option<&Bytes> {
        match self {
            Value::Bytes(bytes) => Some(bytes),
            Value::Text(_) | Value::Json(_) | Value::List(_) => None,
        }
    }

    /// About the bytes that the value has, as text where it is JSON. Nothing is looked at beyond `most`.
    #[must_use]
    pub fn extent(&self, most: usize) -> usize {
        match self {
            Value::Text(text) => text.len(),
            Value::Bytes(bytes) => bytes.len(),
            Value::Json(value) => json::extent(value, most),
            Value::List(items) => items.iter().map(|item| item.extent(most)).sum(),
        }
    }

    /// The number, boolean or other JSON value, when it is one.
    #[must_use]
    pub fn as_json(&self) -> Option<&serde_json::Value> {
        match self {
            Value::Json(json) => Some(json),
            Value::Text(_) | Value::Bytes(_) | Value::List(_) => None,
        }
    }

    /// The items, when this is a list in which something is bytes.
    #[must_use]
    pub fn as_list(&self) -> Option<&[Value]> {
        match self {
            Value::List(items) => Some(items),
            Value::Text(_) | Value::Bytes(_) | Value::Json(_) => None,
        }
    }

    /// About the memory that the value takes up beside its text and bytes.
    #[must_use]
    pub fn footprint(&self) -> usize {
        match self {
            Value::Text(_) | Value::Bytes(_) => 0,
            Value::Json(value) => json::footprint(value),
            Value::List(items) => {
                items.iter().map(|item| size_of_val(item) + item.footprint()).sum()
            }
        }
    }
}

/// The value of a list.
impl FromIterator<Value> for Value {
    fn from_iter<T: IntoIterator<Item = Value>>(items: T) -> Self {
        let items: Vec<Value> = items.into_iter().collect();
        if items.iter().any(|item| matches!(item, Value::Bytes(_) | Value::List(_))) {
            return Value::List(items);
        }
        let json = items.into_iter().filter_map(|item| match item {
            Value::Text(text) => Some(text.into()),
            Value::Json(json) => Some(json),
            Value::Bytes(_) | Value::List(_) => None,
        });
        Value::Json(json.collect())
    }
}

/// All inputs of one request by name, in the order of the schema; options that the schema does
/// not mention follow.
pub type Inputs = IndexMap<String, Value>;
