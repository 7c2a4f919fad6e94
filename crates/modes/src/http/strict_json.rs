//! JSON in which no object gives a key twice. Readers differ in which one counts, and what one of
//! them has checked is not what the other one uses.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// The members of an object, in their order; its own keys may repeat.
pub(super) fn members(text: &[u8]) -> serde_json::Result<Vec<(String, Value)>> {
    serde_json::from_slice::<Members>(text).map(|Members(members)| members)
}

struct Members(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members(Vec::new()))
    }
}

impl<'de> Visitor<'de> for Members {
    type Value = Self;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self, A::Error> {
        while let Some((key, Strict(value))) = map.next_entry()? {
            self.0.push((key, value));
        }
        Ok(self)
    }
}

/// Any value, with unique keys all the way down.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Anything).map(Strict)
    }
}

struct Anything;

impl<'de> Visitor<'de> for Anything {
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

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Strict(element)) = elements.next_element()? {
            list.push(element);
        }
        Ok(list.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some((key, Strict(value))) = members.next_entry::<String, Strict>()? {
            if object.contains_key(&key) {
                return Err(A::Error::custom(format_args!("the key {key:?} is given twice")));
            }
            object.insert(key, value);
        }
        Ok(object.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_unique_below_the_first_level_which_tells() {
        let text = br#"{"a": [1, -2, 0.5, null, true, {"b": "c"}], "a": 1}"#;
        let read = members(text).unwrap();
        let whole = serde_json::json!([1, -2, 0.5, null, true, {"b": "c"}]);
        assert_eq!(read, [("a".to_owned(), whole), ("a".to_owned(), 1.into())]);
        for refused in [&br#"{"a": {"b": 1, "b": 2}}"#[..], b"[]", b"{} {}", b"\"a\"", b"{"] {
            assert!(members(refused).is_err());
        }
        let deep = [b"{\"a\":".as_slice(), &[b'['; 1000], &[b']'; 1000], b"}"].concat();
        assert!(members(&deep).unwrap_err().to_string().contains("recursion"));
    }
}
