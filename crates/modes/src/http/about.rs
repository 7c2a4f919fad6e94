//! The model's name, description, version and id. The operator's settings replace the author's
//! values.

use ai_integration_contract::setting::{SettingType, Text};
use ai_integration_contract::{Environment, SettingError, settings};
use ai_integration_engine::About;

settings! {
    /// The operator's name, description, version and id of the model.
    #[expect(clippy::struct_field_names, reason = "these are the names of the variables")]
    pub(crate) struct Settings under "Model" {
        /// The model's name on the page and in the API. By default the name in the program.
        model_name: Option<Text>,
        /// The model's description on the page and in the API. By default the description in the
        /// program.
        model_description: Option<Text>,
        /// The model's version on the page and in the API. By default the version in the program.
        model_version: Option<Text>,
        /// The model's id, by which clients of other protocols name it: up to 128 letters, digits,
        /// points, dashes and underscores. By default it is made from the model's name
        /// ("My OCR" becomes my-ocr); without a name it is model.
        model_id: Option<ModelId>,
    }
}

/// The id of a model that has neither an id nor a name.
const UNNAMED: &str = "model";
/// The version of a model that has none.
const UNVERSIONED: &str = "1";
/// The maximum length of an id in bytes.
const MAX_ID: usize = 128;

/// A model's id.
#[derive(Debug)]
pub(crate) struct ModelId;

impl SettingType for ModelId {
    type Value = String;
    const VALUE_NAME: &'static str = "ID";

    fn read(text: &str) -> Result<String, String> {
        let is_id = (1..=MAX_ID).contains(&text.len()) && text.bytes().all(is_allowed);
        if is_id { Ok(text.to_owned()) } else { Err(format!("1 to {MAX_ID} of A-Z a-z 0-9 . _ -")) }
    }
}

/// Returns true if an id may have this byte.
fn is_allowed(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._-".contains(&byte)
}

/// Makes an id from a model's name: in lower case, with one dash in the place of other characters.
fn slug(name: &str) -> String {
    let name = name.to_lowercase();
    let words =
        name.split(|character: char| !(character.is_ascii() && is_allowed(character as u8)));
    let mut id = words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join("-");
    id.truncate(MAX_ID);
    if id.is_empty() { UNNAMED.to_owned() } else { id }
}

/// The operator's texts about the model. A value that is not set is `None`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Operator {
    about: About,
    id: Option<String>,
}

impl Operator {
    /// Reads the operator's settings.
    pub(crate) fn read(environment: &Environment) -> Result<Self, SettingError> {
        let settings = Settings::read(environment)?;
        let about = About {
            name: settings.model_name,
            description: settings.model_description,
            version: settings.model_version,
            examples: Vec::new(),
        };
        Ok(Operator { about, id: settings.model_id })
    }

    /// Returns the operator's texts, and the author's for those that the operator did not set.
    pub(crate) fn about(&self, author: &About) -> About {
        let About { name, description, version, .. } = self.about.clone();
        About {
            name: name.or_else(|| author.name.clone()),
            description: description.or_else(|| author.description.clone()),
            version: version.or_else(|| author.version.clone()),
            examples: author.examples.clone(),
        }
    }

    /// Returns the model's version for clients that need one.
    pub(crate) fn version<'a>(&'a self, author: &'a About) -> &'a str {
        let version = self.about.version.as_ref().or(author.version.as_ref());
        version.map_or(UNVERSIONED, String::as_str)
    }

    /// Returns the model's id.
    pub(crate) fn id(&self, author: &About) -> String {
        self.id.clone().unwrap_or_else(|| {
            let name = self.about.name.as_ref().or(author.name.as_ref());
            name.map_or_else(|| UNNAMED.to_owned(), |name| slug(name))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_made_from_the_name() {
        for (name, id) in [
            ("My OCR", "my-ocr"),
            ("  Stable Diffusion (v1.5)! ", "stable-diffusion-v1.5"),
            ("Grün & Blau", "gr-n-blau"),
            ("日本", "model"),
            ("", "model"),
        ] {
            assert_eq!(slug(name), id, "{name}");
            assert!(ModelId::read(id).is_ok());
        }
        assert_eq!(slug(&"x".repeat(500)).len(), MAX_ID);
        for text in ["", "a/b", "a b", "ä", &"x".repeat(129)] {
            assert!(ModelId::read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_operator_names_the_model_before_the_author() {
        let author = About { name: Some("Their Name".to_owned()), ..About::default() };
        let mut operator = Operator::default();
        assert_eq!(operator.id(&About::default()), "model");
        assert_eq!(operator.id(&author), "their-name");
        operator.about.name = Some("Our Name".to_owned());
        assert_eq!(operator.id(&author), "our-name");
        operator.id = Some("ID".to_owned());
        assert_eq!(operator.id(&author), "ID");
        assert_eq!(operator.version(&author), "1");
        let author = About { version: Some("2.5".to_owned()), ..author };
        assert_eq!(operator.version(&author), "2.5");
        operator.about.version = Some("3".to_owned());
        assert_eq!(operator.version(&author), "3");
    }
}
