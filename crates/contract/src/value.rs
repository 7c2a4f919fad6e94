//! The values that a model gets.

use bytes::Bytes;
use indexmap::IndexMap;

use crate::json;

/// The value of one input, ready for the model.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Text: `str` in Python.
    Text(String),
    /// Bytes exactly as they were sent: `bytes` in Python.
    Bytes(Bytes),
    /// A number, a boolean, or any other JSON value, including a list without bytes.
    Json(serde_json::Value),
    /// A list with bytes: a `list` in Python. None of its items is such a list.
    List(Vec<Value>),
}

impl Value {
    /// Returns the text, if the value is text.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            Value::Json(json) => json.as_str(),
            Value::Bytes(_) | Value::List(_) => None,
        }
    }

    /// Returns the bytes, if the value is bytes.
    #[must_use]
    pub fn as_bytes(&self) -> Option<&Bytes> {
        match self {
            Value::Bytes(bytes) => Some(bytes),
            Value::Text(_) | Value::Json(_) | Value::List(_) => None,
        }
    }

    /// Estimates the length of the value in bytes; JSON counts as its text. Stops counting beyond
    /// `most`.
    #[must_use]
    pub fn extent(&self, most: usize) -> usize {
        match self {
            Value::Text(text) => text.len(),
            Value::Bytes(bytes) => bytes.len(),
            Value::Json(value) => json::extent(value, most),
            Value::List(items) => items.iter().map(|item| item.extent(most)).sum(),
        }
    }

    /// Returns the JSON value, if the value is one.
    #[must_use]
    pub fn as_json(&self) -> Option<&serde_json::Value> {
        match self {
            Value::Json(json) => Some(json),
            Value::Text(_) | Value::Bytes(_) | Value::List(_) => None,
        }
    }

    /// Returns the items, if the value is a list with bytes.
    #[must_use]
    pub fn as_list(&self) -> Option<&[Value]> {
        match self {
            Value::List(items) => Some(items),
            Value::Text(_) | Value::Bytes(_) | Value::Json(_) => None,
        }
    }

    /// Estimates the memory of the value in addition to its text and bytes, in bytes.
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

/// Collects the items of a list into one value.
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

/// All inputs of one request by name, in the order of the schema. Inputs that the schema does not
/// have follow.
pub type Inputs = IndexMap<String, Value>;
