//! Writes the result of a call: the model's result as blocks of content, or the reason of a failure as
//! text, so that an agent can correct its call.

use ai_integration_contract::{Data, Error, Kind, Outcome};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue as JsonText;
use serde_json::{Map, Value as Json};
use uuid::Uuid;

/// The content type of a result to which the model gave none.
const ANY: &str = "application/octet-stream";

/// The parts of a result that depend on the version of the protocol and on the tool.
#[derive(Clone, Debug, Default)]
pub(crate) struct ResultFormat {
    /// True if the tool has a schema of its structured result.
    pub(crate) has_schema: bool,
    /// True if a structured result may be any JSON. It is an object otherwise.
    pub(crate) takes_any_json: bool,
    /// The members that the result has in addition.
    pub(crate) additions: Map<String, Json>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CallToolResult<'a> {
    content: Vec<Block<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    structured_content: Option<Box<JsonText>>,
    is_error: bool,
    #[serde(flatten)]
    additions: &'a Map<String, Json>,
}

/// A part of a result.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase", rename_all_fields = "camelCase")]
enum Block<'a> {
    Text { text: &'a str },
    Image { data: String, mime_type: &'a str },
    Audio { data: String, mime_type: &'a str },
    Resource { resource: Resource<'a> },
}

/// A file that is neither a picture nor a sound.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Resource<'a> {
    uri: String,
    mime_type: &'a str,
    blob: String,
}

/// Writes a successful result of the model.
///
/// # Errors
/// The result has not the format that the model's author declares.
pub(crate) fn success(outcome: &Outcome, format: &ResultFormat) -> Result<String, Error> {
    let content_type = outcome.content_type.as_deref().filter(|given| !given.is_empty());
    let media = match outcome.media_type() {
        media if media.is_empty() => ANY.to_owned(),
        media => media,
    };
    let is_json = outcome.is_json() || matches!(outcome.data, Data::Json(_));
    let text = outcome.data.as_text().filter(|_| is_json || media.starts_with("text/"));
    let structured = text.filter(|_| is_json).and_then(|text| structured(text, format));
    if format.has_schema && structured.is_none() {
        let message = format!(
            "the model's result is {}, but its author declares JSON of a schema that this protocol \
             sends as structured content",
            content_type.unwrap_or("of no content type")
        );
        return Err(Error::new(Kind::ModelFailed, message));
    }
    let content = match (&outcome.data, text) {
        (Data::None, _) => Vec::new(),
        (_, Some(text)) => vec![Block::Text { text }],
        (Data::List(list), None) => list.iter().map(|file| Block::file(&media, file)).collect(),
        (data, None) => vec![Block::file(&media, &data.clone().into_bytes())],
    };
    let result = CallToolResult {
        content,
        structured_content: structured,
        is_error: false,
        additions: &format.additions,
    };
    written(&result)
}

/// Writes a failure with its reason.
pub(crate) fn failure(reason: &str, format: &ResultFormat) -> Result<String, Error> {
    written(&CallToolResult {
        content: vec![Block::Text { text: reason }],
        structured_content: None,
        is_error: true,
        additions: &format.additions,
    })
}

fn written(result: &CallToolResult<'_>) -> Result<String, Error> {
    let unwritable = |error| Error::new(Kind::ModelFailed, format!("the result: {error}"));
    serde_json::to_string(result).map_err(unwritable)
}

/// Returns the JSON as the model wrote it, if this format can have it.
fn structured(text: &str, format: &ResultFormat) -> Option<Box<JsonText>> {
    let text = text.trim();
    let fits = format.takes_any_json || text.starts_with('{');
    // A message is one line. Line breaks are never inside the strings of JSON.
    let line = text.replace(['\n', '\r'], " ");
    JsonText::from_string(line).ok().filter(|_| fits)
}

impl<'a> Block<'a> {
    fn file(media: &'a str, bytes: &Bytes) -> Self {
        let data = BASE64_STANDARD.encode(bytes);
        match media.split('/').next() {
            Some("image") => Block::Image { data, mime_type: media },
            Some("audio") => Block::Audio { data, mime_type: media },
            _ => {
                let uri = format!("urn:uuid:{}", Uuid::new_v4());
                Block::Resource { resource: Resource { uri, mime_type: media, blob: data } }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn content(outcome: &Outcome, format: &ResultFormat) -> Json {
        serde_json::from_str(&success(outcome, format).unwrap()).unwrap()
    }

    #[test]
    fn a_result_is_text_a_picture_a_sound_or_a_resource() {
        let png = json!({"type": "image", "data": "iVBORw==", "mimeType": "image/png"});
        let bytes = Bytes::from_static(b"\x89PNG");
        for (outcome, blocks) in [
            (Outcome::text("a\nb"), json!([{"type": "text", "text": "a\nb"}])),
            (Outcome::bytes("Text/HTML; a=b", "<p>"), json!([{"type": "text", "text": "<p>"}])),
            (Outcome::bytes("image/png", bytes.clone()), json!([png])),
            (Outcome::list("image/png", vec![bytes; 2]), json!([png, png])),
            (
                Outcome::bytes("audio/wav", "RIFF"),
                json!([{"type": "audio", "data": "UklGRg==", "mimeType": "audio/wav"}]),
            ),
            (Outcome { success: true, ..Outcome::default() }, json!([])),
        ] {
            let expected = json!({"content": blocks, "isError": false});
            assert_eq!(content(&outcome, &ResultFormat::default()), expected);
        }
        for (media, shown) in
            [("application/pdf", "application/pdf"), ("", ANY), ("text/x", "text/x")]
        {
            let result = content(&Outcome::bytes(media, &b"\xff"[..]), &ResultFormat::default());
            let resource = &result["content"][0]["resource"];
            assert_eq!((&resource["blob"], &resource["mimeType"]), (&json!("/w=="), &json!(shown)));
            assert!(resource["uri"].as_str().unwrap().starts_with("urn:uuid:"));
        }
    }

    #[test]
    fn json_is_text_and_structured_content() {
        let any = ResultFormat { takes_any_json: true, ..ResultFormat::default() };
        let object = "{\"a\":\n [1.50,\r\n\"\\n\"]}";
        let outcome = Outcome::bytes("application/json", object);
        let written = success(&outcome, &ResultFormat::default()).unwrap();
        assert!(written.contains(r#""structuredContent":{"a":  [1.50,  "\n"]}"#), "{written}");
        assert!(!written.contains('\n'));
        assert_eq!(content(&outcome, &any)["content"][0]["text"], object);
        let list = Outcome::json([1, 2]);
        assert_eq!(content(&list, &ResultFormat::default()).get("structuredContent"), None);
        assert_eq!(content(&list, &any)["structuredContent"], json!([1, 2]));
        let schema = ResultFormat { has_schema: true, ..any };
        assert!(success(&list, &schema).is_ok());
        let error = success(&Outcome::text("1"), &schema).unwrap_err();
        assert!(error.message.starts_with("the model's result is text/plain"), "{error}");
    }

    #[test]
    fn a_failure_is_text() {
        let additions = Map::from_iter([("resultType".to_owned(), "complete".into())]);
        let format = ResultFormat { additions, ..ResultFormat::default() };
        assert_eq!(
            failure("too \"dark\"\n", &format).unwrap(),
            r#"{"content":[{"type":"text","text":"too \"dark\"\n"}],"isError":true,"resultType":"complete"}"#
        );
    }
}
