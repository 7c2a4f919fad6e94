//! Describes the addresses of the dialect in OpenAPI.

use ai_integration_contract::InputsSchema;
use serde_json::{Map, Value, json};

use crate::http::description::{self, Description, Encoding, content, failed, inputs};
use crate::http::dialects::kserve::request::{EVENT, VERSION};
use crate::http::models::{MODEL, MODELS};

pub(super) const PREDICT: &str = "/v1/models/{model}:predict";
/// An address that always refuses, and so is not described.
pub(super) const EXPLAIN: &str = "/v1/models/{model}:explain";

pub(super) fn describe(schema: &InputsSchema) -> Description {
    let list = answers("The model's id, for clients of KServe and of OpenAI", "KserveModels");
    let card = answers("The model is ready", "KserveModel");
    let predictions = answers(
        "A prediction for each instance: JSON, a text, or `{\"b64\": …, \"content_type\": …}`. An event \
         is answered with an event in the same mode.",
        "KservePredictions",
    );
    let mut predict = operation("kserve_predict", "Run the model on each instance", &predictions);
    predict["parameters"] = json!([model(), {"$ref": "#/components/parameters/Timeout"}]);
    predict["requestBody"] = json!({
        "required": true,
        "description": "The instances, or a CloudEvent with them. `inputs` is another name of \
                        `instances`. An instance that is not an object is the value of the only \
                        required input, and `{\"b64\": …}` has the bytes of an input.",
        "content": {
            "application/json": reference("KserveInstances"),
            EVENT: reference("KserveEvent"),
        },
    });
    let mut ready = operation("kserve_model", "Check that this model is ready", &card);
    ready["parameters"] = json!([model()]);
    let all = Description::default()
        .at(
            MODELS,
            "get",
            operation("kserve_models", "List the models: the one that is served", &list),
        )
        .at(MODEL, "get", ready)
        .at(PREDICT, "post", predict);
    schemas(schema).into_iter().fold(all, |all, (name, schema)| all.schema(&name, schema))
}

fn schemas(schema: &InputsSchema) -> Map<String, Value> {
    let instances =
        json!({"type": "array", "minItems": 1, "items": inputs(schema, Encoding::Json)});
    let text = json!({"type": "string", "minLength": 1});
    let card = json!({
        "id": text,
        "object": {"const": "model"},
        "created": {"type": "integer"},
        "owned_by": text,
    });
    let mut named = card.clone();
    named["name"] = text.clone();
    named["ready"] = json!({"const": true});
    let models = json!({
        "object": {"const": "list"},
        "data": {"type": "array", "items": object(&card)},
        "models": {"type": "array", "items": text},
    });
    let instances = object(&json!({"instances": instances}));
    let event = json!({
        "specversion": {"const": VERSION},
        "id": text,
        "source": text,
        "type": text,
        "data": {"$ref": "#/components/schemas/KserveInstances"},
    });
    let schemas = [
        ("KserveModels", object(&models)),
        ("KserveModel", object(&named)),
        ("KserveInstances", instances),
        ("KserveEvent", object(&event)),
        ("KservePredictions", object(&json!({"predictions": {"type": "array"}}))),
        ("InferenceError", object(&json!({"error": {"type": "string"}}))),
    ];
    schemas.map(|(name, schema)| (name.to_owned(), schema)).into_iter().collect()
}

/// Describes an object that has all these members, and no others.
fn object(properties: &Value) -> Value {
    let required: Vec<&String> = properties.as_object().into_iter().flat_map(Map::keys).collect();
    let required = json!(required);
    json!({
        "type": "object",
        "required": required,
        "properties": properties,
        "additionalProperties": false,
    })
}

fn operation(id: &str, summary: &str, success: &Value) -> Value {
    json!({
        "operationId": id,
        "summary": summary,
        "responses": {"200": success, "default": failed(&description::reference("InferenceError"))},
    })
}

/// Describes a response that is JSON of this schema.
fn answers(description: &str, schema: &str) -> Value {
    content(description, &json!({"application/json": reference(schema), EVENT: {}}))
}

fn reference(name: &str) -> Value {
    json!({"schema": description::reference(name)})
}

fn model() -> Value {
    json!({"name": "model", "in": "path", "required": true, "schema": {"type": "string"}})
}
