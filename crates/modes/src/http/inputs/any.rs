//! Reads requests with a body of any type, as platforms pass them on: JSON, a form, or a file or a text
//! without a name.

use std::sync::Arc;

use ai_integration_contract::{Error, Kind, RawInputs, RawValue, json as strict};
use ai_integration_engine::{Model, Reservation};
use axum::extract::{FromRef, FromRequest, Request};
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use mime::Mime;
use serde_json::{Map, Value as Json};

use crate::http::failure::{Failure, Refusal};
use crate::http::inputs::instances;
use crate::http::inputs::intake::Intake;
use crate::http::inputs::request::{RequestInputs, is_empty};
use crate::http::inputs::text::in_utf8;
use crate::http::inputs::unnamed::for_file;
use crate::http::large::work_on;

/// A request with a body of any type.
#[derive(Debug)]
pub(crate) enum AnyBody {
    /// Any JSON. `length` is that of the body in bytes.
    Json { value: Json, length: usize, reservation: Reservation },
    /// The inputs by name from a form, or none from a request without a body.
    Form(RequestInputs),
    /// A text in UTF-8, or another file, which is the value of one input.
    File { bytes: Bytes, is_text: bool, reservation: Reservation },
}

/// The format of a body, from its content type.
enum Format {
    Json,
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
            AnyBody::File { bytes, is_text, reservation } => {
                let name = for_file(&model.schema, is_text).ok_or_else(|| {
                    let message = "the body is a file or a text, but the model does not have exactly \
                                   one required input for it; send a JSON object with the inputs";
                    Error::new(Kind::MalformedRequest, message)
                })?;
                let name = name.to_owned();
                let raw = RawInputs::from([(name, RawValue::Bytes(bytes))]);
                Ok(RequestInputs { raw, reservation })
            }
            AnyBody::Json { value, length, reservation } => {
                let model = model.clone();
                let read = move || instances::inputs(&model.schema, value, &Map::new());
                Ok(RequestInputs { raw: work_on(length, read).await??, reservation })
            }
        }
    }
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
        let Some(value) = headers.get(header::CONTENT_TYPE).filter(|value| !value.is_empty())
        else {
            return Ok(Format::Unknown);
        };
        let text = String::from_utf8_lossy(value.as_bytes());
        let media: Mime = text.trim_end_matches([' ', ';']).parse().map_err(|_| {
            let message = format!("the body's Content-Type {text:?} cannot be read");
            Failure::refused(Refusal::UnsupportedMediaType, message)
        })?;
        Ok(match media.essence_str() {
            "multipart/form-data" | "application/x-www-form-urlencoded" => Format::Form,
            _ if is_json(&media) => Format::Json,
            _ if media.type_() == mime::TEXT => Format::Text(media),
            _ => Format::File,
        })
    }

    /// Reads a body in this format. `reservation` already has the memory of the body.
    fn read(self, body: Bytes, mut reservation: Reservation) -> Result<AnyBody, Failure> {
        let is_json = match &self {
            Format::Json => true,
            Format::Unknown => matches!(body.trim_ascii_start().first(), Some(b'{' | b'[')),
            _ => false,
        };
        if is_json {
            let value = parse(&body)?;
            if !reservation.add(strict::footprint(&value)) {
                return Err(Failure::full());
            }
            return Ok(AnyBody::Json { value, length: body.len(), reservation });
        }
        if let Format::Text(media) = self {
            let bytes = in_utf8("the body", &media, body)?;
            return Ok(AnyBody::File { bytes, is_text: true, reservation });
        }
        Ok(AnyBody::File { bytes: body, is_text: false, reservation })
    }
}

fn parse(body: &[u8]) -> Result<Json, Error> {
    let malformed = |message| Error::new(Kind::MalformedRequest, message);
    if body.is_empty() {
        return Err(malformed("the body is empty; send JSON".to_owned()));
    }
    strict::parse(body).map_err(|error| malformed(format!("the body is not JSON: {error}")))
}

/// Returns true if a media type is that of JSON (RFC 6839).
fn is_json(media: &Mime) -> bool {
    let is_named = matches!(media.essence_str(), "application/json" | "text/json");
    is_named || media.suffix() == Some(mime::JSON)
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
                AnyBody::File { bytes, is_text: true, .. } => {
                    ("text", json!(std::str::from_utf8(&bytes).unwrap()))
                }
                AnyBody::File { bytes, .. } => ("file", json!(bytes.to_vec())),
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
            ("application/json", b"{", ("malformed_request", Json::Null)),
            ("application/json", b"", ("malformed_request", Json::Null)),
            ("", b" {}", ("json", json!([{}, 3]))),
            ("", b"\xff", ("file", bytes.clone())),
            ("image/png", b"\xff", ("file", bytes)),
            ("text/plain; charset=latin-1", b"\xe9", ("text", json!("é"))),
            ("text/html", b"\xff", ("malformed_request", Json::Null)),
            ("text/plain; charset=koi8-r", b"a", ("malformed_request", Json::Null)),
            ("multipart/form-data; boundary=b", b"", ("form", Json::Null)),
            ("application/x-www-form-urlencoded", b"a=b", ("form", Json::Null)),
            ("nonsense", b"a", ("unsupported_media_type", Json::Null)),
        ] {
            assert_eq!(read(media, body), expected, "{media} {body:?}");
        }
    }
}
