//! Reads the inputs of several jobs from a list of JSON values: objects with the inputs by name, or
//! the values of the only input.

use ai_integration_contract::{
    Error, Field, InputsSchema, Kind, RawValue, Shape, decode_base64, json as strict,
};
use ai_integration_engine::Reservation;
use serde_json::{Map, Value as Json};

use crate::http::failure::Failure;
use crate::http::inputs::request::{MAX_FIELDS, RequestInputs, too_many};
use crate::http::inputs::unnamed::only;
use crate::http::records::check_count;

/// The member of an object that has bytes in base64.
const B64: &str = "b64";

/// Returns the inputs of each job. At most `limit` instances are read, and each takes its part of the
/// memory of the body, which has `length` bytes, and of its values.
pub(crate) fn records(
    schema: &InputsSchema,
    instances: Vec<Json>,
    limit: usize,
    length: usize,
    mut reservation: Reservation,
) -> Result<Vec<RequestInputs>, Failure> {
    check_count(instances.len(), limit)?;
    let part = length / instances.len().max(1);
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

/// Returns the inputs of an instance: the members of an object, or the value of the only input.
fn members(schema: &InputsSchema, instance: Json) -> Result<Map<String, Json>, Error> {
    let is_file = encoded(&instance).is_some() && !schema.fields().contains_key(B64);
    match instance {
        Json::Object(members) if !is_file => Ok(members),
        value => {
            let (name, _) = only(schema.fields().iter()).ok_or_else(|| {
                Error::new(
                    Kind::MalformedRequest,
                    "an instance is not an object of inputs, and the model does not have exactly one \
                     required input, which it could be",
                )
            })?;
            Ok(Map::from_iter([(name.to_owned(), value)]))
        }
    }
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
