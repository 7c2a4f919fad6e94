//! The inputs of a job by name.

mod deserializer;
mod integers;
mod name;

use std::sync::Arc;

use ai_integration_contract::Value;
use serde::Deserialize;

use crate::invalid_input::InvalidInput;

/// The Rust types of numbers, for error messages.
const INTEGER: &str = "an i64";
const FLOAT: &str = "a float of 64 bits";

/// The inputs of one job. They fit the schema: every required input is present and has its declared
/// type.
///
/// ```no_run
/// use ai_integration::{Model, Outcome, json};
///
/// let schema = json!({
///     "text": {"type": "text"},
///     "times": {"type": "integer", "required": false},
/// });
/// Model::new(schema).run(|inputs| {
///     let times = inputs.get_as::<Option<u8>>("times")?.unwrap_or(2);
///     Ok(Outcome::text(inputs.text("text").repeat(times.into())))
/// })
/// ```
#[derive(Clone, Debug)]
pub struct Inputs(pub(crate) Arc<ai_integration_contract::Inputs>);

impl Inputs {
    /// Returns an input, or `None` if the client did not give this optional input.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// Reads an input as any type that serde can deserialize, such as `get_as::<u8>("level")`,
    /// `get_as::<Option<&str>>("style")` or `get_as::<Vec<Image>>("pages")`. An optional input that
    /// the client did not give is `None`.
    ///
    /// # Errors
    /// Returns an error if the input does not fit the type, or if it is absent and the type is not
    /// an `Option`.
    pub fn get_as<'de, T: Deserialize<'de>>(&'de self, name: &str) -> Result<T, InvalidInput> {
        deserializer::read_one(name, self.get(name))
    }

    /// Reads all inputs as a struct by serde. The struct may borrow texts and files as `&str` and
    /// `&[u8]`. The types [`Image`](crate::Image), [`Audio`](crate::Audio), [`Video`](crate::Video)
    /// and [`File`](crate::File) share the bytes of the input.
    ///
    /// # Errors
    /// Returns an error if an input does not fit its field, or if an input is absent and its field
    /// is neither an `Option` nor has a default.
    pub fn deserialize<'de, T: Deserialize<'de>>(&'de self) -> Result<T, InvalidInput> {
        deserializer::read(&self.0)
    }

    /// Returns a required input of the type text, or a choice that is text.
    ///
    /// # Panics
    /// Panics if the schema does not declare a required text input of that name.
    #[must_use]
    #[track_caller]
    pub fn text(&self, name: &str) -> &str {
        self.require(name, "text", Value::as_text)
    }

    /// Returns the bytes of a required image, audio, video or file input.
    ///
    /// # Panics
    /// Panics if the schema does not declare a required file input of that name.
    #[must_use]
    #[track_caller]
    pub fn bytes(&self, name: &str) -> &[u8] {
        self.require(name, "bytes", |value| value.as_bytes().map(AsRef::as_ref))
    }

    /// Returns a required number or integer as the nearest float. Integers from 2^53 may be
    /// rounded; [`integer`](Inputs::integer) keeps them exact.
    ///
    /// # Panics
    /// Panics if the schema does not declare a required number of that name.
    #[must_use]
    #[track_caller]
    pub fn number(&self, name: &str) -> f64 {
        self.require(name, "number", |value| value.as_json().and_then(serde_json::Value::as_f64))
    }

    /// Returns a required integer. If it does not fit an `i64`, [`get`](Inputs::get) returns its
    /// digits, up to the range of floats. With `min` and `max` in the schema, integers outside
    /// these bounds are refused before they reach the model.
    ///
    /// # Errors
    /// Returns an error if the client gave an integer that does not fit an `i64`.
    ///
    /// # Panics
    /// Panics if the schema does not declare a required integer of that name.
    #[track_caller]
    pub fn integer(&self, name: &str) -> Result<i64, InvalidInput> {
        let number = self.require(name, "integer", number);
        number.as_i64().ok_or_else(|| beyond(name, INTEGER))
    }

    /// Returns a required boolean.
    ///
    /// # Panics
    /// Panics if the schema does not declare a required boolean of that name.
    #[must_use]
    #[track_caller]
    pub fn flag(&self, name: &str) -> bool {
        self.require(name, "boolean", |value| value.as_json().and_then(serde_json::Value::as_bool))
    }

    /// Returns the items of a required list of texts, or of choices that are text.
    ///
    /// # Panics
    /// Panics if the schema does not declare a required list of text of that name.
    #[must_use]
    #[track_caller]
    pub fn texts(&self, name: &str) -> Vec<&str> {
        self.require(name, "list of text", |value| match value {
            Value::List(items) => items.iter().map(Value::as_text).collect(),
            value => value.as_json()?.as_array()?.iter().map(serde_json::Value::as_str).collect(),
        })
    }

    /// Returns the bytes of each file in a required list of images, audio, video or files.
    ///
    /// # Panics
    /// Panics if the schema does not declare a required list of files of that name.
    #[must_use]
    #[track_caller]
    pub fn files(&self, name: &str) -> Vec<&[u8]> {
        self.require(name, "list of bytes", |value| match value {
            Value::List(items) => {
                items.iter().map(|item| item.as_bytes().map(AsRef::as_ref)).collect()
            }
            // An empty list has no bytes, so it is stored as JSON.
            value => value.as_json()?.as_array()?.is_empty().then(Vec::new),
        })
    }

    /// Returns the items of a required list of numbers or integers, each as the nearest float.
    ///
    /// # Errors
    /// Returns an error if the client gave a number beyond the range of floats.
    ///
    /// # Panics
    /// Panics if the schema does not declare a required list of numbers of that name.
    #[track_caller]
    pub fn numbers(&self, name: &str) -> Result<Vec<f64>, InvalidInput> {
        let numbers = self.require(name, "list of numbers", number_items);
        let read = |(index, number): (usize, &serde_json::Number)| {
            number.as_f64().ok_or_else(|| beyond(&format!("{name}[{index}]"), FLOAT))
        };
        numbers.into_iter().enumerate().map(read).collect()
    }

    /// Returns the items of a required list of integers.
    ///
    /// # Errors
    /// Returns an error if the client gave an integer that does not fit an `i64`.
    ///
    /// # Panics
    /// Panics if the schema does not declare a required list of integers of that name.
    #[track_caller]
    pub fn integers(&self, name: &str) -> Result<Vec<i64>, InvalidInput> {
        let numbers = self.require(name, "list of integers", number_items);
        let read = |(index, number): (usize, &serde_json::Number)| {
            number.as_i64().ok_or_else(|| beyond(&format!("{name}[{index}]"), INTEGER))
        };
        numbers.into_iter().enumerate().map(read).collect()
    }

    /// Returns the items of a required list of booleans.
    ///
    /// # Panics
    /// Panics if the schema does not declare a required list of booleans of that name.
    #[must_use]
    #[track_caller]
    pub fn flags(&self, name: &str) -> Vec<bool> {
        self.require(name, "list of booleans", |value| {
            value.as_json()?.as_array()?.iter().map(serde_json::Value::as_bool).collect()
        })
    }

    /// Returns all inputs with their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// Returns the inputs if every number is within the range of floats, so that the model can read
    /// each as an `f64`.
    pub(crate) fn checked(self) -> Result<Self, InvalidInput> {
        let beyond_floats = |value| number(value).is_some_and(|number| number.as_f64().is_none());
        let found = self.0.iter().find(|(_, value)| beyond_floats(value));
        if let Some((name, _)) = found { Err(beyond(name, FLOAT)) } else { Ok(self) }
    }

    #[track_caller]
    fn require<'a, T>(
        &'a self,
        name: &str,
        kind: &str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> T {
        let value = self.0.get(name).and_then(read);
        value.unwrap_or_else(|| panic!("the schema has no required {kind} input named {name:?}"))
    }
}

/// Returns the error for an integer that the Rust type cannot hold.
fn beyond(name: &str, holder: &str) -> InvalidInput {
    InvalidInput::new(name, format!("the integer does not fit {holder}"))
}

fn number_items(value: &Value) -> Option<Vec<&serde_json::Number>> {
    value.as_json()?.as_array()?.iter().map(serde_json::Value::as_number).collect()
}

fn number(value: &Value) -> Option<&serde_json::Number> {
    value.as_json().and_then(serde_json::Value::as_number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ai_integration_contract::number;

    #[test]
    fn each_list_method_returns_the_items_of_its_type() {
        let text = |text: &str| Value::Text(text.to_owned());
        let bytes = |bytes: &'static [u8]| Value::Bytes(bytes.into());
        let json = |json: &str| Value::Json(serde_json::from_str(json).unwrap());
        let wide = "9".repeat(400);
        let inputs = [
            ("texts", [text("a"), text("b")].into_iter().collect()),
            ("files", [bytes(b"\xff"), bytes(b"b")].into_iter().collect()),
            ("mixed", [bytes(b"\xff"), text("b")].into_iter().collect()),
            ("numbers", json("[1, 2.5]")),
            ("flags", json("[true, false]")),
            ("none", json("[]")),
            ("wide", json(&format!("[1, {wide}]"))),
        ];
        let inputs = inputs.map(|(name, value)| (name.to_owned(), value));
        let inputs = Inputs(Arc::new(inputs.into()));
        assert_eq!(inputs.texts("texts"), ["a", "b"]);
        assert_eq!(inputs.files("files"), [&b"\xff"[..], b"b"]);
        assert_eq!(inputs.numbers("numbers"), Ok(vec![1.0, 2.5]));
        assert_eq!(inputs.flags("flags"), [true, false]);
        assert!(inputs.files("none").is_empty() && inputs.texts("none").is_empty());
        assert_eq!(inputs.integers("none"), Ok(vec![]));
        let message = |error: InvalidInput| error.to_string();
        let wide = "wide[1]: the integer does not fit";
        assert_eq!(inputs.integers("wide").map_err(message), Err(format!("{wide} an i64")));
        assert_eq!(
            inputs.numbers("wide").map_err(message),
            Err(format!("{wide} a float of 64 bits"))
        );
        assert!(std::panic::catch_unwind(|| inputs.files("mixed").len()).is_err());
    }

    #[test]
    fn an_integer_is_exact_or_the_error_names_the_input() {
        let inputs = |text: &str| {
            let value = Value::Json(number::parse(text).unwrap().into());
            Inputs(Arc::new([("n".to_owned(), value)].into()))
        };
        for integer in [i64::MIN, -1, 0, (1 << 53) + 1, i64::MAX] {
            assert_eq!(inputs(&integer.to_string()).integer("n"), Ok(integer));
        }
        let wide = inputs("9223372036854775808");
        assert_eq!(
            wide.integer("n").unwrap_err().to_string(),
            "n: the integer does not fit an i64"
        );
        let nearest = (wide.number("n"), wide.checked().is_ok());
        assert_eq!(nearest, (9_223_372_036_854_775_808.0, true));
        let wider = inputs(&"1".repeat(400)).checked().unwrap_err().to_string();
        assert_eq!(wider, "n: the integer does not fit a float of 64 bits");
    }
}
