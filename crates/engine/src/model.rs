//! The model's description of itself, which the engine has once a worker is ready.

use ai_integration_contract::{InputsSchema, Outputs, Tasks};
use serde_json::Value as Json;

/// A custom mode of the model. The Python package runs it; the engine only lists it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct CustomMode {
    /// The value of `MODE` that chooses it.
    pub name: String,
    /// One line that tells users how to run this mode.
    #[serde(default)]
    pub hint: Option<String>,
}

/// The author's texts about the model, for people. A text that the author did not write is absent.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct About {
    /// The model's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A description of what the model does, in a few sentences.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The model's version, in the author's own scheme.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Example requests, each an object that maps input names to values.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub examples: Vec<serde_json::Map<String, Json>>,
}

/// A model as it describes itself in its first call of `get_next_input`.
#[derive(Clone, Debug, Default)]
pub struct Model {
    /// The inputs schema.
    pub schema: InputsSchema,
    /// The author's texts about the model.
    pub about: About,
    /// The author's declaration of the results.
    pub outputs: Outputs,
    /// The tasks of the model.
    pub tasks: Tasks,
    /// Hints for programs that draw the results; JSON's `null` if the model gives none.
    pub visualizer_config: Json,
    /// The model's custom modes.
    pub custom_modes: Vec<CustomMode>,
}

impl About {
    /// Returns true if the author wrote no text.
    pub(crate) fn is_empty(&self) -> bool {
        *self == About::default()
    }
}
