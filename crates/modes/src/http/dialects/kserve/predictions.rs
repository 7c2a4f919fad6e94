//! Writes predictions: as the body of the V1 protocol, or as an event with that body as its data.

use ai_integration_contract::{Data, Outcome};
use axum::Json;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue as JsonText;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use crate::http::dialects::kserve::request::{EVENT, Form, VERSION};

/// The type of the events that KServe answers with.
const TYPE: &str = "io.kserve.inference.response";
/// The content type of a result to which the model gave none.
const ANY: &str = "application/octet-stream";

#[derive(Serialize)]
struct Predictions<'a> {
    predictions: Vec<Prediction<'a>>,
}

/// The result of one instance.
#[derive(Serialize)]
#[serde(untagged)]
enum Prediction<'a> {
    None,
    /// JSON as the model wrote it.
    Json(&'a JsonText),
    Text(&'a str),
    File(File<'a>),
    Files(Vec<File<'a>>),
}

/// A file in base64.
#[derive(Serialize)]
struct File<'a> {
    b64: String,
    content_type: &'a str,
}

/// An event in the structured mode.
#[derive(Serialize)]
struct Event<'a> {
    specversion: &'static str,
    id: String,
    source: String,
    r#type: &'static str,
    time: String,
    datacontenttype: &'static str,
    data: Predictions<'a>,
}

/// Writes the results of a model, in the form of the request.
pub(super) fn write(form: &Form, model: &str, outcomes: &[Outcome]) -> Response {
    let data = Predictions { predictions: outcomes.iter().map(Prediction::of).collect() };
    if *form == Form::Plain {
        return Json(data).into_response();
    }
    let event = Event {
        specversion: VERSION,
        id: Uuid::new_v4().to_string(),
        source: format!("io.kserve.inference.{model}"),
        r#type: TYPE,
        // The time of a clock that is set to the year 10,000 cannot be written.
        time: OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default(),
        datacontenttype: "application/json",
        data,
    };
    if *form == Form::Structured {
        return ([(CONTENT_TYPE, EVENT)], Json(event)).into_response();
    }
    let headers = [
        ("ce-specversion", event.specversion),
        ("ce-id", &event.id),
        ("ce-source", &event.source),
        ("ce-type", event.r#type),
        ("ce-time", &event.time),
    ];
    (headers, Json(event.data)).into_response()
}

impl<'a> Prediction<'a> {
    fn of(outcome: &'a Outcome) -> Self {
        let content_type = outcome.content_type.as_deref().filter(|given| !given.is_empty());
        let content_type = content_type.unwrap_or(ANY);
        let is_text = outcome.is_json() || outcome.media_type().starts_with("text/");
        let text = match &outcome.data {
            Data::None => return Prediction::None,
            Data::List(list) => {
                let files = list.iter().map(|bytes| File::new(bytes, content_type));
                return Prediction::Files(files.collect());
            }
            // A picture stays a file, even if its bytes happen to be text.
            Data::Bytes(bytes) if !is_text => {
                return Prediction::File(File::new(bytes, content_type));
            }
            data => data.as_text(),
        };
        let is_json = outcome.is_json() || matches!(outcome.data, Data::Json(_));
        let json = text.filter(|_| is_json).and_then(|text| serde_json::from_str(text).ok());
        match (json, text, &outcome.data) {
            (Some(json), ..) => Prediction::Json(json),
            (None, Some(text), _) => Prediction::Text(text),
            (None, None, data) => {
                Prediction::File(File::new(&data.clone().into_bytes(), content_type))
            }
        }
    }
}

impl<'a> File<'a> {
    fn new(bytes: &Bytes, content_type: &'a str) -> Self {
        File { b64: BASE64_STANDARD.encode(bytes), content_type }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(outcome: &Outcome) -> String {
        serde_json::to_string(&Prediction::of(outcome)).unwrap()
    }

    #[test]
    fn a_prediction_is_json_text_or_a_file_by_its_content_type() {
        let png = r#"{"b64":"iVBOR/8=","content_type":"image/png"}"#;
        let bytes = Bytes::from_static(b"\x89PNG\xff");
        for (outcome, expected) in [
            (Outcome::text("café"), r#""café""#),
            (Outcome::json([1.0, 2.5]), "[1.0,2.5]"),
            (Outcome::bytes("Text/HTML", "<p>"), r#""<p>""#),
            (Outcome::bytes("application/geo+json", "{ }"), "{ }"),
            (Outcome::bytes("image/png", bytes.clone()), png),
            (
                Outcome::bytes("image/png", "text"),
                r#"{"b64":"dGV4dA==","content_type":"image/png"}"#,
            ),
            (
                Outcome::bytes("text/plain; charset=latin-1", &b"\xe9"[..]),
                r#"{"b64":"6Q==","content_type":"text/plain; charset=latin-1"}"#,
            ),
            (Outcome::list("image/png", vec![bytes; 2]), &format!("[{png},{png}]")),
            (Outcome { success: true, ..Outcome::default() }, "null"),
        ] {
            assert_eq!(written(&outcome), expected);
        }
    }
}
