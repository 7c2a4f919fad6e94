//! Reads inputs from a request's body: multipart (RFC 7578), urlencoded, or a JSON object.

use std::fmt::Display;
use std::time::Duration;

use ai_integration_contract::{Error, FieldError, Kind, RawInputs, RawValue, json};
use ai_integration_engine::{BodyBuffer, Reservation};
use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Body as _;
use tokio::time::{Instant, timeout};

use crate::http::App;
use crate::http::failure::Rejection;
use crate::http::inputs::multipart::{self, Part};
use crate::http::limits::{LEAST_RATE, Limits, PAUSE, SLOW_AFTER};

/// How long a body that is refused is read nevertheless.
const LINGER: Duration = Duration::from_secs(5);
/// The most inputs of a request.
const MAX_FIELDS: usize = 1000;

/// The formats that are read, for messages.
const FORMATS: &str = "multipart/form-data, application/x-www-form-urlencoded and application/json";

/// The inputs of a request, in whichever format they came.
#[derive(Debug)]
pub(crate) struct RequestInputs {
    pub(crate) raw: RawInputs,
    /// The memory that they take up.
    pub(crate) hold: Reservation,
}

impl FromRequest<App> for RequestInputs {
    type Rejection = Rejection;

    async fn from_request(request: Request, app: &App) -> Result<Self, Rejection> {
        refuse_encoding(request.headers())?;
        let media = media(request.headers());
        let essence = media.as_ref().map(mime::Mime::essence_str).unwrap_or_default();
        let mut hold = app.budget().reserve();
        match essence {
            "application/json" => {
                let body = body(request, app, &mut hold).await?;
                let raw = object(&body)?;
                // The text of the values takes up no more than the body did.
                if hold.add(raw.values().map(footprint).sum()) {
                    Ok(raw)
                } else {
                    Err(full().into())
                }
            }
            "multipart/form-data" => {
                let boundary = media.as_ref().and_then(|media| media.get_param(mime::BOUNDARY));
                let body = body(request, app, &mut hold).await?;
                form(&body, boundary.map_or("", |boundary| boundary.as_str()))
            }
            "application/x-www-form-urlencoded" => {
                let body = body(request, app, &mut hold).await?;
                collect(
                    form_urlencoded::parse(&body).map(|(name, value)| {
                        (name.into_owned(), RawValue::Text(value.into_owned()))
                    }),
                )
            }
            // A request without a body has no type and no inputs.
            "" if is_empty(request.headers()) => Ok(RawInputs::new()),
            other => {
                let message = format!("a body of type {other:?} is not read here; send {FORMATS}");
                Err(Error::new(Kind::UnsupportedMediaType, message).into())
            }
        }
        .map(|raw| RequestInputs { raw, hold })
    }
}

/// The media type of the body. Its names are in lower case.
fn media(headers: &HeaderMap) -> Option<mime::Mime> {
    headers.get(header::CONTENT_TYPE)?.to_str().ok()?.parse().ok()
}

fn is_empty(headers: &HeaderMap) -> bool {
    let length = headers.get(header::CONTENT_LENGTH);
    !headers.contains_key(header::TRANSFER_ENCODING) && length.is_none_or(|length| length == "0")
}

/// A compressed body must not be taken for its content. Each coding counts, in however many headers
/// and lists they come (RFC 9110, section 8.4).
fn refuse_encoding(headers: &HeaderMap) -> Result<(), Error> {
    let is_plain = |coding: &[u8]| coding.trim_ascii().eq_ignore_ascii_case(b"identity");
    let mut lists = headers.get_all(header::CONTENT_ENCODING).iter();
    if lists.all(|list| list.as_bytes().split(|byte| *byte == b',').all(is_plain)) {
        return Ok(());
    }
    Err(Error::new(
        Kind::UnsupportedMediaType,
        "compressed bodies are not read; send the body without Content-Encoding",
    ))
}

/// Reads the body, which is refused before it comes where it says how long it is.
async fn body(request: Request, app: &App, hold: &mut Reservation) -> Result<Bytes, Error> {
    let Limits { max_body: limit, upload_timeout: upload, .. } = *app.limits();
    let begun = Instant::now();
    let late = |why: String| Error::new(Kind::RequestTimeout, why);
    let waits = request.headers().contains_key(header::EXPECT);
    let too_large = || Error::new(Kind::TooLarge, "the body is larger than this server takes");
    let unreadable = |detail: &dyn Display| {
        Error::new(Kind::MalformedRequest, format!("the body cannot be read: {detail}"))
    };
    let mut body = request.into_body();
    let expected = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    // One that will not be there in time anyhow is not to take up memory until then.
    let least_rate = LEAST_RATE.max(expected as u64 / upload.as_secs().max(1) / 2);
    // Taken before it comes: requests that grow side by side could all be refused in the end.
    let is_too_large = expected > limit;
    if is_too_large || !hold.grow_to(expected) {
        // Whoever waits for leave has not sent anything.
        if !waits {
            let _ = timeout(LINGER, discard(body, limit)).await;
        }
        return Err(if is_too_large { too_large() } else { full() });
    }
    let mut first = Bytes::new();
    let mut whole: Option<BodyBuffer> = None;
    loop {
        let patience = PAUSE.min(upload.saturating_sub(begun.elapsed()));
        let frame = match timeout(patience, body.frame()).await {
            Ok(Some(Ok(frame))) => frame,
            Ok(Some(Err(error))) => return Err(unreadable(&error)),
            Ok(None) => return Ok(whole.map_or(first, BodyBuffer::freeze)),
            Err(_) if patience == PAUSE => {
                let seconds = PAUSE.as_secs();
                return Err(late(format!("nothing of the body came for {seconds} s")));
            }
            Err(_) => {
                let seconds = upload.as_secs_f64();
                return Err(late(format!("the body did not come within {seconds} s")));
            }
        };
        let Ok(data) = frame.into_data() else { continue };
        let read = whole.as_ref().map_or(first.len(), BodyBuffer::len);
        let length = read + data.len();
        let elapsed = begun.elapsed();
        if elapsed > SLOW_AFTER && (length as u64) < least_rate * elapsed.as_secs() {
            return Err(late(format!("the body comes with less than {least_rate} bytes a second")));
        }
        let is_too_large = length > limit;
        if is_too_large || !hold.grow_to(length) {
            drop((first, whole));
            let _ = timeout(LINGER, discard(body, limit)).await;
            return Err(if is_too_large { too_large() } else { full() });
        }
        // A small body comes in one piece, and need not be copied.
        if read == 0 && data.len() >= expected {
            first = data;
            continue;
        }
        let whole = whole.get_or_insert_with(|| {
            let mut whole = BodyBuffer::new(expected.max(first.len() + data.len()));
            whole.extend_from_slice(&std::mem::take(&mut first));
            whole
        });
        whole.extend_from_slice(&data);
    }
}

/// Reads a body that is refused, up to a limit: many clients listen only once they have sent all,
/// and would see nothing but a broken connection.
pub(crate) async fn discard(mut body: Body, limit: usize) {
    let mut read = 0;
    while let Some(Ok(frame)) = body.frame().await {
        read += frame.data_ref().map_or(0, Bytes::len);
        if read > limit {
            return;
        }
    }
}

pub(crate) fn full() -> Error {
    let message = "the server holds as many requests as its memory allows; try again later";
    Error::new(Kind::QueueFull, message)
}

/// What an input takes up in memory beside its text.
pub(crate) fn footprint(value: &RawValue) -> usize {
    match value {
        RawValue::Json(value) => json::footprint(value),
        RawValue::Bytes(_) | RawValue::Text(_) => 0,
    }
}

fn object(body: &[u8]) -> Result<RawInputs, Rejection> {
    let members = json::members(body).map_err(|error| {
        let message = format!("the body is not a JSON object of inputs: {error}");
        Error::new(Kind::MalformedRequest, message)
    })?;
    collect(members.into_iter().map(|(name, value)| (name, RawValue::Json(value))))
}

fn form(body: &Bytes, boundary: &str) -> Result<RawInputs, Rejection> {
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
fn collect(fields: impl Iterator<Item = (String, RawValue)>) -> Result<RawInputs, Rejection> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_coding_of_a_body_counts() {
        for (lists, is_read) in [
            (&[][..], true),
            (&["identity"], true),
            (&["Identity , identity", "identity"], true),
            (&["gzip"], false),
            (&["identity", "gzip"], false),
            (&["identity, gzip"], false),
            (&[""], false),
        ] {
            let mut headers = HeaderMap::new();
            for list in lists {
                headers.append(header::CONTENT_ENCODING, list.parse().unwrap());
            }
            let kind = refuse_encoding(&headers).map_err(|error| error.kind);
            let expected = if is_read { Ok(()) } else { Err(Kind::UnsupportedMediaType) };
            assert_eq!(kind, expected, "{lists:?}");
        }
    }
}
