//! Describes the addresses of the tasks other than chat in OpenAPI.

use ai_integration_contract::Task;
use ai_integration_engine::Model;
use serde_json::{Value, json};

use crate::http::description::{Description, content, failed, reference};
use crate::http::dialects::openai::description::ERROR;

pub(super) const EMBEDDINGS: &str = "/v1/embeddings";
pub(super) const TRANSCRIPTIONS: &str = "/v1/audio/transcriptions";
pub(super) const TRANSLATIONS: &str = "/v1/audio/translations";
pub(super) const SPEECH: &str = "/v1/audio/speech";
pub(super) const GENERATIONS: &str = "/v1/images/generations";
pub(super) const EDITS: &str = "/v1/images/edits";
pub(super) const VARIATIONS: &str = "/v1/images/variations";
const JSON: &str = "application/json";
const FORM: &str = "multipart/form-data";

/// Describes the addresses of the model's tasks. Further members of a request are inputs if the schema
/// has them.
pub(super) fn describe(model: &Model) -> Description {
    let operations: [(Task, Vec<Operation>); 4] = [
        (Task::Embedding, vec![embeddings()]),
        (Task::Transcription, transcriptions().into()),
        (Task::Speech, vec![speech()]),
        (Task::Image, images().into()),
    ];
    let served = operations.into_iter().filter(|(task, _)| model.tasks.has(*task));
    let served = served.flat_map(|(_, operations)| operations);
    served.fold(Description::default(), |all, operation| {
        all.at(operation.address, "post", operation.describe())
    })
}

/// An operation of an address.
struct Operation {
    address: &'static str,
    id: &'static str,
    summary: &'static str,
    /// The media type of the body, and the members of the object or the form that it is.
    body: (&'static str, Value),
    required: &'static str,
    answer: &'static str,
    /// The media types of the answer.
    types: Value,
}

impl Operation {
    fn describe(self) -> Value {
        let (media, properties) = self.body;
        let schema =
            json!({"type": "object", "required": [self.required], "properties": properties});
        json!({
            "operationId": self.id,
            "summary": self.summary,
            "parameters": [{"$ref": "#/components/parameters/Timeout"}],
            "requestBody": {"required": true, "content": {media: {"schema": schema}}},
            "responses": {"200": content(self.answer, &self.types), "default": failed(&reference(ERROR))},
        })
    }
}

fn embeddings() -> Operation {
    let texts = json!({"type": "array", "items": {"type": "string"}, "minItems": 1});
    let members = json!({
        "input": {"anyOf": [{"type": "string"}, texts]},
        "encoding_format": {"enum": ["float", "base64", null]},
    });
    Operation {
        address: EMBEDDINGS,
        id: "openai_embeddings",
        summary: "Embed texts",
        body: (JSON, members),
        required: "input",
        answer: "The embeddings, in the order of the texts",
        types: json!({JSON: {"schema": {"type": "object"}}}),
    }
}

fn transcriptions() -> [Operation; 2] {
    let operation = |address, id, summary| Operation {
        address,
        id,
        summary,
        body: (
            FORM,
            json!({
                "file": file(),
                "response_format": {"enum": ["json", "text", "verbose_json", "srt", "vtt"]},
                "stream": {"type": "boolean"},
            }),
        ),
        required: "file",
        answer: "The text, or with `stream` its events",
        types: json!({
            JSON: {"schema": {"type": "object"}},
            "text/plain": {"schema": {"type": "string"}},
            "text/event-stream": {"schema": {"type": "string"}},
        }),
    };
    [
        operation(TRANSCRIPTIONS, "openai_transcription", "Write down a recording"),
        operation(TRANSLATIONS, "openai_translation", "Write down a recording in English"),
    ]
}

fn speech() -> Operation {
    Operation {
        address: SPEECH,
        id: "openai_speech",
        summary: "Speak a text",
        body: (JSON, json!({"input": {"type": "string"}})),
        required: "input",
        answer: "The sound, under the content type that the model gives it",
        types: json!({"*/*": {"schema": {}}}),
    }
}

fn images() -> [Operation; 3] {
    let operation = |address, id, summary, body, required| Operation {
        address,
        id,
        summary,
        body,
        required,
        answer: "The pictures in base64, or as `data:` URLs, or with `stream` the events of pictures",
        types: json!({
            JSON: {"schema": {"type": "object"}},
            "text/event-stream": {"schema": {"type": "string"}},
        }),
    };
    let text = json!({
        "prompt": {"type": "string"},
        "n": {"type": "integer", "minimum": 1},
        "response_format": {"enum": ["b64_json", "url"]},
        "stream": {"type": "boolean"},
    });
    let mut form = text.clone();
    form["image"] = json!({"type": "array", "items": file(), "minItems": 1});
    form["mask"] = file();
    let summaries = [
        "Make pictures from a text",
        "Change pictures by a text",
        "Make pictures that resemble one",
    ];
    [
        operation(GENERATIONS, "openai_image", summaries[0], (JSON, text), "prompt"),
        operation(EDITS, "openai_image_edit", summaries[1], (FORM, form.clone()), "image"),
        operation(VARIATIONS, "openai_image_variation", summaries[2], (FORM, form), "image"),
    ]
}

fn file() -> Value {
    json!({"type": "string", "contentMediaType": "application/octet-stream"})
}
