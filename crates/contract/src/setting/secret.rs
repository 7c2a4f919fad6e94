//! Values that are never shown.

use std::fmt;

use super::declaration::SettingType;

/// A value that is never shown in errors or in debug output, and is removed from the model's
/// environment. In a declaration, `Secret<Text>` makes a setting secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret<T>(T);

impl<T> Secret<T> {
    /// Returns the value, for the code that needs it.
    #[must_use]
    pub fn expose(self) -> T {
        self.0
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("***")
    }
}

impl<T: SettingType> SettingType for Secret<T> {
    type Value = Secret<T::Value>;
    const VALUE_NAME: &'static str = "SECRET";
    const IS_SECRET: bool = true;

    fn read(text: &str) -> Result<Self::Value, String> {
        T::read(text).map(Secret)
    }
}
