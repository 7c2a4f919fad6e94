//! The inputs of a job, by name.

use std::sync::Arc;

use ai_integration_contract::Value;

/// An integer that the model's numbers cannot hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name}: the integer does not fit {holder}")]
pub struct OutOfRange {
    name: String,
    holder: &'static str,
}

/// The inputs of one job. They have been held against the schema: a required input is there and
/// of its declared type.
#[derive(Clone, Debug)]
pub struct Inputs(pub(crate) Arc<ai_integration_contract::Inputs>);

impl Inputs {
    /// An input, or `None` when it is optional and was not given.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// A required input of type text, or a choice that is text.
    ///
    /// # Panics
    /// When the schema does not declare a required text input of that name.
    #[must_use]
    #[track_caller]
    pub fn text(&self, name: &str) -> &str {
        self.require(name, "text", Value::as_text)
    }

    /// The bytes of a required image, audio, video or file input.
    ///
    /// # Panics
    /// When the schema does not declare a required input of that name with bytes.
    #[must_use]
    #[track_caller]
    pub fn bytes(&self, name: &str) -> &[u8] {
        self.require(name, "bytes", |value| value.as_bytes().map(AsRef::as_ref))
    }

    /// A required number or integer, as the nearest float. Integers from 2^53 on may become others;
    /// [`integer`](Inputs::integer) keeps them.
    ///
    /// # Panics
    /// When the schema does not declare a required number of that name.
    #[must_use]
    #[track_caller]
    pub fn number(&self, name: &str) -> f64 {
        self.require(name, "number", |value| value.as_json().and_then(serde_json::Value::as_f64))
    }

    /// A required integer. Wider ones have their digits in [`get`](Inputs::get), up to the range of
    /// floats; `min` and `max` in the schema keep them away.
    ///
    /// # Errors
    /// The client gave one that does not fit.
    ///
    /// # Panics
    /// When the schema does not declare a required integer of that name.
    #[track_caller]
    pub fn integer(&self, name: &str) -> Result<i64, OutOfRange> {
        let number = self.require(name, "integer", number);
        number.as_i64().ok_or_else(|| OutOfRange { name: name.to_owned(), holder: "an i64" })
    }

    /// A required boolean.
    ///
    /// # Panics
    /// When the schema does not declare a required boolean of that name.
    #[must_use]
    #[track_caller]
    pub fn flag(&self, name: &str) -> bool {
        self.require(name, "boolean", |value| value.as_json().and_then(serde_json::Value::as_bool))
    }

    /// All inputs by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// Fails where a number is beyond the range of floats, so that any is one to the model.
    pub(crate) fn check(&self) -> Result<(), OutOfRange> {
        let beyond =
            self.iter().find(|(_, value)| number(value).is_some_and(|n| n.as_f64().is_none()));
        match beyond {
            Some((name, _)) => {
                Err(OutOfRange { name: name.to_owned(), holder: "a float of 64 bits" })
            }
            None => Ok(()),
        }
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

fn number(value: &Value) -> Option<&serde_json::Number> {
    value.as_json().and_then(serde_json::Value::as_number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ai_integration_contract::number;

    #[test]
    fn an_integer_is_itself_or_an_error_that_names_it() {
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
        assert_eq!((wide.number("n"), wide.check()), (9_223_372_036_854_775_808.0, Ok(())));
        let wider = inputs(&"1".repeat(400)).check().unwrap_err().to_string();
        assert_eq!(wider, "n: the integer does not fit a float of 64 bits");
    }
}
