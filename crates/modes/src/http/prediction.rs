//! Writes results as values of JSON, for protocols whose responses are JSON. A file is an object with
//! its base64 and its content type.

use ai_integration_contract::{Data, Outcome};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue as JsonText;

/// The content type of a result to which the model gave none.
const ANY: &str = "application/octet-stream";

/// The results of several jobs, as the object that they are in.
#[derive(Serialize)]
pub(crate) struct Predictions<'a> {
    predictions: Vec<Prediction<'a>>,
}

impl<'a> Predictions<'a> {
    /// Returns the results of jobs, in their order.
    pub(crate) fn of(outcomes: &'a [Outcome]) -> Self {
        Predictions { predictions: outcomes.iter().map(Prediction::of).collect() }
    }
}

/// A result as a value of JSON.
#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum Prediction<'a> {
    None,
    /// JSON as the model wrote it.
    Json(&'a JsonText),
    Text(&'a str),
    File(File<'a>),
    Files(Vec<File<'a>>),
}

/// A file in base64.
#[derive(Serialize)]
pub(crate) struct File<'a> {
    b64: String,
    content_type: &'a str,
}

impl<'a> Prediction<'a> {
    /// Returns the result of a job.
    pub(crate) fn of(outcome: &'a Outcome) -> Self {
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
