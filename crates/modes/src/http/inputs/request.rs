//! Reads inputs from a request's body: multipart (RFC 7578), urlencoded, or a JSON object.

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

/// The facts that the head of a request tells of its body.
struct Format {
    media: mime::Mime,
    /// The encoding of its text, unless the text itself tells another one.
    encoding: Encoding,
}

impl RequestInputs {
    /// The inputs in a body of this format, whose memory `reservation` has.
    fn parse(format: &Format, body: &Bytes, mut reservation: Reservation) -> Result<Self, Failure> {
        let essence = format.media.essence_str();
        if essence == JSON {
            return RequestInputs::from_members(
                members(body, format.encoding, &mut reservation)?,
                reservation,
            );
        }
        if is_json(body) {
            let message = "the body is JSON, but its Content-Type says that it is a form; \
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

    /// The inputs that are the members of a JSON object. `reservation` has the memory for their
    /// text, and grows by what they take up beside it.
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

/// Finds the format of the body, if it is one that is read. A request without a body has no type and
/// no inputs.
fn format(headers: &HeaderMap) -> Result<Option<Format>, Failure> {
    let unsupported = |message: String| Failure::refused(Refusal::UnsupportedMediaType, message);
    let value = headers.get(header::CONTENT_TYPE).filter(|value| !value.is_empty());
    let Some(value) = value else {
        let message = format!("the body has no Content-Type; send {FORMATS}");
        return if is_empty(headers) { Ok(None) } else { Err(unsupported(message)) };
    };
    // Most have no parameters, which is quicker to see than to read.
    if value == JSON {
        return Ok(Some(Format { media: mime::APPLICATION_JSON, encoding: Encoding::Utf8 }));
    }
    let text = String::from_utf8_lossy(value.as_bytes());
    // Its names are in lower case then.
    let media = text.trim_end_matches([' ', ';']).parse().ok();
    let media = media.filter(|media: &mime::Mime| READ.contains(&media.essence_str()));
    let Some(media) = media else {
        let message = format!("a body of type {text:?} is not read here; send {FORMATS}");
        return Err(unsupported(message));
    };
    let charset = media.get_param(mime::CHARSET).map(|charset| charset.as_str());
    let encoding = charset.map_or(Ok(Encoding::Utf8), encoding)?;
    Ok(Some(Format { media, encoding }))
}

/// Finds the encoding that a `charset` names.
fn encoding(charset: &str) -> Result<Encoding, Failure> {
    Encoding::named(charset).ok_or_else(|| {
        let names = Encoding::NAMES;
        let message = format!("text in the charset {charset:?} is not read here; send {names}");
        Failure::refused(Refusal::UnsupportedMediaType, message)
    })
}

/// Tells whether a body begins as JSON does and no form: a name there begins with neither bracket.
/// `curl -d` sends JSON under the type of a form unless it is told another one, and `--data-urlencode`
/// escapes it besides.
fn is_json(body: &[u8]) -> bool {
    let text = Encoding::of(body, Encoding::Utf8).without_mark(body);
    let is_escaped = text.get(..3).is_some_and(|start| start.eq_ignore_ascii_case(b"%7b"));
    // In UTF-16 and UTF-32 zeros stand between the characters.
    let mut characters = text.iter().filter(|byte| **byte != 0 && !byte.is_ascii_whitespace());
    is_escaped || matches!(characters.next(), Some(b'{' | b'['))
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
        RawValue::List(items) => items.iter().map(|item| size_of_val(item) + footprint(item)).sum(),
    }
}

/// About the bytes of inputs that are to be read again, for [`work_on`].
pub(crate) fn extent(inputs: &RawInputs) -> usize {
    inputs.values().map(length).sum()
}

fn length(value: &RawValue) -> usize {
    match value {
        RawValue::Json(value) => json::extent(value, LARGE),
        RawValue::Bytes(bytes) => bytes.len(),
        RawValue::Text(text) => text.len(),
        RawValue::List(items) => items.iter().map(length).sum(),
    }
}

/// Decodes text, for which `reservation` grows.
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
    of_form: Encoding,
    reservation: &mut Reservation,
) -> Result<RawInputs, Failure> {
    if body.is_empty() {
        return Err(malformed("the body is empty; send each input as a part of the form"));
    }
    let unreadable = |fault| malformed(format!("the form cannot be read: {fault}"));
    let mut fields = Vec::new();
    for Part { head, mut content } in multipart::parse(body, boundary).map_err(unreadable)? {
        let Some(name) = head.name else {
            return Err(malformed("a part of the form has no name; name each after its input"));
        };
        let transfer_encoding = head.transfer_encoding;
        if transfer_encoding != TransferEncoding::Identity {
            if !reservation.add(content.len()) {
                return Err(Failure::full());
            }
            content = transfer_encoding.decode(&content).ok_or_else(|| {
                malformed(format!(
                    "the part {name:?} is not {transfer_encoding}, as its \
                     Content-Transfer-Encoding says"
                ))
            })?;
        }
        let declared = match &head.charset {
            Some(charset) => encoding(charset)?,
            None if head.has_type => Encoding::Utf8,
            None => of_form,
        };
        // Some clients send files as parts without a name of their own.
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

/// The text of the field `name`. `None` where it names no encoding and is not UTF-8, as files are
/// that come without a name of their own.
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

/// Collects the members of an object. One that is given twice is refused: which one counts would be a guess.
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

/// Collects the fields of a form. One may be given several times: the schema says whether it is a list.
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

fn too_many() -> Failure {
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
    fn what_is_decoded_takes_memory_beside_the_body() {
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
