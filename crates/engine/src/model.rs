//! What is known of the model once it is ready.

use ai_integration_contract::InputsSchema;
use serde_json::Value as Json;

use crate::Ready;

/// A usage mode that the model's own environment adds, run by its client and only listed here.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct CustomMode {
    /// The value of `MODE` that chooses it.
    pub name: String,
    /// A line on how to use it.
    #[serde(default)]
    pub hint: Option<String>,
}

/// A model as it described itself with its first `get_next_input`.
#[derive(Clone, Debug, Default)]
pub struct Model {
    /// Its inputs.
    pub schema: InputsSchema,
    /// How its results may be drawn; JSON's `null` when it did not say.
    pub visualizer_config: Json,
    /// Usage modes of its own environment.
    pub custom_modes: Vec<CustomMode>,
}

impl Model {
    /// Reads the description, and tells what in it was not understood.
    pub(crate) fn describe(ready: Ready) -> (Self, Vec<String>) {
        let (schema, mut warnings) = InputsSchema::parse(&ready.inputs_schema);
        if ready.inputs_schema.is_null() {
            warnings.push("the model gave no inputs schema; it is taken as empty".to_owned());
        }
        let model =
            Model { schema, visualizer_config: ready.visualizer_config, custom_modes: ready.modes };
        (model, warnings)
    }
}
