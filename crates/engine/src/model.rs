//! What is known of the model once it is ready.

use ai_integration_contract::InputsSchema;
use serde_json::Value as Json;

/// A usage mode that the model's own environment adds, run by its client and only listed here.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct CustomMode {
    /// The value of `MODE` that chooses it.
    pub name: String,
    /// A line on how to use it.
    #[serde(default)]
    pub hint: Option<String>,
}

/// What the author says of the model, for people. Whatever is not said is absent.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct About {
    /// What it is called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it does, in some sentences.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Which one it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Inputs to try, each an object of input names to values.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub examples: Vec<serde_json::Map<String, Json>>,
}

/// A model as it described itself with its first `get_next_input`.
#[derive(Clone, Debug, Default)]
pub struct Model {
    /// Its inputs.
    pub schema: InputsSchema,
    /// What its author says of it.
    pub about: About,
    /// How its results may be drawn; JSON's `null` when it did not say.
    pub visualizer_config: Json,
    /// Usage modes of its own environment.
    pub custom_modes: Vec<CustomMode>,
}

impl About {
    pub(crate) fn is_silent(&self) -> bool {
        *self == About::default()
    }
}
