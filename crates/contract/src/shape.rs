//! The neutral shapes that describe an input type to the front ends.
//!
//! A command-line flag, a form's widget, an OpenAPI schema and a self-test's sample are all derived
//! from a [`Shape`]. So a new input type needs no change in a front end.

use std::fmt;

use bytes::Bytes;
use serde_json::{Number, Value as Json};

use crate::base64_text::decode_base64;
use crate::constraints::Constraints;
use crate::format::Format;
use crate::formats::Formats;
use crate::json;
use crate::number::{self, NumberError};
use crate::raw::RawValue;
use crate::value::Value;

/// The shape of an input for front ends.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Shape {
    /// Text in UTF-8.
    Text {
        /// The format as named by JSON Schema, such as `date`; `None` for any text.
        #[serde(skip_serializing_if = "Option::is_none")]
        format: Option<&'static str>,
    },
    /// Bytes of a media range such as `image/*` (RFC 9110, section 12.5.1).
    Blob {
        /// The media range.
        media: &'static str,
    },
    /// A number within the field's range.
    Number {
        /// True if the number must be whole.
        whole: bool,
    },
    /// True or false.
    Flag,
    /// One of the field's choices.
    Choice,
    /// Any JSON value.
    Json,
}

/// The reason why a value is refused.
#[derive(Clone, Debug, PartialEq)]
pub enum Refusal {
    /// The value does not have the type. It is returned for the error.
    Unfit(RawValue),
    /// The value has the type, but also the fault in this message.
    Faulty(String),
}

impl Refusal {
    /// Returns the message for the client, with the expected value.
    pub(crate) fn message(&self, expectation: impl FnOnce() -> String) -> String {
        match self {
            Refusal::Unfit(raw) => format!("expected {}, got {}", expectation(), raw.describe()),
            Refusal::Faulty(message) => message.clone(),
        }
    }
}

impl Shape {
    /// Returns true if the value is a picture.
    #[must_use]
    pub fn is_image(&self) -> bool {
        matches!(self, Shape::Blob { media } if media.starts_with("image/"))
    }

    /// Reads a value as this shape.
    pub fn accept(&self, raw: RawValue, constraints: &Constraints) -> Result<Value, Refusal> {
        let value = match self {
            Shape::Text { .. } => Value::Text(text(raw).map_err(Refusal::Unfit)?),
            Shape::Blob { media } => Value::Bytes(file(raw, media, constraints)?),
            Shape::Number { whole } => self.number(raw, *whole, constraints)?,
            Shape::Flag => Value::Json(flag(&raw).ok_or(Refusal::Unfit(raw))?.into()),
            Shape::Choice => return choice(raw, constraints),
            Shape::Json => self.any_json(raw, constraints)?,
        };
        check_length(&value, constraints)?;
        // C code in a model would cut the text at the NUL.
        if matches!(&value, Value::Text(text) if text.as_bytes().contains(&0)) {
            let message = "expected text, got text with a NUL character";
            return Err(Refusal::Faulty(message.to_owned()));
        }
        if constraints.choices.is_empty() { Ok(value) } else { choice(value.into(), constraints) }
    }

    /// Describes the expected value in words, without choices, such as "an integer from 1 to 50".
    #[must_use]
    pub fn expectation(&self, constraints: &Constraints) -> String {
        match self {
            Shape::Text { format: None } => "text".to_owned(),
            Shape::Text { format: Some(format) } => format!("a {format}"),
            Shape::Blob { media } => {
                let what = noun(media, &constraints.formats);
                format!("{what} (a file's bytes; in JSON as base64 or a data: URL)")
            }
            Shape::Number { whole } => {
                let noun = if *whole { "an integer" } else { "a number" };
                match (&constraints.min, &constraints.max) {
                    (Some(min), Some(max)) => format!("{noun} from {min} to {max}"),
                    (Some(min), None) => format!("{noun} of at least {min}"),
                    (None, Some(max)) => format!("{noun} of at most {max}"),
                    (None, None) => noun.to_owned(),
                }
            }
            Shape::Flag => "true or false".to_owned(),
            Shape::Choice => "one of the choices".to_owned(),
            Shape::Json => "JSON (a million values at most, no key twice)".to_owned(),
        }
    }

    fn number(
        &self,
        raw: RawValue,
        whole: bool,
        constraints: &Constraints,
    ) -> Result<Value, Refusal> {
        match any_number(&raw, whole) {
            Ok(number) if constraints.has_in_range(&number) => Ok(Value::Json(number.into())),
            Ok(_) | Err(NumberError::Malformed) => Err(Refusal::Unfit(raw)),
            Err(error) => Err(self.faulty(constraints, &error)),
        }
    }

    fn any_json(&self, raw: RawValue, constraints: &Constraints) -> Result<Value, Refusal> {
        let parsed = match raw {
            RawValue::Text(ref text) => json::parse(text.as_bytes()),
            RawValue::Bytes(ref bytes) => json::parse(bytes),
            RawValue::Json(value) => return Ok(Value::Json(value)),
            RawValue::List(_) => return Err(Refusal::Unfit(raw)),
        };
        parsed.map(Value::Json).map_err(|error| {
            let given = match &raw {
                RawValue::Bytes(bytes) => format!("{} bytes", bytes.len()),
                _ => raw.describe(),
            };
            self.faulty(constraints, &format_args!("{given}, which cannot be read: {error}"))
        })
    }

    fn faulty(&self, constraints: &Constraints, given: &dyn fmt::Display) -> Refusal {
        Refusal::Faulty(format!("expected {}, got {given}", self.expectation(constraints)))
    }
}

fn text(raw: RawValue) -> Result<String, RawValue> {
    match raw {
        RawValue::Bytes(bytes) => String::from_utf8(bytes.into())
            .map_err(|error| RawValue::Bytes(error.into_bytes().into())),
        RawValue::Text(text) | RawValue::Json(Json::String(text)) => Ok(text),
        RawValue::Json(value @ (Json::Number(_) | Json::Bool(_))) => Ok(value.to_string()),
        RawValue::Json(_) | RawValue::List(_) => Err(raw),
    }
}

/// Reads a file, and refuses it if its content has no listed format.
fn file(raw: RawValue, media: &str, constraints: &Constraints) -> Result<Bytes, Refusal> {
    let bytes = blob(raw).map_err(Refusal::Unfit)?;
    let Constraints { formats, .. } = constraints;
    if formats.admit(&bytes) {
        return Ok(bytes);
    }
    let given = Format::recognise(&bytes).map_or_else(
        || format!("{} bytes of something else", bytes.len()),
        |format| format.name().to_owned(),
    );
    Err(Refusal::Faulty(format!("expected {}, got {given}", noun(media, formats))))
}

/// Returns the noun for a file in a media range, with its formats if they are listed.
fn noun(media: &str, formats: &Formats) -> String {
    let what = match media.split('/').next() {
        Some("image") => "a picture",
        Some("audio") => "a sound",
        Some("video") => "a video",
        _ => "a file",
    };
    let names: Vec<&str> = formats.names().collect();
    match names.as_slice() {
        [] => what.to_owned(),
        [name] => format!("{what} in the format {name}"),
        names => format!("{what} in one of the formats {}", names.join(", ")),
    }
}

fn blob(raw: RawValue) -> Result<Bytes, RawValue> {
    let bytes = match &raw {
        RawValue::Bytes(bytes) => Some(bytes.clone()),
        RawValue::Text(text) | RawValue::Json(Json::String(text)) => decode_base64(text),
        RawValue::Json(_) | RawValue::List(_) => None,
    };
    bytes.filter(|bytes| !bytes.is_empty()).ok_or(raw)
}

/// Returns the text of a scalar from any source.
fn scalar_text(raw: &RawValue) -> Option<String> {
    match raw {
        RawValue::Bytes(bytes) => {
            std::str::from_utf8(bytes).ok().map(|text| text.trim().to_owned())
        }
        RawValue::Text(text) | RawValue::Json(Json::String(text)) => Some(text.trim().to_owned()),
        RawValue::Json(value @ (Json::Number(_) | Json::Bool(_))) => Some(value.to_string()),
        RawValue::Json(_) | RawValue::List(_) => None,
    }
}

/// Reads a number. A whole number may be written as a float, as Python writes `1e22`.
fn any_number(raw: &RawValue, whole: bool) -> Result<Number, NumberError> {
    if matches!(raw, RawValue::Json(Json::Bool(_))) {
        return Err(NumberError::Malformed);
    }
    let text = scalar_text(raw).ok_or(NumberError::Malformed)?;
    if whole {
        return number::whole(&text);
    }
    let number = number::parse(&text)?;
    number.as_f64().map(|_| number).ok_or(NumberError::OutOfRange)
}

fn flag(raw: &RawValue) -> Option<bool> {
    match scalar_text(raw)?.to_ascii_lowercase().as_str() {
        "true" | "t" | "yes" | "y" | "on" | "1" => Some(true),
        "false" | "f" | "no" | "n" | "off" | "0" => Some(false),
        _ => None,
    }
}

fn choice(raw: RawValue, constraints: &Constraints) -> Result<Value, Refusal> {
    let found = scalar_text(&raw).and_then(|wanted| constraints.find_choice(&wanted));
    match found {
        Some(Json::String(text)) => Ok(Value::Text(text.clone())),
        Some(other) => Ok(Value::Json(other.clone())),
        None => Err(Refusal::Unfit(raw)),
    }
}

fn check_length(value: &Value, constraints: &Constraints) -> Result<(), Refusal> {
    let length = match value {
        Value::Text(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        Value::Json(_) | Value::List(_) => return Ok(()),
    };
    match constraints.max_bytes {
        Some(max) if length as u64 > max => {
            Err(Refusal::Faulty(format!("expected at most {max} bytes, got {length}")))
        }
        _ => Ok(()),
    }
}
