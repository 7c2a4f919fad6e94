//! Reads inputs from a request's body, which is multipart (RFC 7578), urlencoded, or a JSON object.

use std::borrow::Cow;

use ai_integration_contract::{
    Encoding, Error, FieldError, Kind, NotText, RawInputs, RawValue, json,
};
use ai_integration_engine::Reservation;
use axum::extract::{FromRef, FromRequest, Request};
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use serde_json::Value as Json;

use crate::http::failure::{Failure, Refusal};
use crate::http::inputs::intake::Intake;
use crate::http::inputs::multipart::{self, Part, TransferEncoding};
use crate::http::inputs::urlencoded;
use crate::http::large::{LARGE, work_on};

/// The maximum number of inputs in a request.
pub(crate) const MAX_FIELDS: usize = 1000;

/// The supported formats of a body.
const JSON: &str = "application/json";
const MULTIPART: &str = "multipart/form-data";
const URLENCODED: &str = "application/x-www-form-urlencoded";
const SUPPORTED: [&str; 3] = [JSON, MULTIPART, URLENCODED];
/// The supported formats, for error messages.
const FORMATS: &str = "multipart/form-data, application/x-www-form-urlencoded and application/json";

/// The inputs of a request, independent of the format of its body.
#[derive(Debug)]
pub(crate) struct RequestInputs {
    pub(crate) raw: RawInputs,
    /// The memory that the inputs take up.
    pub(crate) reservation: Reservation,
}

/// The format of a body, from the request's head.
struct Format {
    media: mime::Mime,
    /// The encoding of the text, unless its first bytes show another one.
    encoding: Encoding,
}

impl RequestInputs {
    /// Parses a body in this format. `reservation` already has the memory of the body.
    fn parse(format: &Format, body: &Bytes, mut reservation: Reservation) -> Result<Self, Failure> {
        let essence = format.media.essence_str();
        if essence == JSON {
            return RequestInputs::from_members(
                members(body, format.encoding, &mut reservation)?,
                reservation,
            );
        }
        if is_json(body) {
            let message = "the body is JSON, but its Content-Type is that of a form; \
                           send Content-Type: application/json";
            return Err(malformed(message));
        }
        let raw = if essence == MULTIPART {
            let boundary = format.media.get_param(mime::BOUNDARY);
            let boundary = boundary.map_or("", |boundary| boundary.as_str());
            form(body, boundary, format.encoding, &mut reservation)?
        } else {
            urlencoded(body, format.encoding, &mut reservation)?
        };
        Ok(RequestInputs { raw, reservation })
    }

    /// Makes inputs from the members of a JSON object. `reservation` already has the memory of
    /// their text, and grows by the memory that the values need in addition.
    pub(crate) fn from_members(
        members: impl IntoIterator<Item = (String, Json)>,
        mut reservation: Reservation,
    ) -> Result<Self, Failure> {
        let members = members.into_iter();
        let raw = collect(members.map(|(name, value)| Ok((name, RawValue::Json(value)))))?;
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
        let mut reservation = reader.reserve(&request);
        let Some(format) = format(request.headers())? else {
            return Ok(RequestInputs { raw: RawInputs::new(), reservation });
        };
        let body = reader.read(request, coding, &mut reservation).await?;
        if body.len() < LARGE {
            return RequestInputs::parse(&format, &body, reservation);
        }
        let size = body.len();
        let parse = move || RequestInputs::parse(&format, &body, reservation);
        Box::pin(work_on(size, parse)).await?
    }
}

fn malformed(message: impl Into<Cow<'static, str>>) -> Failure {
    Error::new(Kind::MalformedRequest, message).into()
}

/// Returns the format of the body, or an error if the format is not supported. A request without a
/// body needs no content type, and has no inputs.
fn format(headers: &HeaderMap) -> Result<Option<Format>, Failure> {
    let unsupported = |message: String| Failure::refused(Refusal::UnsupportedMediaType, message);
    let value = headers.get(header::CONTENT_TYPE).filter(|value| !value.is_empty());
    let Some(value) = value else {
        let message = format!("the body has no Content-Type; send {FORMATS}");
        return if is_empty(headers) { Ok(None) } else { Err(unsupported(message)) };
    };
    // Most content types are exactly this, and comparing is faster than parsing.
    if value == JSON {
        return Ok(Some(Format { media: mime::APPLICATION_JSON, encoding: Encoding::Utf8 }));
    }
    let text = String::from_utf8_lossy(value.as_bytes());
    // The parser converts the names to lower case.
    let media = text.trim_end_matches([' ', ';']).parse().ok();
    let media = media.filter(|media: &mime::Mime| SUPPORTED.contains(&media.essence_str()));
    let Some(media) = media else {
        let message = format!("a body of type {text:?} is not supported; send {FORMATS}");
        return Err(unsupported(message));
    };
    let charset = media.get_param(mime::CHARSET).map(|charset| charset.as_str());
    let encoding = charset.map_or(Ok(Encoding::Utf8), encoding)?;
    Ok(Some(Format { media, encoding }))
}

/// Returns the encoding that a `charset` names.
fn encoding(charset: &str) -> Result<Encoding, Failure> {
    Encoding::named(charset).ok_or_else(|| {
        let names = Encoding::NAMES;
        let message = format!("text in the charset {charset:?} is not supported; send {names}");
        Failure::refused(Refusal::UnsupportedMediaType, message)
    })
}

/// Returns true if a body begins like JSON. No form does, since the name of an input begins with
/// neither bracket. `curl -d` sends JSON with the content type of a form unless another type is
/// given, and `--data-urlencode` also escapes it.
fn is_json(body: &[u8]) -> bool {
    let text = Encoding::of(body, Encoding::Utf8).without_mark(body);
    let is_escaped = text.get(..3).is_some_and(|start| start.eq_ignore_ascii_case(b"%7b"));
    // In UTF-16 and UTF-32 there are zero bytes between the characters.
    let mut characters = text.iter().filter(|byte| **byte != 0 && !byte.is_ascii_whitespace());
    is_escaped || matches!(characters.next(), Some(b'{' | b'['))
}

/// Returns true if the content type is that of JSON inputs.
pub(crate) fn is_json_type(headers: &HeaderMap) -> bool {
    format(headers)
        .is_ok_and(|format| format.is_some_and(|format| format.media.essence_str() == JSON))
}

/// Returns true if the head of a request says that it has no body.
pub(crate) fn is_empty(headers: &HeaderMap) -> bool {
    let length = headers.get(header::CONTENT_LENGTH);
    !headers.contains_key(header::TRANSFER_ENCODING) && length.is_none_or(|length| length == "0")
}

/// Returns the memory in bytes that an input takes up in addition to its text.
pub(crate) fn footprint(value: &RawValue) -> usize {
    match value {
        RawValue::Json(value) => json::footprint(value),
        RawValue::Bytes(_) | RawValue::Text(_) => 0,
        RawValue::List(items) => items.iter().map(|item| size_of_val(item) + footprint(item)).sum(),
    }
}

/// Returns the approximate size of the inputs in bytes, for [`work_on`].
pub(crate) fn extent(inputs: &RawInputs) -> usize {
    inputs.values().map(length).sum()
}

/// Returns the approximate size of an input in bytes.
pub(crate) fn length(value: &RawValue) -> usize {
    match value {
        RawValue::Json(value) => json::extent(value, LARGE),
        RawValue::Bytes(bytes) => bytes.len(),
        RawValue::Text(text) => text.len(),
        RawValue::List(items) => items.iter().map(length).sum(),
    }
}

/// Decodes text, and charges the decoded text to `reservation`.
fn decode(
    text: &[u8],
    encoding: Encoding,
    reservation: &mut Reservation,
) -> Result<Result<String, NotText>, Failure> {
    let length = match encoding.measure(text) {
        Ok(length) => length,
        Err(error) => return Ok(Err(error)),
    };
    if !reservation.add(length) {
        return Err(Failure::full());
    }
    Ok(Ok(encoding.decode(text, length)))
}

fn members(
    body: &[u8],
    declared: Encoding,
    reservation: &mut Reservation,
) -> Result<Vec<(String, Json)>, Failure> {
    let unreadable = |error: json::Malformed| {
        let advice = match error {
            json::Malformed::NotText(_) => "; send UTF-8, or name the charset in the Content-Type",
            json::Malformed::Fault(_) => "",
        };
        malformed(format!("the body is not a JSON object of inputs: {error}{advice}"))
    };
    if body.is_empty() {
        let message =
            "the body is empty; send a JSON object of inputs such as {\"name\": \"value\"}";
        return Err(malformed(message));
    }
    let encoding = Encoding::of(body, declared);
    if encoding == Encoding::Utf8 {
        return json::members(body).map_err(unreadable);
    }
    let text = decode(body, encoding, reservation)?.map_err(|error| unreadable(error.into()))?;
    json::members(text.as_bytes()).map_err(unreadable)
}

fn form(
    body: &Bytes,
    boundary: &str,
    form_encoding: Encoding,
    reservation: &mut Reservation,
) -> Result<RawInputs, Failure> {
    if body.is_empty() {
        return Err(malformed("the body is empty; send each input as a part of the form"));
    }
    let unreadable = |fault| malformed(format!("the form cannot be read: {fault}"));
    let mut fields = Vec::new();
    for Part { head, mut content } in multipart::parse(body, boundary).map_err(unreadable)? {
        let Some(name) = head.name else {
            return Err(malformed(
                "a part of the form has no name; give each part the name of its input",
            ));
        };
        let transfer_encoding = head.transfer_encoding;
        if transfer_encoding != TransferEncoding::Identity {
            if !reservation.add(content.len()) {
                return Err(Failure::full());
            }
            content = transfer_encoding.decode(&content).ok_or_else(|| {
                malformed(format!(
                    "the part {name:?} is not valid {transfer_encoding}, which its \
                     Content-Transfer-Encoding names"
                ))
            })?;
        }
        let declared = match &head.charset {
            Some(charset) => encoding(charset)?,
            None if head.has_type => Encoding::Utf8,
            None => form_encoding,
        };
        // Some clients send files as parts without a file name. These stay bytes if they are not
        // text.
        let text = if head.is_file { None } else { text(&name, &content, declared, reservation)? };
        let value = text.map_or_else(|| RawValue::Bytes(content), RawValue::Text);
        fields.push((name, value));
    }
    collect_form(fields.into_iter().map(Ok))
}

fn urlencoded(
    body: &[u8],
    declared: Encoding,
    reservation: &mut Reservation,
) -> Result<RawInputs, Failure> {
    let encoding = Encoding::of(body, declared);
    let decoded;
    let (body, declared) = if encoding.is_wide() {
        let unreadable = |error| malformed(format!("the form cannot be read: its {error}"));
        decoded = decode(body, encoding, reservation)?.map_err(unreadable)?;
        (decoded.as_bytes(), Encoding::Utf8)
    } else {
        (encoding.without_mark(body), encoding)
    };
    collect_form(urlencoded::parse(body).map(|(name, value)| {
        let name = text("the name of a field", &name, declared, reservation)?
            .ok_or_else(|| malformed("the name of a field is not UTF-8; name its charset"))?;
        let text = text(&name, &value, declared, reservation)?;
        let value = text.map_or_else(|| RawValue::Bytes(value.into_owned().into()), RawValue::Text);
        Ok((name, value))
    }))
}

/// Returns the text of the field `name`. Returns `None` if the `declared` encoding is the default
/// and the content is not UTF-8, such as a file that a client sends without a file name.
fn text(
    name: &str,
    content: &[u8],
    declared: Encoding,
    reservation: &mut Reservation,
) -> Result<Option<String>, Failure> {
    if declared == Encoding::Utf8 {
        return Ok(std::str::from_utf8(content).ok().map(str::to_owned));
    }
    let decoded = decode(content, Encoding::of(content, declared), reservation)?;
    decoded.map(Some).map_err(|error| {
        let (name, message) = (name.to_owned(), format!("expected text, but its {error}"));
        Error::invalid_inputs(vec![FieldError { name, message }]).into()
    })
}

/// Collects the members of an object. A name that occurs twice is an error, since either value
/// might be the one that was meant.
fn collect(
    fields: impl Iterator<Item = Result<(String, RawValue), Failure>>,
) -> Result<RawInputs, Failure> {
    let mut inputs = RawInputs::new();
    for field in fields {
        let (name, value) = field?;
        if inputs.len() == MAX_FIELDS {
            return Err(too_many());
        }
        if inputs.contains_key(&name) {
            let message = "given more than once".to_owned();
            return Err(Error::invalid_inputs(vec![FieldError { name, message }]).into());
        }
        inputs.insert(name, value);
    }
    Ok(inputs)
}

/// Collects the fields of a form. A name that occurs several times becomes a list, and the schema
/// decides later whether the input may be one.
fn collect_form(
    fields: impl Iterator<Item = Result<(String, RawValue), Failure>>,
) -> Result<RawInputs, Failure> {
    let mut inputs = RawInputs::new();
    for (count, field) in fields.enumerate() {
        let (name, value) = field?;
        if count == MAX_FIELDS {
            return Err(too_many());
        }
        match inputs.get_mut(&name) {
            None => drop(inputs.insert(name, value)),
            Some(RawValue::List(items)) => items.push(value),
            Some(first) => {
                let items = [std::mem::replace(first, RawValue::List(Vec::new())), value];
                *first = RawValue::List(items.into());
            }
        }
    }
    Ok(inputs)
}

/// Reads a body for the fuzz targets: a JSON object, or a form whose boundary is `b`.
#[cfg(fuzzing)]
pub(crate) fn fuzz(body: &Bytes, reservation: Reservation) -> Result<RequestInputs, Failure> {
    let media = if body.starts_with(b"{") { JSON } else { "multipart/form-data; boundary=b" };
    let media = media.parse().expect("it is a media type");
    RequestInputs::parse(&Format { media, encoding: Encoding::Utf8 }, body, reservation)
}

/// Makes the failure of a request with too many inputs.
pub(crate) fn too_many() -> Failure {
    malformed(format!("the request has more than {MAX_FIELDS} inputs"))
}

#[cfg(test)]
mod tests {
    use ai_integration_engine::Budget;

    use super::*;
    use crate::http::failure::Reason;

    fn parsed(content_type: &str, body: Vec<u8>, room: usize) -> Result<RawInputs, Reason> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, content_type.parse().unwrap());
        let format = format(&headers).unwrap().unwrap();
        let mut reservation = Budget::new(room).reserve(None);
        assert!(reservation.add(body.len()));
        let inputs = RequestInputs::parse(&format, &body.into(), reservation);
        inputs.map(|inputs| inputs.raw).map_err(|failure| failure.reason)
    }

    #[test]
    fn decoded_text_is_charged_in_addition_to_the_body() {
        let many = vec![0xe9; 10_000];
        let part = |headers: &str, content: &[u8]| {
            let head = "--b\r\nContent-Disposition: form-data; name=a\r\n";
            let head = format!("{head}{headers}\r\n\r\n");
            [head.as_bytes(), content, b"\r\n--b--"].concat()
        };
        let base64 = "Content-Transfer-Encoding: base64";
        let latin = "Content-Type: text/plain; charset=latin1";
        for (content_type, body, decoded) in [
            (
                "application/json; charset=latin1",
                [b"{\"a\":\"", &many[..], b"\"}"].concat(),
                20_000,
            ),
            (
                "application/x-www-form-urlencoded; charset=latin1",
                [b"a=", &many[..]].concat(),
                20_000,
            ),
            ("multipart/form-data; boundary=b", part(latin, &many), 20_000),
            ("multipart/form-data; boundary=b", part(base64, &b"YWJj".repeat(5000)), 20_000),
        ] {
            let length = body.len();
            let full = parsed(content_type, body.clone(), length + decoded - 1);
            assert_eq!(full.unwrap_err(), Reason::Failed(Kind::QueueFull), "{content_type}");
            let read = parsed(content_type, body, length + decoded + 1000).unwrap();
            assert_eq!(read.keys().collect::<Vec<_>>(), ["a"]);
        }
    }
}
