//! Describes the server, and the model as its one tool.

use ai_integration_engine::Model;
use serde_json::{Map, Value as Json, json};

use crate::http::app::App;
use crate::http::description::{Encoding, inputs};
use crate::mcp::version::Era;

/// The name of the server software.
const SERVER: &str = "ai-integration";
/// The time for which a client may keep a list, in milliseconds. A new version of the program may
/// have other inputs.
const LIFETIME: u32 = 60_000;
/// The member of a result's `_meta` that names the server.
const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";

/// Describes the server software.
pub(crate) fn server_info() -> Json {
    json!({"name": SERVER, "version": env!("CARGO_PKG_VERSION")})
}

/// Describes what the server can do: it has tools.
pub(crate) fn capabilities() -> Json {
    json!({"tools": {}})
}

/// Returns the members that a result has in addition in this era.
pub(crate) fn additions(era: Era) -> Map<String, Json> {
    let mut additions = Map::new();
    if era == Era::Stateless {
        additions.insert("resultType".to_owned(), "complete".into());
        additions.insert("_meta".to_owned(), json!({SERVER_INFO: server_info()}));
    }
    additions
}

/// Returns the members that tell clients how long they may keep a list or a description.
pub(crate) fn lifetime(app: &App, era: Era) -> Map<String, Json> {
    let mut members = Map::new();
    if era == Era::Stateless {
        let lifetime = if app.is_watched() { 0 } else { LIFETIME };
        let scope = if app.needs_token() { "private" } else { "public" };
        members.insert("ttlMs".to_owned(), lifetime.into());
        members.insert("cacheScope".to_owned(), scope.into());
    }
    members
}

/// Describes the model as a tool.
pub(crate) fn describe(app: &App, model: &Model, era: Era) -> Json {
    let about = app.about(model);
    let id = app.model_id(model);
    let description = about.description.unwrap_or_else(|| {
        let name = about.name.as_deref().unwrap_or(&id);
        format!("Runs the model {name} on its inputs.")
    });
    let mut tool = json!({
        "name": id,
        "description": description,
        "inputSchema": input_schema(model),
    });
    if let Some(name) = about.name {
        tool["title"] = name.into();
    }
    if let Some(schema) = output_schema(model, era) {
        tool["outputSchema"] = schema.clone();
    }
    tool
}

/// Returns the schema of the tool's structured result. Before 2026-07-28 this can only be an object.
pub(crate) fn output_schema(model: &Model, era: Era) -> Option<&Json> {
    let schema = model.outputs.schema()?;
    (era == Era::Stateless || schema["type"] == "object").then_some(schema)
}

/// Describes the inputs. Language models read the descriptions, so that of a file says how it is sent.
fn input_schema(model: &Model) -> Json {
    let mut schema = inputs(&model.schema, Encoding::Json);
    if let Some(keywords) = schema.as_object_mut() {
        // Some agents refuse tools whose schemas have other keywords than the usual ones.
        keywords.shift_remove("propertyNames");
        keywords.shift_remove("additionalProperties");
    }
    let Some(properties) = schema["properties"].as_object_mut() else { return schema };
    for property in properties.values_mut() {
        let is_file = property.get("contentEncoding").is_some()
            || property.pointer("/items/contentEncoding").is_some();
        if is_file {
            let given = property["description"].as_str().unwrap_or_default().trim_end();
            let dot = if given.is_empty() || given.ends_with(['.', '!', '?']) { "" } else { "." };
            let described = format!("{given}{dot} A file, as base64 or as a data: URL.");
            property["description"] = described.trim_start().into();
        }
    }
    schema
}

#[cfg(test)]
mod tests {
    use ai_integration_contract::{InputsSchema, Outputs};

    use super::*;

    #[test]
    fn the_inputs_are_described_for_language_models() {
        let (schema, _) = InputsSchema::parse(&json!({
            "photo": {"type": "image", "description": "The photo to read"},
            "others": {"type": "file", "list": true, "required": false},
            "words": {"type": "integer", "max": 9, "default": 5},
        }));
        let model = Model { schema, ..Model::default() };
        let file = "A file, as base64 or as a data: URL.";
        assert_eq!(
            input_schema(&model),
            json!({
                "type": "object",
                "properties": {
                    "photo": {
                        "type": "string",
                        "contentEncoding": "base64",
                        "contentMediaType": "image/*",
                        "description": format!("The photo to read. {file}"),
                    },
                    "others": {
                        "type": "array",
                        "items": {
                            "type": "string",
                            "contentEncoding": "base64",
                            "contentMediaType": "*/*",
                        },
                        "description": file,
                    },
                    "words": {"type": "integer", "maximum": 9, "default": 5},
                },
                "required": ["photo"],
            })
        );
    }

    #[test]
    fn older_clients_get_only_schemas_of_objects() {
        let model = |schema: &Json| Model {
            outputs: Outputs::parse(&json!({"schema": schema})),
            ..Model::default()
        };
        let (object, list) = (json!({"type": "object"}), json!({"type": "array"}));
        for (schema, older) in [(&object, Some(&object)), (&list, None)] {
            let model = model(schema);
            assert_eq!(output_schema(&model, Era::Handshake), older);
            assert_eq!(output_schema(&model, Era::Stateless), Some(schema));
        }
        assert_eq!(output_schema(&Model::default(), Era::Stateless), None);
    }
}
