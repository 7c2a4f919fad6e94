//! Reads requests with a body of any type, as platforms pass them on: JSON, a form, or a file or a text
//! without a name.

use std::sync::Arc;

use ai_integration_contract::{Error, InputsSchema, Kind, RawInputs, RawValue, json as strict};
use ai_integration_engine::{Model, Reservation};
use axum::extract::{FromRef, FromRequest, Request};
use axum::http::HeaderMap;
#[cfg(test)]
use axum::http::header;
use bytes::Bytes;
use mime::Mime;
use serde_json::{Map, Value as Json};

use crate::http::failure::{Failure, Refusal};
use crate::http::inputs::instances;
use crate::http::inputs::intake::Intake;
use crate::http::inputs::media::{content_type, is_json};
use crate::http::inputs::request::{RequestInputs, is_empty};
use crate::http::inputs::text::body_in_utf8;
use crate::http::inputs::unnamed::{for_file, needs_file};
use crate::http::large::work_on;

/// A request with a body of any type.
#[derive(Debug)]
pub(crate) enum AnyBody {
    /// Any JSON. `length` is that of the body in bytes.
    Json { value: Json, length: usize, reservation: Reservation },
    /// The inputs by name from a form, or none from a request without a body.
    Form(RequestInputs),
    /// A text or another file, which is the value of one input. A text has its content type.
    File { bytes: Bytes, text: Option<Mime>, reservation: Reservation },
}

/// The format of a body, from its content type.
enum Format {
    /// JSON, of which the content type may tell the charset.
    Json(Mime),
    Form,
    /// A text, of which the content type may tell the charset.
    Text(Mime),
    File,
    /// The body has no content type.
    Unknown,
}

impl AnyBody {
    /// Returns the inputs of one job. JSON is read as an instance.
    pub(crate) async fn into_inputs(self, model: &Arc<Model>) -> Result<RequestInputs, Failure> {
        match self {
            AnyBody::Form(inputs) => Ok(inputs),
            AnyBody::File { bytes, text, reservation } => {
                file_inputs(&model.schema, bytes, text, reservation).await
            }
            AnyBody::Json { value, length, reservation } => {
                let model = model.clone();
                let read = move || instances::inputs(&model.schema, value, &Map::new());
                Ok(RequestInputs { raw: work_on(length, read).await??, reservation })
            }
        }
    }
}

/// Returns the inputs of a job whose body is the value of one input. `text` is the content type of a
/// body that is a text; if a file is all that the model needs, a text stays as it is too.
pub(crate) async fn file_inputs(
    schema: &InputsSchema,
    bytes: Bytes,
    text: Option<Mime>,
    mut reservation: Reservation,
) -> Result<RequestInputs, Failure> {
    let text = text.filter(|_| !needs_file(schema));
    let name = for_file(schema, text.is_some()).ok_or_else(|| {
        let message = "the body is a file or a text, but the model does not have exactly one \
                       required input for it; send application/json with the inputs by name";
        Failure::refused(Refusal::UnsupportedMediaType, message)
    })?;
    let size = if text.is_some() { bytes.len() } else { 0 };
    let decode = move || {
        let bytes = match text {
            Some(media) => body_in_utf8(&media, bytes, &mut reservation)?,
            None => bytes,
        };
        Ok::<_, Failure>((bytes, reservation))
    };
    let (bytes, reservation) = work_on(size, decode).await??;
    let raw = RawInputs::from([(name.to_owned(), RawValue::Bytes(bytes))]);
    Ok(RequestInputs { raw, reservation })
}

impl<S: Sync> FromRequest<S> for AnyBody
where
    Intake: FromRef<S>,
{
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        let format = Format::of(request.headers())?;
        if matches!(format, Format::Form) || is_empty(request.headers()) {
            return RequestInputs::from_request(request, state).await.map(AnyBody::Form);
        }
        let intake = Intake::from_ref(state);
        let reader = intake.reader();
        let coding = reader.coding(request.headers())?;
        let mut reservation = reader.reserve(&request);
        let body = reader.read(request, coding, &mut reservation).await?;
        Box::pin(work_on(body.len(), move || format.read(body, reservation))).await?
    }
}

impl Format {
    fn of(headers: &HeaderMap) -> Result<Self, Failure> {
        let Some(media) = content_type(headers) else { return Ok(Format::Unknown) };
        let media = media.map_err(|text| {
            let message = format!("the body's Content-Type {text:?} cannot be read");
            Failure::refused(Refusal::UnsupportedMediaType, message)
        })?;
        Ok(match media.essence_str() {
            "multipart/form-data" | "application/x-www-form-urlencoded" => Format::Form,
            _ if is_json(&media) => Format::Json(media),
            _ if media.type_() == mime::TEXT => Format::Text(media),
            _ => Format::File,
        })
    }

    /// Reads a body in this format. `reservation` already has the memory of the body.
    fn read(self, body: Bytes, mut reservation: Reservation) -> Result<AnyBody, Failure> {
        let is_like_json = || matches!(body.trim_ascii_start().first(), Some(b'{' | b'['));
        let bytes = match self {
            Format::Json(media) => body_in_utf8(&media, body, &mut reservation)?,
            Format::Unknown if is_like_json() => body,
            Format::Text(media) => {
                return Ok(AnyBody::File { bytes: body, text: Some(media), reservation });
            }
            _ => return Ok(AnyBody::File { bytes: body, text: None, reservation }),
        };
        let value = parse(&bytes)?;
        if !reservation.add(strict::footprint(&value)) {
            return Err(Failure::full());
        }
        Ok(AnyBody::Json { value, length: bytes.len(), reservation })
    }
}

fn parse(body: &[u8]) -> Result<Json, Error> {
    let malformed = |message| Error::new(Kind::MalformedRequest, message);
    if body.is_empty() {
        return Err(malformed("the body is empty; send JSON".to_owned()));
    }
    strict::parse(body).map_err(|error| malformed(format!("the body is not JSON: {error}")))
}

/// Reads a body that has this content type, unless it is a form.
#[cfg(fuzzing)]
pub(crate) fn fuzz(
    headers: &HeaderMap,
    body: Bytes,
    reservation: Reservation,
) -> Result<Option<AnyBody>, Failure> {
    match Format::of(headers)? {
        Format::Form => Ok(None),
        format => format.read(body, reservation).map(Some),
    }
}

#[cfg(test)]
mod tests {
    use ai_integration_engine::Budget;
    use serde_json::json;

    use super::*;

    /// Reads a body of this content type, and returns what it is with its content as JSON, or the code of
    /// the failure.
    fn read(media: &str, body: &'static [u8]) -> (&'static str, Json) {
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, media.parse().unwrap())]);
        let budget = Budget::new(1 << 20);
        let body = Bytes::from_static(body);
        let read = Format::of(&headers).and_then(|format| match format {
            Format::Form => Ok(("form", Json::Null)),
            format => Ok(match format.read(body, budget.reserve(None))? {
                AnyBody::Json { value, length, .. } => ("json", json!([value, length])),
                AnyBody::File { bytes, text, .. } => {
                    (if text.is_some() { "text" } else { "file" }, json!(bytes.to_vec()))
                }
                AnyBody::Form(_) => ("form", Json::Null),
            }),
        });
        read.unwrap_or_else(|failure| (failure.code(), Json::Null))
    }

    #[test]
    fn a_body_is_read_by_its_content_type() {
        let bytes = json!(b"\xff".to_vec());
        for (media, body, expected) in [
            ("application/json", &b"[1]"[..], ("json", json!([[1], 3]))),
            ("text/json; charset=utf-8 ;", b"1", ("json", json!([1, 1]))),
            ("application/vnd.api+json", b"{}", ("json", json!([{}, 2]))),
            ("application/json; charset=latin1", b"\"\xe9\"", ("json", json!(["é", 4]))),
            ("application/json", b"\xff\xfe1\0", ("json", json!([1, 1]))),
            ("application/json", b"\xff", ("malformed_request", Json::Null)),
            ("application/json", b"{", ("malformed_request", Json::Null)),
            ("application/json", b"", ("malformed_request", Json::Null)),
            ("", b" {}", ("json", json!([{}, 3]))),
            ("", b"\xff", ("file", bytes.clone())),
            ("image/png", b"\xff", ("file", bytes)),
            ("text/plain; charset=latin-1", b"\xe9", ("text", json!([0xe9]))),
            ("multipart/form-data; boundary=b", b"", ("form", Json::Null)),
            ("application/x-www-form-urlencoded", b"a=b", ("form", Json::Null)),
            ("nonsense", b"a", ("unsupported_media_type", Json::Null)),
        ] {
            assert_eq!(read(media, body), expected, "{media} {body:?}");
        }
    }

    #[tokio::test]
    async fn a_text_is_decoded_unless_a_file_is_all_that_the_model_needs() {
        let malformed = Err("malformed_request");
        for (schema, media, body, expected) in [
            ("text", "text/plain; charset=latin-1", b"\xe9", Ok("é".as_bytes())),
            ("text", "text/html", b"\xff", malformed),
            ("text", "text/plain; charset=koi8-r", b"a", malformed),
            ("file", "text/plain; charset=latin-1", b"\xe9", Ok(&b"\xe9"[..])),
            ("file", "text/html", b"\xff", Ok(b"\xff")),
            ("integer", "text/plain", b"1", Err("unsupported_media_type")),
        ] {
            let schema = InputsSchema::parse(&json!({"a": schema})).0;
            let text = Some(media.parse().unwrap());
            let memory = Budget::new(1 << 20).reserve(None);
            let read = file_inputs(&schema, Bytes::from_static(body), text, memory).await;
            let read = read.map(|inputs| inputs.raw["a"].clone()).map_err(|error| error.code());
            let expected = expected.map(|bytes| RawValue::Bytes(Bytes::from_static(bytes)));
            assert_eq!(read, expected, "{media}");
        }
    }
}
