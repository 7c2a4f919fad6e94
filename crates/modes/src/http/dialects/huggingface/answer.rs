//! Writes results in the forms that clients of the toolkit read.

use ai_integration_contract::{Data, Field, Outcome, Shape, Task};
use ai_integration_engine::Model;
use axum::Json;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::value::RawValue as JsonText;

use crate::http::data_url::{data_url, data_urls};

/// The form of the answers to a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct AnswerFormat {
    text: TextFormat,
    /// True if the answer is a list with one item for each job.
    is_list: bool,
}

/// The form of a text. The client's method decides which member it reads, and the request does not
/// tell the method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TextFormat {
    /// The text of a recording.
    Spoken,
    /// A text that continues or answers another text.
    Generated,
    /// Any text: also a translation or a summary.
    Any,
}

/// An answer in JSON.
#[derive(Serialize)]
#[serde(untagged)]
enum Answer<'a> {
    None,
    Json(&'a JsonText),
    Text(Text<'a>),
    File(String),
    Files(Vec<String>),
}

#[derive(Serialize)]
#[serde(untagged)]
enum Text<'a> {
    Spoken { text: &'a str },
    Generated { generated_text: &'a str },
    Any { generated_text: &'a str, summary_text: &'a str, translation_text: &'a str },
}

impl AnswerFormat {
    /// Returns the form of the answers of a model that got a value for the input `name`.
    pub(super) fn new(model: &Model, name: Option<&str>, is_list: bool) -> Self {
        let field = name.and_then(|name| model.schema.fields().get(name));
        let media = match field.map(Field::shape) {
            Some(Shape::Blob { media }) => Some(media),
            _ => None,
        };
        let is_sound = media.is_some_and(|media| media.starts_with("audio/"));
        let text = if is_sound || (media.is_some() && model.tasks.has(Task::Transcription)) {
            TextFormat::Spoken
        } else if model.tasks.has(Task::Chat) || model.tasks.has(Task::Completion) {
            TextFormat::Generated
        } else {
            TextFormat::Any
        };
        AnswerFormat { text, is_list }
    }

    /// Writes the results of a request.
    pub(super) fn write(self, mut outcomes: Vec<Outcome>) -> Response {
        if self.is_list {
            let answers: Vec<_> = outcomes.iter().map(|outcome| self.answer(outcome)).collect();
            return Json(answers).into_response();
        }
        let Some(outcome) = outcomes.pop() else { return Json(Answer::None).into_response() };
        if is_file(&outcome) {
            return file(outcome);
        }
        match self.answer(&outcome) {
            // A generated text is a list of one, because a model may give several.
            Answer::Text(text) if self.text != TextFormat::Spoken => Json([text]).into_response(),
            answer => Json(answer).into_response(),
        }
    }

    fn answer(self, outcome: &Outcome) -> Answer<'_> {
        let is_json = outcome.is_json() || matches!(outcome.data, Data::Json(_));
        match &outcome.data {
            Data::None => Answer::None,
            Data::List(list) => Answer::Files(data_urls(&outcome.media_type(), list)),
            data if is_file(outcome) => {
                Answer::File(data_url(&outcome.media_type(), &data.clone().into_bytes()))
            }
            data => {
                let text = data.as_text().unwrap_or_default();
                let json = is_json.then(|| serde_json::from_str(text).ok()).flatten();
                json.map_or_else(|| Answer::Text(self.text(text)), Answer::Json)
            }
        }
    }

    fn text(self, text: &str) -> Text<'_> {
        match self.text {
            TextFormat::Spoken => Text::Spoken { text },
            TextFormat::Generated => Text::Generated { generated_text: text },
            TextFormat::Any => {
                Text::Any { generated_text: text, summary_text: text, translation_text: text }
            }
        }
    }
}

/// Returns true if a result is one picture or another file, and neither a text nor JSON.
fn is_file(outcome: &Outcome) -> bool {
    let media = outcome.media_type();
    let is_text = outcome.is_json() || media.is_empty() || media.starts_with("text/");
    match &outcome.data {
        Data::Bytes(_) => !is_text || outcome.data.as_text().is_none(),
        Data::None | Data::Text(_) | Data::Json(_) | Data::List(_) => false,
    }
}

/// Makes the response for a picture or another file: the file itself.
fn file(outcome: Outcome) -> Response {
    let media = outcome.content_type.filter(|media| !media.is_empty());
    let media = media.unwrap_or_else(|| "application/octet-stream".to_owned());
    ([(CONTENT_TYPE, media)], outcome.data.into_bytes()).into_response()
}
