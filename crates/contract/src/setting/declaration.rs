//! Describes a setting, and the types that its value can have.

use super::error::SettingError;

/// The start of every setting's name, unless it follows a convention of others.
pub(super) const PREFIX: &str = "AI_INTEGRATION_";

/// One setting: an environment variable which is also a flag of `ai-integration run`.
///
/// [`settings!`](crate::settings) makes these; each of the fields can be given there.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// The environment variable.
    pub name: &'static str,
    /// Names that the variable had. They still count, with a warning.
    pub was: &'static [&'static str],
    /// The flag without its dashes; none for a setting that is only a variable.
    pub flag: Option<&'static str>,
    /// The placeholder for the value in help texts.
    pub value_name: &'static str,
    /// The value when nobody sets it, as it would be written; empty for none.
    pub default: &'static str,
    /// The value that the flag gives where it stands alone, if it can.
    pub implied: Option<&'static str>,
    /// A sentence or two on what the setting does.
    pub help: &'static str,
    /// The heading under which help and reference page show it.
    pub heading: &'static str,
    /// True for a value that is shown to nobody, and kept from the model's program.
    pub is_secret: bool,
    /// True where an empty value is refused instead of counting as none: without a value the server
    /// is open, or without a limit, and an unset variable behind it must not do that unnoticed.
    pub refuses_empty: bool,
    /// Lists the words that the value can be, for shells to complete; none where it is open.
    pub choices: fn() -> Vec<&'static str>,
}

impl Setting {
    /// A setting of the type `T`, with all that follows from the names which a declaration has.
    #[must_use]
    pub const fn of<T: SettingType>(
        name: &'static str,
        flag: &'static str,
        default: &'static str,
        help: &'static str,
        heading: &'static str,
    ) -> Self {
        Setting {
            name,
            was: &[],
            flag: Some(flag),
            value_name: T::VALUE_NAME,
            default,
            implied: T::IMPLIED,
            help,
            heading,
            is_secret: T::IS_SECRET,
            refuses_empty: false,
            choices: T::choices,
        }
    }

    /// The variable's name, then those that it had.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + use<> {
        std::iter::once(self.name).chain(self.was.iter().copied())
    }

    /// The flags of the names that the setting had, each with its variable.
    pub fn former_flags(&self) -> impl Iterator<Item = (String, &'static str)> + use<> {
        let former = if self.flag.is_some() { self.was } else { &[] };
        former.iter().map(|name| {
            let flag = name.trim_start_matches(PREFIX).to_ascii_lowercase().replace('_', "-");
            (flag, *name)
        })
    }

    /// The error for a value of this setting: the reason says what would fit.
    #[must_use]
    pub fn invalid(&self, value: &str, reason: impl Into<String>) -> SettingError {
        self.invalid_as(self.name, value, reason)
    }

    /// The error for a value that was given under `name`, which may be one that the setting had.
    pub(super) fn invalid_as(
        &self,
        name: &'static str,
        value: &str,
        reason: impl Into<String>,
    ) -> SettingError {
        let value = if self.is_secret { "***" } else { value };
        SettingError::Invalid { name, value: value.to_owned(), reason: reason.into() }
    }
}

/// A type that a setting's value can have in a declaration.
pub trait SettingType {
    /// The value as the program works with it.
    type Value;
    /// The placeholder for the value in help texts.
    const VALUE_NAME: &'static str;
    /// The value that a flag gives where it stands alone, if it can.
    const IMPLIED: Option<&'static str> = None;
    /// True for a value that is shown to nobody, and kept from the model's program.
    const IS_SECRET: bool = false;

    /// Lists the words that the value can be, for shells to complete; none where it is open.
    #[must_use]
    fn choices() -> Vec<&'static str> {
        Vec::new()
    }

    /// Reads a value as a person wrote it. The error says what was expected instead, with an
    /// example where that helps: `a whole number from 1 to 256`.
    fn read(text: &str) -> Result<Self::Value, String>;
}

/// A type whose setting can be left out without a default.
pub trait Absent: SettingType {
    /// The value of a setting that nobody sets.
    fn absent() -> Self::Value;
}

impl<T: SettingType> SettingType for Option<T> {
    type Value = Option<T::Value>;
    const VALUE_NAME: &'static str = T::VALUE_NAME;
    const IS_SECRET: bool = T::IS_SECRET;

    fn choices() -> Vec<&'static str> {
        T::choices()
    }

    fn read(text: &str) -> Result<Self::Value, String> {
        T::read(text).map(Some)
    }
}

impl<T: SettingType> Absent for Option<T> {
    fn absent() -> Self::Value {
        None
    }
}
