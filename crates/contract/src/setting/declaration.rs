//! A setting's description, and the trait of the types that its value can have.

use super::error::SettingError;

/// The start of every setting's name, unless the setting follows another convention.
pub(super) const PREFIX: &str = "AI_INTEGRATION_";

/// The placeholder for a list in help texts.
pub(super) const LIST: &str = "LIST";

/// A setting: an environment variable, which usually has a flag of `ai-integration run`.
///
/// [`settings!`](crate::settings) makes these. A declaration there can set each field.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// The environment variable.
    pub name: &'static str,
    /// Former names of the variable. They still work, with a warning.
    pub was: &'static [&'static str],
    /// The flag without its dashes; `None` if the setting has only a variable.
    pub flag: Option<&'static str>,
    /// The placeholder for the value in help texts.
    pub value_name: &'static str,
    /// The default as a user would write it; empty if there is none.
    pub default: &'static str,
    /// The value of the flag without a value; `None` if the flag needs one.
    pub implied: Option<&'static str>,
    /// One or two sentences on what the setting does.
    pub help: &'static str,
    /// The heading of the setting in the help and on the reference page.
    pub heading: &'static str,
    /// True if the value is never shown, and is removed from the model's environment.
    pub is_secret: bool,
    /// True if an empty value is an error; otherwise an empty value means the default. This is for
    /// settings whose default leaves the server open or without a limit. With `TOKEN=$SECRET` an
    /// unset shell variable would otherwise open the server unnoticed.
    pub refuses_empty: bool,
    /// Returns the words that the value can be, for shell completion; empty if it can be anything.
    pub choices: fn() -> Vec<&'static str>,
}

impl Setting {
    /// Creates a setting of the type `T` from its names, default, help and heading.
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

    /// Returns the variable's name, followed by its former names.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + use<> {
        std::iter::once(self.name).chain(self.was.iter().copied())
    }

    /// Returns the words that a list may contain, as a sentence; empty if it may contain anything.
    /// The placeholder of a setting that is one of several words has these words already.
    #[must_use]
    pub fn listed_words(&self) -> String {
        let words = (self.choices)();
        if self.value_name != LIST || words.is_empty() {
            return String::new();
        }
        format!(" Any of: {}.", words.join(", "))
    }

    /// Returns the flags of the former names, each with its variable.
    pub fn former_flags(&self) -> impl Iterator<Item = (String, &'static str)> + use<> {
        let former = if self.flag.is_some() { self.was } else { &[] };
        former.iter().map(|name| {
            let flag = name.trim_start_matches(PREFIX).to_ascii_lowercase().replace('_', "-");
            (flag, *name)
        })
    }

    /// Returns the error for a value of this setting. The reason describes a valid value.
    #[must_use]
    pub fn invalid(&self, value: &str, reason: impl Into<String>) -> SettingError {
        self.invalid_as(self.name, value, reason)
    }

    /// Returns the error for a value that was given under `name`, which can be a former name.
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
    /// The type of the value in the program.
    type Value;
    /// The placeholder for the value in help texts.
    const VALUE_NAME: &'static str;
    /// The value of a flag without a value; `None` if the flag needs one.
    const IMPLIED: Option<&'static str> = None;
    /// True if the value is never shown, and is removed from the model's environment.
    const IS_SECRET: bool = false;

    /// Returns the words that the value can be, for shell completion; empty if it can be anything.
    #[must_use]
    fn choices() -> Vec<&'static str> {
        Vec::new()
    }

    /// Reads a value that a user wrote. The error describes a valid value, with an example if that
    /// helps: `a whole number from 1 to 256`.
    fn read(text: &str) -> Result<Self::Value, String>;
}

/// A type whose setting can be left out without a default.
pub trait Absent: SettingType {
    /// Returns the value of a setting that is left out.
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
