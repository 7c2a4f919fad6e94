//! Reads requests whose body is a JSON object of a protocol, with the inputs of the model somewhere in
//! it.

use ai_integration_contract::{Error, FieldError, Kind, json as strict};
use ai_integration_engine::Reservation;
use axum::extract::{FromRef, FromRequest, Request};
use axum::http::HeaderMap;
use bytes::Bytes;
use serde_json::{Map, Value as Json};

use crate::http::failure::{Failure, Refusal};
use crate::http::inputs::intake::Intake;
use crate::http::inputs::media::{content_type, is_json};
use crate::http::large::work_on;

/// The type under which `curl -d` sends JSON.
const FORM: &str = "application/x-www-form-urlencoded";
/// The member that asks for an answer in parts.
pub(crate) const STREAM: &str = "stream";
/// The members of a language client's request that the server handles itself. They are never inputs.
pub(crate) const HANDLED: [&str; 3] = ["model", STREAM, "stream_options"];
/// The maximum length of a text of the client in an error, in bytes.
const MAX_EXCERPT: usize = 100;

/// The members of the JSON object in a body.
#[derive(Debug)]
pub(crate) struct Envelope {
    pub(crate) members: Map<String, Json>,
    /// The length of the body in bytes.
    pub(crate) length: usize,
    /// The memory of the body and of its values.
    pub(crate) reservation: Reservation,
}

impl<S: Sync> FromRequest<S> for Envelope
where
    Intake: FromRef<S>,
{
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        check_type(request.headers())?;
        let parse = |body: Bytes| {
            let value = read(&body);
            (value.as_ref().map_or(0, strict::footprint), value)
        };
        let (value, length, reservation) =
            read_body(&Intake::from_ref(state), request, parse).await?;
        match value? {
            Json::Object(members) => Ok(Envelope { members, length, reservation }),
            _ => Err(malformed("the body is not a JSON object").into()),
        }
    }
}

/// Reads a body, of which `parse` makes a value and counts the memory that the value takes up.
/// Returns the value, the length of the body, and the memory of both.
pub(crate) async fn read_body<T: Send + 'static>(
    intake: &Intake,
    request: Request,
    parse: impl FnOnce(Bytes) -> (usize, T) + Send + 'static,
) -> Result<(T, usize, Reservation), Failure> {
    let reader = intake.reader();
    let coding = reader.coding(request.headers())?;
    let mut reservation = reader.reserve(&request);
    let body = reader.read(request, coding, &mut reservation).await?;
    let length = body.len();
    let (footprint, value) = Box::pin(work_on(length, move || parse(body))).await?;
    if !reservation.add(footprint) {
        return Err(Failure::full());
    }
    Ok((value, length, reservation))
}

impl Envelope {
    /// Returns true if the request asks for an answer that is streamed.
    pub(crate) fn is_streamed(&self) -> Result<bool, Error> {
        self.members.get(STREAM).map_or(Ok(false), |value| flag(value, STREAM))
    }
}

/// Returns the value of a member that is true or false. A member that is `null` is false.
pub(crate) fn flag(value: &Json, name: &str) -> Result<bool, Error> {
    match value {
        Json::Null => Ok(false),
        Json::Bool(flag) => Ok(*flag),
        _ => Err(no_flag(name)),
    }
}

/// Makes the error of a member that is neither true nor false.
pub(crate) fn no_flag(name: &str) -> Error {
    unfit(name, "expected true or false")
}

/// Makes the error of a member of a request that does not fit.
pub(crate) fn unfit(name: &str, message: impl Into<String>) -> Error {
    let (name, message) = (name.to_owned(), message.into());
    Error::invalid_inputs(vec![FieldError { name, message }])
}

/// Returns the beginning of a text of the client, for an error.
pub(crate) fn excerpt(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_EXCERPT)]
}

fn read(body: &[u8]) -> Result<Json, Error> {
    if body.is_empty() {
        return Err(malformed("the body is empty; send a JSON object"));
    }
    strict::parse(body).map_err(|error| malformed(format!("the body is not JSON: {error}")))
}

/// Refuses a body that is not JSON by its type. `curl -d` sends JSON under the type of a form.
fn check_type(headers: &HeaderMap) -> Result<(), Failure> {
    let text = match content_type(headers) {
        None => return Ok(()),
        Some(Ok(media)) if is_json(&media) || media.essence_str() == FORM => {
            return Ok(());
        }
        Some(Ok(media)) => media.to_string(),
        Some(Err(text)) => text,
    };
    let message = format!("a body of type {text:?} is not supported; send application/json");
    Err(Failure::refused(Refusal::UnsupportedMediaType, message))
}

fn malformed(message: impl Into<String>) -> Error {
    Error::new(Kind::MalformedRequest, message.into())
}
