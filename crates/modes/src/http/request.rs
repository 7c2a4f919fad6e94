//! Reads inputs from a request's body: multipart (RFC 7578), urlencoded, or a JSON object.

use ai_integration_contract::{Error, FieldError, InvalidInputs, Kind, RawInputs, RawValue};
use axum::body::Bytes;
use axum::extract::multipart::{Multipart, MultipartError};
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;

use super::answer::Rejection;

/// The formats that are read, for messages.
const FORMATS: &str = "multipart/form-data, application/x-www-form-urlencoded and application/json";

/// The inputs of a request, in whichever format they came.
#[derive(Debug)]
pub(super) struct RequestInputs(pub(super) RawInputs);

impl<S: Send + Sync> FromRequest<S> for RequestInputs {
    type Rejection = Rejection;

    async fn from_request(request: Request, state: &S) -> Result<Self, Rejection> {
        refuse_encoding(request.headers())?;
        let essence = essence(request.headers());
        match essence.as_str() {
            "multipart/form-data" => multipart(request, state).await,
            "application/x-www-form-urlencoded" => {
                let body = body(request, state).await?;
                collect(
                    form_urlencoded::parse(&body).map(|(name, value)| {
                        (name.into_owned(), RawValue::Text(value.into_owned()))
                    }),
                )
            }
            "application/json" => json(&body(request, state).await?),
            // A request without a body has no type and no inputs.
            "" if is_empty(request.headers()) => Ok(RawInputs::new()),
            other => {
                let message = format!("a body of type {other:?} is not read here; send {FORMATS}");
                Err(Error::new(Kind::UnsupportedMediaType, message).into())
            }
        }
        .map(RequestInputs)
    }
}

/// The media type without its parameters.
fn essence(headers: &HeaderMap) -> String {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media = value.and_then(|value| value.parse::<mime::Mime>().ok());
    media.map(|media| media.essence_str().to_ascii_lowercase()).unwrap_or_default()
}

fn is_empty(headers: &HeaderMap) -> bool {
    let length = headers.get(header::CONTENT_LENGTH);
    !headers.contains_key(header::TRANSFER_ENCODING) && length.is_none_or(|length| length == "0")
}

/// A compressed body must not be taken for its content.
fn refuse_encoding(headers: &HeaderMap) -> Result<(), Error> {
    match headers.get(header::CONTENT_ENCODING) {
        Some(encoding) if encoding != "identity" => Err(Error::new(
            Kind::UnsupportedMediaType,
            "compressed bodies are not read; send the body without Content-Encoding",
        )),
        _ => Ok(()),
    }
}

async fn body<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Rejection> {
    Bytes::from_request(request, state).await.map_err(|rejection| {
        let message = rejection.body_text();
        unreadable(rejection.into_response().status(), &message).into()
    })
}

fn json(body: &[u8]) -> Result<RawInputs, Rejection> {
    let members: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(body)
        .map_err(|error| {
            let message = format!("the body is not a JSON object of inputs: {error}");
            Error::new(Kind::MalformedRequest, message)
        })?;
    Ok(members.into_iter().map(|(name, value)| (name, RawValue::Json(value))).collect())
}

async fn multipart<S: Send + Sync>(request: Request, state: &S) -> Result<RawInputs, Rejection> {
    let mut parts = Multipart::from_request(request, state)
        .await
        .map_err(|rejection| unreadable(rejection.status(), &rejection.body_text()))?;
    let broken = |error: MultipartError| unreadable(error.status(), &error.body_text());
    let mut fields = Vec::new();
    while let Some(part) = parts.next_field().await.map_err(broken)? {
        let Some(name) = part.name().map(str::to_owned) else {
            let message = "a part of the form has no name; name each after its input";
            return Err(Error::new(Kind::MalformedRequest, message).into());
        };
        let is_file = part.file_name().is_some();
        let bytes = part.bytes().await.map_err(broken)?;
        let value = if is_file {
            RawValue::Bytes(bytes)
        } else {
            // Some clients send files as parts without a name of their own.
            match String::from_utf8(bytes.into()) {
                Ok(text) => RawValue::Text(text),
                Err(error) => RawValue::Bytes(error.into_bytes().into()),
            }
        };
        fields.push((name, value));
    }
    collect(fields.into_iter())
}

/// An input given twice is no input: which one counts would be a guess.
fn collect(fields: impl Iterator<Item = (String, RawValue)>) -> Result<RawInputs, Rejection> {
    let mut inputs = RawInputs::new();
    for (name, value) in fields {
        if inputs.contains_key(&name) {
            let message = "given more than once".to_owned();
            return Err(InvalidInputs(vec![FieldError { name, message }]).into());
        }
        inputs.insert(name, value);
    }
    Ok(inputs)
}

fn unreadable(status: StatusCode, detail: &str) -> Error {
    match status {
        StatusCode::PAYLOAD_TOO_LARGE => {
            Error::new(Kind::TooLarge, "the body is larger than this server takes")
        }
        _ => Error::new(Kind::MalformedRequest, format!("the body cannot be read: {detail}")),
    }
}
