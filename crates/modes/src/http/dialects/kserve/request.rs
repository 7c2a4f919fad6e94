//! Reads requests for predictions. The data of a request is the body itself, or the data of a
//! CloudEvent (version 1.0): in the binary mode the body is the data, and headers have the event's
//! attributes; in the structured mode the body is a JSON object with both.

use ai_integration_contract::{Error, decode_base64, json as strict};
use ai_integration_engine::Reservation;
use axum::extract::{FromRef, Request};
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use mime::Mime;
use serde_json::Value as Json;

use crate::http::app::App;
use crate::http::dialects::kserve::content::{Content, instances, malformed};
use crate::http::failure::{Failure, Refusal};
use crate::http::inputs::envelope::read_body;
use crate::http::inputs::intake::Intake;
use crate::http::inputs::media::{content_type, is_json, media_type};
use crate::http::inputs::text::in_utf8;

/// The media type of an event in the structured mode.
pub(super) const EVENT: &str = "application/cloudevents+json";
/// The beginning of the media types of events.
const EVENTS: &str = "application/cloudevents";
/// The version of CloudEvents.
pub(super) const VERSION: &str = "1.0";
/// The attributes that every event has, each with its header in the binary mode.
const ATTRIBUTES: [(&str, &str); 4] = [
    ("id", "ce-id"),
    ("source", "ce-source"),
    ("specversion", "ce-specversion"),
    ("type", "ce-type"),
];
/// A request for predictions.
pub(super) struct Prediction {
    pub(super) form: Form,
    pub(super) content: Content,
    /// The length of the body in bytes.
    pub(super) length: usize,
    /// The memory that the body and its values take up.
    pub(super) reservation: Reservation,
}

/// The form of a request. The response has the same form.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Form {
    /// The body of the V1 protocol.
    Plain,
    /// An event in the binary mode, whose data has this media type.
    Binary(Option<Mime>),
    /// An event in the structured mode.
    Structured,
}

impl Prediction {
    /// Reads a request.
    pub(super) async fn read(app: &App, request: Request) -> Result<Self, Failure> {
        let form = Form::of(request.headers())?;
        let parse = {
            let form = form.clone();
            move |body| {
                let content = form.read(body);
                (content.as_ref().map_or(0, Content::footprint), content)
            }
        };
        let intake = Intake::from_ref(app);
        let (content, length, reservation) = read_body(&intake, request, parse).await?;
        let content = content?;
        Ok(Prediction { form, content, length, reservation })
    }
}

/// Returns true if a request is an event, even if it is a malformed one.
pub(crate) fn is_event(headers: &HeaderMap) -> bool {
    let media = headers.get(header::CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
    let is_structured = media
        .get(..EVENTS.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(EVENTS.as_bytes()));
    is_structured || ATTRIBUTES.iter().any(|(_, header)| headers.contains_key(*header))
}

impl Form {
    /// Returns the form of a request with these headers.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, Failure> {
        let media = content_type(headers).transpose();
        let media =
            media.map_err(|text| unsupported(format!("the type {text:?} cannot be read")))?;
        let essence = media.as_ref().map(|media| media.essence_str().to_owned());
        match essence.as_deref() {
            Some(EVENT) => return Ok(Form::Structured),
            Some(other) if other.starts_with(EVENTS) => {
                return Err(unsupported(format!("events of type {other} are not supported")));
            }
            _ => {}
        }
        if is_event(headers) {
            check_headers(headers)?;
            return Ok(Form::Binary(media));
        }
        // `curl -d` sends JSON under the type of a form, as many examples of KServe do.
        let is_form = essence.as_deref() == Some("application/x-www-form-urlencoded");
        match media {
            Some(media) if !is_form && !is_json(&media) => {
                Err(unsupported(format!("a body of type {media} is not supported")))
            }
            _ => Ok(Form::Plain),
        }
    }

    /// Reads a body in this form.
    pub(crate) fn read(self, body: Bytes) -> Result<Content, Error> {
        match self {
            Form::Plain => instances(parse("the body", &body)?),
            Form::Binary(media) => content(media, body),
            Form::Structured => structured(&body),
        }
    }
}

/// Checks the attributes of an event in the binary mode.
fn check_headers(headers: &HeaderMap) -> Result<(), Error> {
    check_attributes(|name| {
        let (_, header) = ATTRIBUTES.iter().find(|(known, _)| *known == name)?;
        let mut values = headers.get_all(*header).iter();
        let value = values.next()?.to_str().ok()?;
        values.next().is_none().then(|| value.trim())
    })
}

/// Checks the attributes that every event has. `find` returns the one text of an attribute.
fn check_attributes<'a>(find: impl Fn(&'static str) -> Option<&'a str>) -> Result<(), Error> {
    let names = ATTRIBUTES.iter().map(|(name, _)| *name);
    let missing: Vec<_> = names.filter(|name| find(name).is_none_or(str::is_empty)).collect();
    if !missing.is_empty() {
        let missing = missing.join(", ");
        return Err(malformed(format!(
            "the event lacks attributes, or they are not one text each: {missing}"
        )));
    }
    match find("specversion") {
        Some(VERSION) => Ok(()),
        other => {
            let other = other.unwrap_or_default();
            Err(malformed(format!("the event has the version {other:?}; send version {VERSION:?}")))
        }
    }
}

/// Reads an event in the structured mode.
fn structured(body: &[u8]) -> Result<Content, Error> {
    let Json::Object(mut event) = parse("the event", body)? else {
        return Err(malformed("the event is not a JSON object"));
    };
    check_attributes(|name| event.get(name).and_then(Json::as_str))?;
    let media = match event.get("datacontenttype").filter(|given| !given.is_null()) {
        None => None,
        Some(given) => {
            let media = given.as_str().and_then(media_type);
            Some(
                media
                    .ok_or_else(|| malformed("the event's datacontenttype is not a media type"))?,
            )
        }
    };
    let mut take = |name| event.remove(name).filter(|given| !given.is_null());
    match (take("data"), take("data_base64")) {
        (Some(_), Some(_)) => {
            Err(malformed("the event has both data and data_base64; send one of them"))
        }
        (None, None) => Err(malformed("the event has neither data nor data_base64")),
        (None, Some(encoded)) => {
            let bytes = encoded.as_str().and_then(decode_base64);
            let bytes = bytes.ok_or_else(|| malformed("the event's data_base64 is not base64"))?;
            content(media, bytes)
        }
        (Some(data), None) => match (media.filter(|media| !is_json(media)), data) {
            (None, data) => instances(data),
            (Some(_), Json::String(text)) => {
                Ok(Content::Value { bytes: text.into(), is_text: true })
            }
            (Some(media), _) => Err(malformed(format!(
                "the event's data is JSON, but its datacontenttype is {media}; send a text, or \
                 data_base64"
            ))),
        },
    }
}

/// Reads the data of an event. Without a media type it is JSON if it begins like an object of JSON.
fn content(media: Option<Mime>, data: Bytes) -> Result<Content, Error> {
    let is_json = match &media {
        Some(media) => is_json(media),
        None => data.trim_ascii_start().starts_with(b"{"),
    };
    if is_json {
        return instances(parse("the event's data", &data)?);
    }
    let Some(media) = media.filter(|media| media.type_() == mime::TEXT) else {
        return Ok(Content::Value { bytes: data, is_text: false });
    };
    let bytes = in_utf8("the event's data", &media, data)?;
    Ok(Content::Value { bytes, is_text: true })
}

fn parse(what: &str, text: &[u8]) -> Result<Json, Error> {
    strict::parse(text).map_err(|error| malformed(format!("{what} is not JSON: {error}")))
}

fn unsupported(fault: impl std::fmt::Display) -> Failure {
    let message = format!("{fault}; send application/json, or an event as {EVENT} or with headers");
    Failure::refused(Refusal::UnsupportedMediaType, message)
}

#[cfg(test)]
mod tests;
