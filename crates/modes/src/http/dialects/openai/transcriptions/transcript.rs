//! The text of a recording, with its segments if the model gives them, in the formats of the API.

use std::fmt::Write;

use ai_integration_contract::{Error, Kind, Outcome};
use axum::Json;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use crate::http::inputs::envelope::unfit;

/// The members of a segment that clients read, with their values if the model does not give them.
const DEFAULTS: [(&str, f64); 4] = [
    ("temperature", 0.0),
    ("avg_logprob", 0.0),
    ("compression_ratio", 0.0),
    ("no_speech_prob", 0.0),
];

/// The format of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Json,
    Text,
    Verbose,
    Srt,
    Vtt,
}

impl Format {
    pub(super) fn read(name: Option<&str>) -> Result<Self, Error> {
        match name {
            None | Some("json") => Ok(Format::Json),
            Some("text") => Ok(Format::Text),
            Some("verbose_json") => Ok(Format::Verbose),
            Some("srt") => Ok(Format::Srt),
            Some("vtt") => Ok(Format::Vtt),
            Some(_) => {
                Err(unfit("response_format", "expected json, text, verbose_json, srt or vtt"))
            }
        }
    }
}

/// A part of a recording.
#[derive(Clone, Debug, PartialEq)]
struct Segment {
    /// The beginning and the end in seconds.
    start: f64,
    end: f64,
    text: String,
    /// All members, as the model gives them.
    members: Map<String, Value>,
}

/// The text of a recording.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Transcript {
    pub(super) text: String,
    segments: Option<Vec<Segment>>,
    /// The other members of the model's result.
    others: Map<String, Value>,
}

impl Transcript {
    /// Reads a result: a text, or an object with `text` and perhaps `segments`.
    pub(super) fn of(outcome: &Outcome) -> Result<Self, Error> {
        let media = outcome.media_type();
        let is_text = media.is_empty() || media.starts_with("text/");
        let text = outcome.data.as_text().filter(|_| is_text || outcome.is_json());
        let text = text.ok_or_else(not_text)?;
        if !outcome.is_json() {
            return Ok(Transcript { text: text.to_owned(), ..Transcript::default() });
        }
        match serde_json::from_str(text) {
            Ok(Value::String(text)) => Ok(Transcript { text, ..Transcript::default() }),
            Ok(Value::Object(members)) => Transcript::of_members(members),
            _ => Err(not_text()),
        }
    }

    fn of_members(mut members: Map<String, Value>) -> Result<Self, Error> {
        let Some(Value::String(text)) = members.remove("text") else { return Err(not_text()) };
        let segments = match members.remove("segments") {
            None | Some(Value::Null) => None,
            Some(Value::Array(list)) => {
                let segments = list.into_iter().enumerate();
                Some(
                    segments
                        .map(|(index, value)| Segment::of(index, value))
                        .collect::<Result<_, _>>()?,
                )
            }
            Some(_) => return Err(failed("segments is not a list")),
        };
        Ok(Transcript { text, segments, others: members })
    }

    /// Writes the response in a format.
    pub(super) fn write(
        self,
        format: Format,
        task: &str,
        language: Option<String>,
    ) -> Result<Response, Error> {
        match format {
            Format::Json => {
                let mut body = json!({"text": self.text});
                if let Some(usage) = self.others.get("usage") {
                    body["usage"] = usage.clone();
                }
                Ok(Json(body).into_response())
            }
            Format::Text => Ok(self.text.into_response()),
            Format::Verbose => Ok(Json(self.verbose(task, language)?).into_response()),
            Format::Srt => Ok(self.subtitles(',', |number| format!("{number}\n"))?.into_response()),
            Format::Vtt => {
                let cues = self.subtitles('.', |_| String::new())?;
                Ok(format!("WEBVTT\n\n{cues}").into_response())
            }
        }
    }

    fn take_segments(&mut self) -> Result<Vec<Segment>, Error> {
        self.segments.take().ok_or_else(|| {
            let message =
                "the model gives no segments, which this format needs; expected json or text";
            unfit("response_format", message)
        })
    }

    fn verbose(mut self, task: &str, language: Option<String>) -> Result<Value, Error> {
        let segments = self.take_segments()?;
        let end = segments.iter().map(|segment| segment.end).fold(0.0, f64::max);
        let mut body = self.others;
        body.insert("text".to_owned(), self.text.into());
        let set = |body: &mut Map<String, Value>, name: &str, value: Value| {
            body.entry(name).or_insert(value);
        };
        set(&mut body, "task", task.into());
        set(&mut body, "language", language.unwrap_or_default().into());
        set(&mut body, "duration", end.into());
        let segments = segments.into_iter().enumerate().map(|(index, segment)| {
            let mut members = segment.members;
            set(&mut members, "id", index.into());
            set(&mut members, "seek", 0.into());
            set(&mut members, "tokens", json!([]));
            for (name, value) in DEFAULTS {
                set(&mut members, name, value.into());
            }
            Value::Object(members)
        });
        body.insert("segments".to_owned(), segments.collect());
        Ok(Value::Object(body))
    }

    /// Writes the segments as the cues of SubRip or WebVTT. `point` separates the milliseconds.
    fn subtitles(mut self, point: char, head: fn(usize) -> String) -> Result<String, Error> {
        let mut cues = String::new();
        for (number, segment) in (1..).zip(self.take_segments()?) {
            let (start, end) = (clock(segment.start, point), clock(segment.end, point));
            // An empty line would end the cue.
            let lines = segment.text.lines().map(str::trim).filter(|line| !line.is_empty());
            let text = lines.collect::<Vec<_>>().join("\n");
            let _ = write!(cues, "{}{start} --> {end}\n{text}\n\n", head(number));
        }
        Ok(cues)
    }
}

impl Segment {
    fn of(index: usize, value: Value) -> Result<Self, Error> {
        let Value::Object(members) = value else {
            return Err(failed(&format!("segments[{index}] is not an object")));
        };
        let time = |name: &str| {
            let time = members.get(name).and_then(Value::as_f64);
            let time = time.filter(|time| (0.0..=MAX_SECONDS).contains(time));
            time.ok_or_else(|| {
                failed(&format!("segments[{index}].{name} is not a number of seconds"))
            })
        };
        let (start, end) = (time("start")?, time("end")?);
        let text = members.get("text").and_then(Value::as_str).map(str::to_owned);
        let text = text.ok_or_else(|| failed(&format!("segments[{index}].text is not a text")))?;
        Ok(Segment { start, end, text, members })
    }
}

/// The longest time of a segment, in seconds.
const MAX_SECONDS: f64 = 1e9;

/// Writes a time as hours, minutes, seconds and milliseconds.
fn clock(seconds: f64, point: char) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the range is checked"
    )]
    let all = (seconds * 1000.0).round() as u64;
    let (rest, thousandths) = (all / 1000, all % 1000);
    let (hours, minutes, seconds) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{hours:02}:{minutes:02}:{seconds:02}{point}{thousandths:03}")
}

fn not_text() -> Error {
    failed("it is neither a text nor an object with the member \"text\"")
}

fn failed(fault: &str) -> Error {
    Error::new(Kind::ModelFailed, format!("the model's result is no transcription: {fault}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segments() -> Outcome {
        Outcome::json(json!({
            "text": "One. Two.",
            "language": "english",
            "segments": [
                {"start": 0, "end": 1.5, "text": " One."},
                {"id": 7, "start": 1.5, "end": 3661.0004, "text": "Two.\n\n -- \n"},
            ],
        }))
    }

    #[test]
    fn a_result_is_a_text_or_an_object_with_one() {
        for outcome in
            [Outcome::text("a"), Outcome::json("a"), Outcome::json(json!({"text": "a", "x": 1}))]
        {
            assert_eq!(Transcript::of(&outcome).unwrap().text, "a");
        }
        for (outcome, words) in [
            (Outcome::json(7), "neither a text"),
            (Outcome::json(json!({"words": []})), "neither a text"),
            (Outcome::bytes("audio/wav", "a"), "neither a text"),
            (Outcome::json(json!({"text": "a", "segments": 1})), "segments is not a list"),
            (Outcome::json(json!({"text": "a", "segments": [1]})), "segments[0] is not an object"),
            (
                Outcome::json(json!({"text": "a", "segments": [{"start": "0"}]})),
                "segments[0].start is not a number",
            ),
            (
                Outcome::json(json!({"text": "a", "segments": [{"start": 0, "end": -1}]})),
                "segments[0].end is not a number",
            ),
            (
                Outcome::json(json!({"text": "a", "segments": [{"start": 0, "end": 1}]})),
                "segments[0].text is not a text",
            ),
        ] {
            let error = Transcript::of(&outcome).unwrap_err();
            assert!(error.message.contains(words), "{}", error.message);
        }
    }

    #[test]
    fn segments_are_written_as_subtitles() {
        let transcript = Transcript::of(&segments()).unwrap();
        let srt = transcript.clone().subtitles(',', |number| format!("{number}\n")).unwrap();
        assert_eq!(
            srt,
            "1\n00:00:00,000 --> 00:00:01,500\nOne.\n\n\
             2\n00:00:01,500 --> 01:01:01,000\nTwo.\n--\n\n"
        );
        let error = Transcript::of(&Outcome::text("a")).unwrap().take_segments().unwrap_err();
        assert!(error.message.starts_with("response_format: the model gives no segments"));
    }

    #[test]
    fn the_verbose_format_has_every_member_that_clients_read() {
        let transcript = Transcript::of(&segments()).unwrap();
        let body = transcript.verbose("transcribe", Some("de".to_owned())).unwrap();
        assert_eq!((&body["task"], &body["language"]), (&json!("transcribe"), &json!("english")));
        assert_eq!((&body["text"], &body["duration"]), (&json!("One. Two."), &json!(3661.0004)));
        let first = json!({
            "id": 0, "seek": 0, "start": 0, "end": 1.5, "text": " One.", "tokens": [],
            "temperature": 0.0, "avg_logprob": 0.0, "compression_ratio": 0.0, "no_speech_prob": 0.0,
        });
        assert_eq!((&body["segments"][0], &body["segments"][1]["id"]), (&first, &json!(7)));
    }
}
