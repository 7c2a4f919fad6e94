//! Settings that are text: any text, paths, lists, and one word of several.

use std::marker::PhantomData;
use std::path::PathBuf;

use super::declaration::{Absent, LIST, SettingType};

/// Any text.
#[derive(Debug)]
pub struct Text;

impl SettingType for Text {
    type Value = String;
    const VALUE_NAME: &'static str = "TEXT";

    fn read(text: &str) -> Result<String, String> {
        Ok(text.to_owned())
    }
}

/// A text in any case. Its value is in lower case.
#[derive(Debug)]
pub struct Lowercase;

impl SettingType for Lowercase {
    type Value = String;
    const VALUE_NAME: &'static str = "TEXT";

    fn read(text: &str) -> Result<String, String> {
        Ok(text.to_ascii_lowercase())
    }
}

/// A setting that is on or off. Its flag needs no value.
#[derive(Debug)]
pub struct Switch;

impl SettingType for Switch {
    type Value = bool;
    const VALUE_NAME: &'static str = "0|1";
    const IMPLIED: Option<&'static str> = Some("1");

    fn choices() -> Vec<&'static str> {
        vec!["0", "1"]
    }

    fn read(text: &str) -> Result<bool, String> {
        match text.to_ascii_lowercase().as_str() {
            "1" | "true" | "yes" | "on" => Ok(true),
            "0" | "false" | "no" | "off" => Ok(false),
            _ => Err("1 or 0".to_owned()),
        }
    }
}

/// The path of a file.
#[derive(Debug)]
pub struct FilePath;

impl SettingType for FilePath {
    type Value = PathBuf;
    const VALUE_NAME: &'static str = "FILE";

    fn read(text: &str) -> Result<PathBuf, String> {
        Ok(text.into())
    }
}

/// A list of values that are separated by commas. If it is left out or empty, the list is empty.
#[derive(Debug)]
pub struct List<T>(PhantomData<T>);

impl<T: SettingType> SettingType for List<T> {
    type Value = Vec<T::Value>;
    const VALUE_NAME: &'static str = LIST;

    fn choices() -> Vec<&'static str> {
        T::choices()
    }

    fn read(text: &str) -> Result<Self::Value, String> {
        text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(T::read).collect()
    }
}

impl<T: SettingType> Absent for List<T> {
    fn absent() -> Self::Value {
        Vec::new()
    }
}

/// Declares an enum whose variants are the words that a setting can be:
///
/// ```
/// ai_integration_contract::choices! {
///     /// The detail that clients see.
///     #[derive(Clone, Copy, Debug)]
///     pub enum Wording {
///         /// Everything.
///         Full = "full",
///         /// The essentials.
///         Brief = "brief",
///     }
/// }
/// ```
#[macro_export]
macro_rules! choices {
    (
        $(#[$attribute:meta])*
        $visibility:vis enum $choice:ident {
            $(#[$first_attribute:meta])* $first:ident = $first_word:literal
            $(, $(#[$other_attribute:meta])* $other:ident = $other_word:literal)* $(,)?
        }
    ) => {
        $(#[$attribute])*
        $visibility enum $choice {
            $(#[$first_attribute])* $first,
            $($(#[$other_attribute])* $other),*
        }

        impl $crate::setting::SettingType for $choice {
            type Value = Self;
            const VALUE_NAME: &'static str = concat!($first_word $(, "|", $other_word)*);

            fn choices() -> ::std::vec::Vec<&'static str> {
                ::std::vec![$first_word $(, $other_word)*]
            }

            fn read(text: &str) -> ::std::result::Result<Self, ::std::string::String> {
                match text {
                    $first_word => Ok($choice::$first),
                    $($other_word => Ok($choice::$other),)*
                    _ => Err(<Self as $crate::setting::SettingType>::choices().join(" or ")),
                }
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::choices! {
        #[derive(Debug, PartialEq)]
        enum Wording { Full = "full", Brief = "brief" }
    }

    #[test]
    fn a_choice_is_one_of_its_words() {
        assert_eq!(Wording::read("brief"), Ok(Wording::Brief));
        assert_eq!(Wording::read("Full"), Err("full or brief".to_owned()));
        assert_eq!((Wording::VALUE_NAME, Wording::choices().len()), ("full|brief", 2));
    }

    #[test]
    fn a_switch_is_on_or_off() {
        assert_eq!(["1", "True", "on"].map(Switch::read), [Ok(true), Ok(true), Ok(true)]);
        assert_eq!(["0", "no", "OFF"].map(Switch::read), [Ok(false), Ok(false), Ok(false)]);
        assert_eq!(Switch::read("2"), Err("1 or 0".to_owned()));
    }

    #[test]
    fn a_list_has_the_values_between_commas() {
        let read = List::<Lowercase>::read;
        assert_eq!(read("a, B,,c ,"), Ok(["a", "b", "c"].map(str::to_owned).to_vec()));
        assert_eq!(read(","), Ok(Vec::new()));
        assert_eq!(List::<Wording>::read("full, x"), Err("full or brief".to_owned()));
    }
}
