//! The wire form of inputs. The header has one entry for each input, in their order. The body has
//! their segments, in the order of the entries.
//!
//! An entry is a list of three elements: the input's name, its [`InputKind`], and the length of its
//! segment in bytes or, for a short value, the value itself. An entry can have a fourth element: the
//! offset of its segment in the memory file that both sides share. Such a segment is not in the
//! body. For a list, the third element is a list of such entries without names, one for each item.

use bytes::Bytes;
use serde::ser::{SerializeTuple, Serializer};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::json;
use crate::value::{Inputs, Value};

use super::frame::{FrameError, MAX_BODY, MAX_HEADER, Segment};

/// The form in which an input travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InputKind {
    /// A segment of bytes.
    Bytes,
    /// A segment of text in UTF-8.
    Text,
    /// A segment of JSON text: a list, an object, a string or a long number.
    Json,
    /// A JSON value in the entry itself: a short number, a boolean or `null`.
    Value,
    /// A list with bytes, of items of the other kinds.
    List,
}

/// An input in the header of a message to send.
#[derive(Clone, Debug)]
pub struct Entry<'a> {
    name: &'a str,
    item: Item<'a>,
}

/// An input, or an item of a list, without its name.
#[derive(Clone, Debug)]
enum Item<'a> {
    /// The value itself.
    Value(&'a Json),
    /// The length of its segment in the body.
    Inline(InputKind, usize),
    /// The length of its segment, and the segment's offset in the memory file.
    InMemory(InputKind, usize, usize),
    /// The list's items.
    List(Vec<Item<'a>>),
}

impl Item<'_> {
    fn elements(&self) -> usize {
        if matches!(self, Item::InMemory(..)) { 3 } else { 2 }
    }

    fn put<T: SerializeTuple>(&self, tuple: &mut T) -> Result<(), T::Error> {
        match self {
            Item::Value(value) => {
                tuple.serialize_element(&InputKind::Value)?;
                tuple.serialize_element(value)
            }
            Item::Inline(kind, length) => {
                tuple.serialize_element(kind)?;
                tuple.serialize_element(length)
            }
            Item::InMemory(kind, length, offset) => {
                tuple.serialize_element(kind)?;
                tuple.serialize_element(length)?;
                tuple.serialize_element(offset)
            }
            Item::List(items) => {
                tuple.serialize_element(&InputKind::List)?;
                tuple.serialize_element(items)
            }
        }
    }
}

impl Serialize for Item<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut tuple = serializer.serialize_tuple(self.elements())?;
        self.put(&mut tuple)?;
        tuple.end()
    }
}

impl Serialize for Entry<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut tuple = serializer.serialize_tuple(self.item.elements() + 1)?;
        tuple.serialize_element(self.name)?;
        self.item.put(&mut tuple)?;
        tuple.end()
    }
}

/// An input in the header of a received message. All segments are in the body.
#[derive(Clone, Debug, Deserialize)]
pub struct ReceivedEntry(String, InputKind, Json);

/// An item of a received list.
#[derive(Deserialize)]
struct ReceivedItem(InputKind, Json);

/// Inputs to send. The segments borrow from the inputs, except JSON text.
#[derive(Clone, Debug)]
pub struct Split<'a> {
    /// The entries of the header.
    pub entries: Vec<Entry<'a>>,
    /// The segments of the body, in the order of the entries that have one.
    pub segments: Vec<Segment<'a>>,
}

/// The maximum number of characters of a number in an entry.
const SHORT: usize = 32;

/// Splits inputs into the entries of the header and the segments of the body.
#[must_use]
pub fn split(inputs: &Inputs) -> Split<'_> {
    let mut segments = Vec::with_capacity(inputs.len());
    let entries =
        inputs.iter().map(|(name, value)| Entry { name, item: item(value, &mut segments) });
    let entries = entries.collect();
    Split { entries, segments }
}

fn item<'a>(value: &'a Value, segments: &mut Vec<Segment<'a>>) -> Item<'a> {
    let (kind, segment) = match value {
        Value::Bytes(bytes) => (InputKind::Bytes, Segment::Bytes(bytes)),
        Value::Text(text) => (InputKind::Text, Segment::Text(text)),
        Value::Json(json) if is_short(json) => return Item::Value(json),
        Value::Json(json) => (InputKind::Json, Segment::Json(json.to_string().into())),
        Value::List(items) => {
            return Item::List(items.iter().map(|value| item(value, segments)).collect());
        }
    };
    let length = segment.as_slice().len();
    segments.push(segment);
    Item::Inline(kind, length)
}

impl Split<'_> {
    /// Moves segments from the body to the memory file. `offsets` has the place of each segment
    /// there, or `None` for a segment that stays in the body.
    pub fn place(&mut self, offsets: &[Option<usize>]) {
        let mut each = offsets.iter();
        for entry in &mut self.entries {
            place(&mut entry.item, &mut each);
        }
        let mut offsets = offsets.iter();
        self.segments.retain(|_| offsets.next().is_some_and(Option::is_none));
    }
}

fn place<'o>(item: &mut Item<'_>, offsets: &mut impl Iterator<Item = &'o Option<usize>>) {
    match item {
        Item::Inline(kind, length) => {
            if let Some(Some(offset)) = offsets.next() {
                *item = Item::InMemory(*kind, *length, *offset);
            }
        }
        Item::List(items) => items.iter_mut().for_each(|item| place(item, offsets)),
        Item::Value(_) | Item::InMemory(..) => {}
    }
}

fn is_short(json: &Json) -> bool {
    match json {
        Json::Null | Json::Bool(_) => true,
        Json::Number(number) => number.as_str().len() <= SHORT,
        Json::String(_) | Json::Array(_) | Json::Object(_) => false,
    }
}

/// Joins inputs from a message.
pub fn join(entries: Vec<ReceivedEntry>, mut body: Bytes) -> Result<Inputs, FrameError> {
    let mut inputs = Inputs::with_capacity(entries.len());
    for ReceivedEntry(name, kind, rest) in entries {
        let value = if kind == InputKind::List {
            let items: Vec<ReceivedItem> =
                serde_json::from_value(rest).map_err(|error| broken(&error))?;
            let items =
                items.into_iter().map(|ReceivedItem(kind, rest)| value(kind, rest, &mut body));
            Value::List(items.collect::<Result<_, _>>()?)
        } else {
            value(kind, rest, &mut body)?
        };
        inputs.insert(name, value);
    }
    if !body.is_empty() {
        return Err(FrameError::Body(format!("{} bytes too many", body.len())));
    }
    Ok(inputs)
}

/// Reads one value, whose segment is the next one in the body.
fn value(kind: InputKind, rest: Json, body: &mut Bytes) -> Result<Value, FrameError> {
    let mut segment = || {
        let length = rest.as_u64().and_then(|length| usize::try_from(length).ok());
        match length.filter(|length| *length <= body.len()) {
            Some(length) => Ok(body.split_to(length)),
            None => Err(FrameError::Body(format!("no segment of {rest} bytes"))),
        }
    };
    Ok(match kind {
        InputKind::Bytes => Value::Bytes(segment()?),
        InputKind::Text => {
            let text = String::from_utf8(segment()?.into());
            Value::Text(text.map_err(|error| broken(&error))?)
        }
        InputKind::Json => {
            let parsed = json::parse(&segment()?);
            Value::Json(parsed.map_err(|error| broken(&error))?)
        }
        InputKind::Value => Value::Json(rest),
        InputKind::List => return Err(FrameError::Body("a list inside a list".to_owned())),
    })
}

fn broken(error: &dyn std::fmt::Display) -> FrameError {
    FrameError::Body(error.to_string())
}

/// Returns true if an input is a list with bytes, which readers of version 1 do not know.
pub(super) fn has_list(inputs: &Inputs) -> bool {
    inputs.values().any(|value| matches!(value, Value::List(_)))
}

/// Returns true if inputs fit a frame in the largest form that they can need.
#[must_use]
pub fn fit(inputs: &Inputs) -> bool {
    // Escaping can turn one byte of a name into six. Kind, value and commas are short.
    let items = |value: &Value| value.as_list().map_or(0, <[Value]>::len);
    let header = inputs.iter().map(|(name, value)| name.len() * 6 + 64 * (1 + items(value)));
    let body = inputs.values().map(size);
    header.sum::<usize>() <= MAX_HEADER - 128 && body.sum::<usize>() <= MAX_BODY
}

fn size(value: &Value) -> usize {
    match value {
        Value::Text(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        Value::Json(json) => length(json),
        Value::List(items) => items.iter().map(size).sum(),
    }
}

/// Counts the bytes of a value as text.
fn length(json: &Json) -> usize {
    struct Counter(usize);

    impl std::io::Write for Counter {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    let mut counter = Counter(0);
    serde_json::to_writer(&mut counter, json).map_or(MAX_BODY + 1, |()| counter.0)
}
