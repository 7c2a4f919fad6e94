//! The model's name, description and version. The operator's settings replace the author's values.

use ai_integration_contract::setting::Text;
use ai_integration_contract::{Environment, SettingError, settings};
use ai_integration_engine::About;

settings! {
    /// The operator's name, description and version of the model.
    #[expect(clippy::struct_field_names, reason = "these are the names of the variables")]
    pub(crate) struct Settings under "Model" {
        /// The model's name on the page and in the API. By default the name in the program.
        model_name: Option<Text>,
        /// The model's description on the page and in the API. By default the description in the
        /// program.
        model_description: Option<Text>,
        /// The model's version on the page and in the API. By default the version in the program.
        model_version: Option<Text>,
    }
}

/// Reads the operator's settings. A value that is not set is `None`.
pub(crate) fn read(environment: &Environment) -> Result<About, SettingError> {
    let settings = Settings::read(environment)?;
    Ok(About {
        name: settings.model_name,
        description: settings.model_description,
        version: settings.model_version,
        examples: Vec::new(),
    })
}

/// Returns the operator's values, and the author's for those that the operator did not set.
pub(crate) fn merge(operator: &About, author: &About) -> About {
    let About { name, description, version, .. } = operator.clone();
    About {
        name: name.or_else(|| author.name.clone()),
        description: description.or_else(|| author.description.clone()),
        version: version.or_else(|| author.version.clone()),
        examples: author.examples.clone(),
    }
}
