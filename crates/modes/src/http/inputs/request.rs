//! Reads inputs from a request's body: multipart (RFC 7578), urlencoded, or a JSON object.

use ai_integration_contract::{Error, FieldError, Kind, RawInputs, RawValue, json};
use ai_integration_engine::Reservation;
use axum::extract::{FromRef, FromRequest, Request};
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use serde_json::Value as Json;

use crate::http::failure::{Failure, Refusal};
use crate::http::inputs::intake::Intake;
use crate::http::inputs::multipart::{self, Part};
use crate::http::large::{LARGE, work_on};

/// The most inputs of a request.
const MAX_FIELDS: usize = 1000;

/// The formats that are read.
const JSON: &str = "application/json";
const MULTIPART: &str = "multipart/form-data";
const URLENCODED: &str = "application/x-www-form-urlencoded";
const READ: [&str; 3] = [JSON, MULTIPART, URLENCODED];
/// The formats that are read, for messages.
const FORMATS: &str = "multipart/form-data, application/x-www-form-urlencoded and application/json";

/// The inputs of a request, in whichever format they came.
#[derive(Debug)]
pub(crate) struct RequestInputs {
    pub(crate) raw: RawInputs,
    /// The memory that they take up.
    pub(crate) reservation: Reservation,
}

impl RequestInputs {
    /// The inputs in a body of this media type, whose memory `reservation` has.
    fn parse(
        media: Option<&mime::Mime>,
        body: &Bytes,
        reservation: Reservation,
    ) -> Result<Self, Failure> {
        let raw = match media.map(mime::Mime::essence_str) {
            Some(JSON) => return RequestInputs::from_members(members(body)?, reservation),
            Some(MULTIPART) => {
                let boundary = media.and_then(|media| media.get_param(mime::BOUNDARY));
                form(body, boundary.map_or("", |boundary| boundary.as_str()))?
            }
            _ => collect(
                form_urlencoded::parse(body)
                    .map(|(name, value)| (name.into_owned(), RawValue::Text(value.into_owned()))),
            )?,
        };
        Ok(RequestInputs { raw, reservation })
    }

    /// The inputs that are the members of a JSON object. `reservation` has the memory for their
    /// text, and grows by what they take up beside it.
    pub(crate) fn from_members(
        members: impl IntoIterator<Item = (String, Json)>,
        mut reservation: Reservation,
    ) -> Result<Self, Failure> {
        let members = members.into_iter();
        let raw = collect(members.map(|(name, value)| (name, RawValue::Json(value))))?;
        if !reservation.add(raw.values().map(footprint).sum()) {
            return Err(Failure::full());
        }
        Ok(RequestInputs { raw, reservation })
    }
}

impl<S: Sync> FromRequest<S> for RequestInputs
where
    Intake: FromRef<S>,
{
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        let intake = Intake::from_ref(state);
        let reader = intake.reader();
        let coding = reader.coding(request.headers())?;
        let media = media(request.headers());
        let essence = media.as_ref().map(mime::Mime::essence_str).unwrap_or_default();
        let mut reservation = reader.reserve(&request);
        if essence.is_empty() && is_empty(request.headers()) {
            // A request without a body has no type and no inputs.
            return Ok(RequestInputs { raw: RawInputs::new(), reservation });
        }
        if !READ.contains(&essence) {
            let message = format!("a body of type {essence:?} is not read here; send {FORMATS}");
            return Err(Failure::refused(Refusal::UnsupportedMediaType, message));
        }
        let body = reader.read(request, coding, &mut reservation).await?;
        if body.len() < LARGE {
            return RequestInputs::parse(media.as_ref(), &body, reservation);
        }
        let size = body.len();
        let parse = move || RequestInputs::parse(media.as_ref(), &body, reservation);
        Box::pin(work_on(size, parse)).await?
    }
}

/// The media type of the body. Its names are in lower case.
fn media(headers: &HeaderMap) -> Option<mime::Mime> {
    let text = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    // Most have no parameters, which is quicker to see than to read.
    if text == JSON { Some(mime::APPLICATION_JSON) } else { text.parse().ok() }
}

fn is_empty(headers: &HeaderMap) -> bool {
    let length = headers.get(header::CONTENT_LENGTH);
    !headers.contains_key(header::TRANSFER_ENCODING) && length.is_none_or(|length| length == "0")
}

/// The memory that an input takes up beside its text, in bytes.
pub(crate) fn footprint(value: &RawValue) -> usize {
    match value {
        RawValue::Json(value) => json::footprint(value),
        RawValue::Bytes(_) | RawValue::Text(_) => 0,
    }
}

/// About the bytes of inputs that are to be read again, for [`work_on`].
pub(crate) fn extent(inputs: &RawInputs) -> usize {
    let each = inputs.values().map(|value| match value {
        RawValue::Json(value) => json::extent(value, LARGE),
        RawValue::Bytes(bytes) => bytes.len(),
        RawValue::Text(text) => text.len(),
    });
    each.sum()
}

fn members(body: &[u8]) -> Result<Vec<(String, Json)>, Error> {
    json::members(body).map_err(|error| {
        let message = format!("the body is not a JSON object of inputs: {error}");
        Error::new(Kind::MalformedRequest, message)
    })
}

fn form(body: &Bytes, boundary: &str) -> Result<RawInputs, Failure> {
    let unreadable = |malformed| {
        Error::new(Kind::MalformedRequest, format!("the form cannot be read: {malformed}"))
    };
    let mut fields = Vec::new();
    for Part { name, is_file, content } in multipart::parse(body, boundary).map_err(unreadable)? {
        let Some(name) = name else {
            let message = "a part of the form has no name; name each after its input";
            return Err(Error::new(Kind::MalformedRequest, message).into());
        };
        // Some clients send files as parts without a name of their own.
        let text = if is_file { None } else { std::str::from_utf8(&content).ok() };
        let value = match text {
            Some(text) => RawValue::Text(text.to_owned()),
            None => RawValue::Bytes(content),
        };
        fields.push((name, value));
    }
    collect(fields.into_iter())
}

/// An input given twice is no input: which one counts would be a guess.
fn collect(fields: impl Iterator<Item = (String, RawValue)>) -> Result<RawInputs, Failure> {
    let mut inputs = RawInputs::new();
    for (name, value) in fields {
        if inputs.len() == MAX_FIELDS {
            let message = format!("the request has more than {MAX_FIELDS} inputs");
            return Err(Error::new(Kind::MalformedRequest, message).into());
        }
        if inputs.contains_key(&name) {
            let message = "given more than once".to_owned();
            return Err(Error::invalid_inputs(vec![FieldError { name, message }]).into());
        }
        inputs.insert(name, value);
    }
    Ok(inputs)
}
