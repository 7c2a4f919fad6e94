//! The data of a request for predictions, and the inputs of jobs that are made from it.

use ai_integration_contract::{
    Error, Field, InputsSchema, Kind, RawInputs, RawValue, Shape, decode_base64, json as strict,
};
use ai_integration_engine::Reservation;
use bytes::Bytes;
use serde_json::{Map, Value as Json};

use crate::http::failure::Failure;
use crate::http::inputs::request::{MAX_FIELDS, RequestInputs, too_many};
use crate::http::inputs::unnamed::only;
use crate::http::records::check_count;

/// The member of an object that has bytes in base64.
const B64: &str = "b64";

/// The data of a request, before the model's schema is applied.
#[derive(Debug, PartialEq)]
pub(crate) enum Content {
    /// The instances of the V1 protocol.
    Instances(Vec<Json>),
    /// A text in UTF-8, or another file, which is the value of one input.
    Value { bytes: Bytes, is_text: bool },
}

impl Content {
    /// Returns the memory in bytes that the content takes up in addition to its text.
    pub(super) fn footprint(&self) -> usize {
        match self {
            Content::Instances(instances) => instances.iter().map(strict::footprint).sum(),
            Content::Value { .. } => 0,
        }
    }

    /// Returns the inputs of each job. At most `limit` instances are read, and each takes its part of
    /// the memory of the body, which has `length` bytes, and of its values.
    pub(crate) fn records(
        self,
        schema: &InputsSchema,
        limit: usize,
        length: usize,
        mut reservation: Reservation,
    ) -> Result<Vec<RequestInputs>, Failure> {
        let instances = match self {
            Content::Instances(instances) => instances,
            Content::Value { bytes, is_text } => {
                let name = input_for_file(schema, is_text)?.to_owned();
                let raw = RawInputs::from([(name, RawValue::Bytes(bytes))]);
                return Ok(vec![RequestInputs { raw, reservation }]);
            }
        };
        check_count(instances.len(), limit)?;
        let part = length / instances.len();
        let records = instances.into_iter().map(|instance| {
            let reservation = reservation.split(part + strict::footprint(&instance));
            let members = members(schema, instance)?;
            if members.len() > MAX_FIELDS {
                return Err(too_many());
            }
            let raw = members.into_iter().map(|(name, value)| {
                let value = unwrapped(schema.fields().get(&name), value);
                (name, value)
            });
            Ok(RequestInputs { raw: raw.collect(), reservation })
        });
        records.collect()
    }
}

/// Returns the inputs of an instance: the members of an object, or the value of the only input.
fn members(schema: &InputsSchema, instance: Json) -> Result<Map<String, Json>, Error> {
    let is_file = encoded(&instance).is_some() && !schema.fields().contains_key(B64);
    match instance {
        Json::Object(members) if !is_file => Ok(members),
        value => {
            let (name, _) = only(schema.fields().iter()).ok_or_else(|| {
                malformed(
                    "an instance is not an object of inputs, and the model does not have exactly one \
                     required input, which it could be",
                )
            })?;
            Ok(Map::from_iter([(name.to_owned(), value)]))
        }
    }
}

/// Returns the input that a file or a text without a name is for.
fn input_for_file(schema: &InputsSchema, is_text: bool) -> Result<&str, Error> {
    let fields = schema.fields().iter();
    let texts = fields.clone().filter(|(_, field)| matches!(field.shape(), Shape::Text { .. }));
    let files = fields.filter(|(_, field)| matches!(field.shape(), Shape::Blob { .. }));
    let (texts, files) = (only(texts), only(files));
    let fitting = if is_text { texts.or(files) } else { files.or(texts) };
    fitting.map(|(name, _)| name).ok_or_else(|| {
        malformed(
            "the event's data is a file or a text, but the model does not have exactly one required \
             input for it; send JSON with \"instances\"",
        )
    })
}

/// Returns the value of an input, with the bytes in the place of `{"b64": …}`. In an input of any JSON
/// such an object stays as it is.
fn unwrapped(field: Option<&Field>, mut json: Json) -> RawValue {
    match field.map(Field::shape) {
        Some(Shape::Json) => {}
        // The base64 of files is decoded later, into the memory from which workers read it.
        Some(Shape::Blob { .. }) => match &mut json {
            Json::Array(items) => items.iter_mut().for_each(unwrap_text),
            one => unwrap_text(one),
        },
        _ => {
            if let Some(bytes) = encoded(&json).and_then(decode_base64) {
                return RawValue::Bytes(bytes);
            }
        }
    }
    RawValue::Json(json)
}

/// Replaces `{"b64": …}` by its text.
fn unwrap_text(json: &mut Json) {
    if encoded(json).is_some()
        && let Some(text) = json.get_mut(B64)
    {
        *json = text.take();
    }
}

/// Returns the base64 of an object that has it, and perhaps the content type as in a prediction.
fn encoded(json: &Json) -> Option<&str> {
    let members = json.as_object()?;
    let is_file = members.keys().all(|name| name == B64 || name == "content_type");
    members.get(B64).filter(|_| is_file)?.as_str()
}

/// Returns the instances of the JSON of the V1 protocol. A value of `inputs` that is not a list is one
/// instance.
pub(super) fn instances(body: Json) -> Result<Content, Error> {
    let Json::Object(mut body) = body else {
        return Err(malformed("expected a JSON object with \"instances\""));
    };
    match (body.remove("instances"), body.remove("inputs")) {
        (Some(_), Some(_)) => {
            Err(malformed("the JSON has both \"instances\" and \"inputs\"; send one of them"))
        }
        (None, None) => Err(malformed("the JSON has neither \"instances\" nor \"inputs\"")),
        (Some(Json::Array(list)), None) | (None, Some(Json::Array(list))) => {
            if list.is_empty() {
                Err(malformed("the list of instances is empty"))
            } else {
                Ok(Content::Instances(list))
            }
        }
        (Some(_), None) => Err(malformed("\"instances\" is not a list")),
        (None, Some(one)) => Ok(Content::Instances(vec![one])),
    }
}

pub(super) fn malformed(message: impl Into<String>) -> Error {
    Error::new(Kind::MalformedRequest, message.into())
}

#[cfg(test)]
mod tests;
