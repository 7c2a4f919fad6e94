//! The inputs of a job, by name.

use std::sync::Arc;

use ai_integration_contract::Value;

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

    /// A required number or integer.
    ///
    /// # Panics
    /// When the schema does not declare a required number of that name.
    #[must_use]
    #[track_caller]
    pub fn number(&self, name: &str) -> f64 {
        self.require(name, "number", |value| value.as_json().and_then(serde_json::Value::as_f64))
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
