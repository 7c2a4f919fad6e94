//! Values that nobody may see.

use std::fmt;

use super::declaration::SettingType;

/// A value that is shown to nobody: not in errors, not in a debugger's view, and not in the
/// environment of the model's program. In a declaration, `Secret<Text>` makes a setting one.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret<T>(T);

impl<T> Secret<T> {
    /// The value, for the one place that needs it.
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
