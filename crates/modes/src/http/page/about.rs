//! What the server tells people of the model: what its author says, unless the operator knows better.

use ai_integration_contract::{Environment, Setting};
use ai_integration_engine::About;

/// The model's name.
pub(crate) static NAME: Setting = Setting {
    name: "AI_INTEGRATION_MODEL_NAME",
    flag: Some("model-name"),
    value_name: "TEXT",
    default: "",
    help: "What the page and the API call the model. By default what its author calls it.",
};

/// Its description.
pub(crate) static DESCRIPTION: Setting = Setting {
    name: "AI_INTEGRATION_MODEL_DESCRIPTION",
    flag: Some("model-description"),
    value_name: "TEXT",
    default: "",
    help: "What the page and the API say of the model. By default what its author says.",
};

/// Its version.
pub(crate) static VERSION: Setting = Setting {
    name: "AI_INTEGRATION_MODEL_VERSION",
    flag: Some("model-version"),
    value_name: "TEXT",
    default: "",
    help: "Which version of the model the page and the API name. By default the author's.",
};

/// All of them.
pub(crate) const SETTINGS: &[&Setting] = &[&NAME, &DESCRIPTION, &VERSION];

/// What the operator says; what is absent is the author's.
pub(crate) fn read(environment: &Environment) -> About {
    let text = |setting| environment.get(setting).map(str::to_owned);
    About {
        name: text(&NAME),
        description: text(&DESCRIPTION),
        version: text(&VERSION),
        examples: Vec::new(),
    }
}

/// Both together.
pub(crate) fn over(operator: &About, author: &About) -> About {
    let About { name, description, version, .. } = operator.clone();
    About {
        name: name.or_else(|| author.name.clone()),
        description: description.or_else(|| author.description.clone()),
        version: version.or_else(|| author.version.clone()),
        examples: author.examples.clone(),
    }
}
