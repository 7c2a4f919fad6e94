//! Reads JSON from clients, with two restrictions. An object must not contain a key twice: readers
//! differ in which of the two values they use, so the model might get a value that was not checked.
//! The number of values is limited, because a value takes much more memory than its text. Numbers
//! keep all digits.

mod long_strings;
mod malformed;

use std::fmt;

use serde::de::{
    DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Unexpected, Visitor,
};
use serde_json::{Map, Number, Value};

use self::long_strings::{LONG, Shortened};
pub use self::malformed::Malformed;
use crate::encoding::Encoding;
use crate::number;

/// The maximum number of values in a text: lists, objects, and the values in them.
pub const MAX_VALUES: usize = 1_000_000;
/// The estimated memory of a value in addition to its text, in bytes. A value with a key takes
/// more, a value without a key less.
const VALUE: usize = 128;
/// The key under which `serde_json` passes the text of a number that is not an integer of 64 bits.
const NUMBER: &str = "$serde_json::private::Number";

/// Reads any JSON text in UTF-8 (RFC 8259), UTF-16 or UTF-32 (RFC 4627), with or without a byte
/// order mark.
pub fn parse(text: &[u8]) -> Result<Value, Malformed> {
    read(text, |reader, state| Strict(state).deserialize(reader))
}

/// Reads the members of an object in their order. The object's own keys may repeat. The encodings
/// are those of [`parse`].
pub fn members(text: &[u8]) -> Result<Vec<(String, Value)>, Malformed> {
    read(text, |reader, state| reader.deserialize_map(Members { list: Vec::new(), state }))
}

/// Checks that a text is JSON that other programs can read: UTF-8 without a byte order mark (RFC
/// 8259, section 8.1). Keys may repeat, and the number of values and levels is not limited, because
/// no value is stored.
pub fn check(text: &[u8]) -> Result<(), Malformed> {
    let is_sound = |text| serde_json::from_str::<IgnoredAny>(text).is_ok();
    if std::str::from_utf8(text).is_ok_and(is_sound) {
        return Ok(());
    }
    parse(text)?;
    let given = match Encoding::of(text, Encoding::Utf8) {
        Encoding::Utf8 => "it begins with a byte order mark".to_owned(),
        encoding => format!("it is {encoding}"),
    };
    Err(Malformed::Fault(format!("{given}; send UTF-8 without a byte order mark")))
}

/// Estimates the memory of a value in addition to its text, in bytes.
#[must_use]
pub fn footprint(value: &Value) -> usize {
    VALUE
        + match value {
            Value::Array(list) => list.iter().map(footprint).sum(),
            Value::Object(object) => object.values().map(footprint).sum::<usize>(),
            _ => 0,
        }
}

/// Estimates the length of a value as text, in bytes. Stops counting beyond `most`.
#[must_use]
pub fn extent(value: &Value, most: usize) -> usize {
    let add = |sum: usize, value: &Value, key: usize| {
        if sum < most { sum + key + extent(value, most - sum) } else { sum }
    };
    match value {
        Value::String(text) => text.len(),
        Value::Array(list) => list.iter().fold(0, |sum, value| add(sum, value, 0)),
        Value::Object(object) => {
            object.iter().fold(0, |sum, (key, value)| add(sum, value, key.len()))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => 8,
    }
}

type Reader<'de> = serde_json::Deserializer<serde_json::de::SliceRead<'de>>;

/// The state of reading one text.
#[derive(Default)]
struct State<'a> {
    /// The number of values by now.
    values: usize,
    /// The text, if it is read without its long strings.
    shortened: Option<&'a Shortened<'a>>,
}

fn read<T>(
    text: &[u8],
    read: impl Fn(&mut Reader<'_>, &mut State<'_>) -> serde_json::Result<T>,
) -> Result<T, Malformed> {
    let encoding = Encoding::of(text, Encoding::Utf8);
    let decoded;
    let text = if encoding == Encoding::Utf8 {
        encoding.without_mark(text)
    } else {
        decoded = encoding.decode(text, encoding.measure(text)?);
        decoded.as_bytes()
    };
    if let Some(short) = Shortened::of(text, LONG)
        && let Ok(value) = read_shortened(&short, &read)
    {
        return Ok(value);
    }
    // A text with a fault is read again, because the fault's place is that in the whole text.
    read_to_end(text, State::default(), read).map_err(|error| Malformed::of(text, &error))
}

fn read_shortened<T>(
    short: &Shortened<'_>,
    read: impl Fn(&mut Reader<'_>, &mut State<'_>) -> serde_json::Result<T>,
) -> serde_json::Result<T> {
    read_to_end(short.text(), State { values: 0, shortened: Some(short) }, read)
}

fn read_to_end<T>(
    text: &[u8],
    mut state: State<'_>,
    read: impl Fn(&mut Reader<'_>, &mut State<'_>) -> serde_json::Result<T>,
) -> serde_json::Result<T> {
    let mut reader = serde_json::Deserializer::from_slice(text);
    let value = read(&mut reader, &mut state)?;
    reader.end().map(|()| value)
}

struct Members<'a, 'b> {
    list: Vec<(String, Value)>,
    state: &'a mut State<'b>,
}

impl<'de> Visitor<'de> for Members<'_, '_> {
    type Value = Vec<(String, Value)>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self::Value, A::Error> {
        while let Some(key) = map.next_key()? {
            self.list.push((key, map.next_value_seed(Strict(self.state))?));
        }
        Ok(self.list)
    }
}

/// Reads a value in which no object has a key twice, and adds it to the count of values.
struct Strict<'a, 'b>(&'a mut State<'b>);

impl<'de> DeserializeSeed<'de> for Strict<'_, '_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.0.values += 1;
        if self.0.values > MAX_VALUES {
            let many = format_args!("it has more than {MAX_VALUES} values; send them as a file");
            return Err(D::Error::custom(many));
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_, '_> {
    type Value = Value;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Value, E> {
        let content = self.0.shortened.and_then(|shortened| shortened.content(value));
        Ok(content.unwrap_or(value).into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(element) = elements.next_element_seed(Strict(self.0))? {
            list.push(element);
        }
        // Spare capacity would be most of the memory of many small lists.
        list.shrink_to_fit();
        Ok(list.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = members.next_key::<String>()? {
            if key == NUMBER {
                return members.next_value_seed(NumberText).map(Value::Number);
            }
            let value = members.next_value_seed(Strict(self.0))?;
            if object.contains_key(&key) {
                return Err(A::Error::custom(format_args!("the key {key:?} is given twice")));
            }
            object.insert(key, value);
        }
        Ok(object.into())
    }
}

/// Reads the text of a number. `serde_json` passes it as an owned string, while the client's strings
/// are borrowed from the text that is read. So a client cannot forge it.
struct NumberText;

impl<'de> DeserializeSeed<'de> for NumberText {
    type Value = Number;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Number, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Visitor<'_> for NumberText {
    type Value = Number;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "no key {NUMBER:?}, because this key cannot be used")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Number, E> {
        Err(E::invalid_type(Unexpected::Str(text), &self))
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Number, E> {
        number::of_json(&text).map_err(|error| E::custom(format_args!("it has {error}")))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_key_that_is_given_twice_is_refused_except_by_members() {
        let text = br#"{"a": [1, -2, 0.5, null, true, {"b": "c"}], "a": 1}"#;
        let read = members(text).unwrap();
        let whole = serde_json::json!([1, -2, 0.5, null, true, {"b": "c"}]);
        assert_eq!(read, [("a".to_owned(), whole), ("a".to_owned(), 1.into())]);
        assert!(parse(text).unwrap_err().to_string().contains("\"a\" is given twice"));
        for refused in [&br#"{"a": {"b": 1, "b": 2}}"#[..], b"[]", b"{} {}", b"\"a\"", b"{"] {
            assert!(members(refused).is_err());
        }
        let nested = |levels: usize| parse(&[b"[".repeat(levels), b"]".repeat(levels)].concat());
        assert_eq!((nested(127).is_ok(), nested(128).is_ok()), (true, false));
        let deep = [b"{\"a\":".as_slice(), &[b'['; 1000], &[b']'; 1000], b"}"].concat();
        let message = members(&deep).unwrap_err().to_string();
        assert_eq!(message, "it is nested more than 127 levels deep, at line 1 column 132");
    }

    #[test]
    fn numbers_keep_their_values() {
        let long = "9".repeat(number::MAX_DIGITS);
        let text =
            format!("[18446744073709551616, -{long}, -0, -0.0, 1E5, 0.10, {{\"a\": 2e-400}}]");
        let read = format!("[18446744073709551616,-{long},0,-0.0,100000.0,0.1,{{\"a\":2e-400}}]");
        assert_eq!(parse(text.as_bytes()).unwrap().to_string(), read);
        for (refused, why) in [
            (format!("[{long}0]"), "an integer of 4301 digits"),
            ("[-1e400]".to_owned(), "too large for a float"),
            (format!("{{{NUMBER:?}: \"5\"}}"), "cannot be used"),
            (format!("{{{NUMBER:?}: 5}}"), "cannot be used"),
            (format!("[{{\"a\": 1, {NUMBER:?}: \"\\u0035\"}}]"), "cannot be used"),
        ] {
            let error = parse(refused.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn values_are_counted_at_every_depth() {
        let list = |values: usize| format!("[{}0]", "0,".repeat(values - 2));
        let most = parse(list(MAX_VALUES).as_bytes()).unwrap();
        assert_eq!(footprint(&most), MAX_VALUES * VALUE);
        for text in [list(MAX_VALUES + 1), format!("[{}]", list(MAX_VALUES))] {
            assert!(parse(text.as_bytes()).unwrap_err().to_string().contains("1000000 values"));
        }
        let halves = list(MAX_VALUES / 2);
        assert!(members(format!("{{\"a\":{halves},\"b\":{halves}}}").as_bytes()).is_ok());
        assert!(members(format!("{{\"a\":{halves},\"b\":{halves},\"c\":0}}").as_bytes()).is_err());
    }

    #[test]
    fn a_text_with_long_strings_is_read_as_any_other() {
        let (key, long) = ("A".repeat(LONG), "A".repeat(6 * LONG));
        let other = format!("{}é", "b".repeat(LONG));
        let text = format!(r#"{{"a": "{long}", "b": [1, {{"{key}": "{other}"}}, "_"], "c": ""}}"#);
        let whole = serde_json::json!({"a": long, "b": [1, {key: other}, "_"], "c": ""});
        assert!(Shortened::of(text.as_bytes(), LONG).is_some());
        assert_eq!(parse(text.as_bytes()), Ok(whole));
        let wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(members(&wide), members(text.as_bytes()));
    }

    #[test]
    fn a_fault_beside_a_long_string_is_reported_with_its_place() {
        let long = "A".repeat(LONG);
        for (rest, message) in [
            (r#"", "b": nul}"#, "expected a value, got \"nul\"; put text in double quotes"),
            ("\", \"b\": 1}\n}", "expected nothing after the value, got \"}\""),
            (r#"", "b": 1, "b": 2}"#, "the key \"b\" is given twice"),
            ("\n\"}", "a line ends inside a string; write the line break as \\n"),
            ("\\x\"}", "\"x\" cannot follow a backslash; write \\\\ for a backslash"),
            ("", "it is cut off in the middle of a string"),
        ] {
            let (text, short) = (format!(r#"{{"a": "{long}{rest}"#), format!(r#"{{"a": "A{rest}"#));
            let error = parse(text.as_bytes()).unwrap_err().to_string();
            let (fault, place) = error.rsplit_once(", at line ").unwrap();
            assert_eq!(fault, message);
            let column =
                |place: &str| place.rsplit_once("column ").unwrap().1.parse::<usize>().unwrap();
            let near = parse(short.as_bytes()).unwrap_err().to_string();
            let is_on_first_line = place.starts_with("1 ");
            let added = if is_on_first_line { LONG - 1 } else { 0 };
            assert_eq!(column(place), column(&near) + added, "{error}");
        }
        let text = [br#"{"a": ""#, long.as_bytes(), b"\xff\"}"].concat();
        assert_eq!(parse(&text).unwrap_err().to_string(), "its byte 4104, 0xFF, is not UTF-8");
    }

    /// Any JSON value, with texts of up to 30 characters.
    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<i32>().prop_map(Value::from),
            "[_A\"\\\\é/]{0,3}".prop_map(Value::from),
            "[a-z+/é]{10,30}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 20, 4, |inner| {
            let pairs = prop::collection::vec(("[a-z\"]{0,12}", inner.clone()), 0..4);
            prop_oneof![
                prop::collection::vec(inner, 0..4).prop_map(Value::from),
                pairs.prop_map(|pairs| pairs.into_iter().collect::<Map<_, _>>().into()),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_text_without_its_long_strings_is_read_as_the_whole(
            values in prop::collection::vec(any_value(), 1..4),
            is_pretty: bool,
            changes in prop::collection::vec(
                (any::<prop::sample::Index>(), prop::sample::select(&b"\"\"\\:,[]{} \n_\xff\xc3u0"[..])), 0..4,
            ),
        ) {
            let value = Value::from(values);
            let text = if is_pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) };
            let mut text = text.unwrap().into_bytes();
            for (at, byte) in changes {
                let at = at.index(text.len());
                text[at] = byte;
            }
            let strict = |reader: &mut Reader<'_>, state: &mut State<'_>| Strict(state).deserialize(reader);
            if let Some(short) = Shortened::of(&text, 8) {
                let read = read_shortened(&short, strict).ok();
                prop_assert_eq!(read, read_to_end(&text, State::default(), strict).ok());
            }
        }

        #[test]
        fn every_text_is_read_or_refused_with_a_place(text in "[{}\\[\\]\",:'\\\\u0t.é\n -]{0,20}") {
            for error in [parse(text.as_bytes()).err(), members(text.as_bytes()).err()] {
                let message = error.map_or_else(|| "it is empty".to_owned(), |error| error.to_string());
                prop_assert!(message == "it is empty" || message.contains(", at line "), "{}", message);
            }
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = members(&bytes);
            let _ = members(&[b"{\"a\": \"", &bytes[..]].concat());
        }
    }
}
