//! Reads instances: the records of protocols whose requests have a list of them. An instance is an
//! object of inputs by name, or the value of the one input that the model needs. `{"b64": …}` has the
//! bytes of an input.

use ai_integration_contract::{
    Error, Field, InputsSchema, Kind, RawInputs, RawValue, Shape, decode_base64, json as strict,
};
use ai_integration_engine::Reservation;
use serde_json::{Map, Value as Json};

use crate::http::failure::Failure;
use crate::http::inputs::request::{MAX_FIELDS, RequestInputs, too_many};
use crate::http::inputs::unnamed::{is_one_value, only};
use crate::http::records::check_count;

/// The member of an object that has bytes in base64.
const B64: &str = "b64";

/// Returns the inputs of each job. At most `limit` instances are read, and each takes its part of the
/// memory of the body, which has `length` bytes, and of its values.
pub(crate) fn records(
    schema: &InputsSchema,
    list: Vec<Json>,
    limit: usize,
    length: usize,
    reservation: Reservation,
) -> Result<Vec<RequestInputs>, Failure> {
    let parameters = Map::new();
    Instances { list, parameters, length, reservation }.read(schema, limit, by_name)
}

/// Makes the inputs of a job from an instance and the parameters.
type Reader = fn(&InputsSchema, Json, &Map<String, Json>) -> Result<RawInputs, Failure>;

/// The instances of a request that also has parameters.
#[derive(Debug)]
pub(crate) struct Instances {
    pub(crate) list: Vec<Json>,
    /// The inputs of every instance that does not have its own.
    pub(crate) parameters: Map<String, Json>,
    /// The length of the body in bytes.
    pub(crate) length: usize,
    /// The memory of the body and of its values.
    pub(crate) reservation: Reservation,
}

impl Instances {
    /// Returns the inputs of each job. At most `limit` instances are read, and each takes its part of
    /// the memory of the body, of its values, and of a copy of the parameters.
    pub(crate) fn records(
        self,
        schema: &InputsSchema,
        limit: usize,
    ) -> Result<Vec<RequestInputs>, Failure> {
        self.read(schema, limit, inputs)
    }

    /// Returns the inputs of each job, which `read` makes of an instance and the parameters.
    fn read(
        self,
        schema: &InputsSchema,
        limit: usize,
        read: Reader,
    ) -> Result<Vec<RequestInputs>, Failure> {
        let Instances { list, parameters, length, mut reservation } = self;
        check_count(list.len(), limit)?;
        let size = |value: &Json| strict::extent(value, usize::MAX) + strict::footprint(value);
        let copied: usize = parameters.iter().map(|(name, value)| name.len() + size(value)).sum();
        if !reservation.add(copied.saturating_mul(list.len().saturating_sub(1))) {
            return Err(Failure::full());
        }
        let part = length / list.len().max(1) + copied;
        let records = list.into_iter().map(|instance| {
            let reservation = reservation.split(part + strict::footprint(&instance));
            Ok(RequestInputs { raw: read(schema, instance, &parameters)?, reservation })
        });
        records.collect()
    }
}

/// Returns the inputs of an instance, and the parameters that it does not have itself. An object without
/// names of inputs is the value of the only input, if this takes any JSON.
pub(crate) fn inputs(
    schema: &InputsSchema,
    instance: Json,
    parameters: &Map<String, Json>,
) -> Result<RawInputs, Failure> {
    let free = schema.fields().iter().filter(|(name, _)| !parameters.contains_key(*name));
    let instance = match (instance, only(free)) {
        (Json::Object(members), Some((name, _)))
            if is_one_value(schema, |name| parameters.contains_key(name), &members) =>
        {
            Json::Object(Map::from_iter([(name.to_owned(), members.into())]))
        }
        (instance, _) => instance,
    };
    by_name(schema, instance, parameters)
}

/// Returns the inputs of an instance: the members of an object, or the value of the only input, and the
/// parameters that it does not have itself.
fn by_name(
    schema: &InputsSchema,
    instance: Json,
    parameters: &Map<String, Json>,
) -> Result<RawInputs, Failure> {
    let mut all = members(schema, instance, parameters)?;
    for (name, value) in parameters {
        if !all.contains_key(name) {
            all.insert(name.clone(), value.clone());
        }
    }
    if all.len() > MAX_FIELDS {
        return Err(too_many());
    }
    let raw = all.into_iter().map(|(name, value)| {
        let value = unwrapped(schema.fields().get(&name), value);
        (name, value)
    });
    Ok(raw.collect())
}

fn members(
    schema: &InputsSchema,
    instance: Json,
    parameters: &Map<String, Json>,
) -> Result<Map<String, Json>, Error> {
    let is_file = encoded(&instance).is_some() && !schema.fields().contains_key(B64);
    let is_given = |name: &str| parameters.contains_key(name);
    match instance {
        Json::Object(members) if !is_file => Ok(members),
        value => {
            let free = schema.fields().iter().filter(|(name, _)| !is_given(name));
            let (name, _) = only(free).ok_or_else(|| {
                let message = "an instance is not an object of inputs, and the model does not have \
                               exactly one required input, which it could be";
                Error::new(Kind::MalformedRequest, message)
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

#[cfg(test)]
mod tests {
    use ai_integration_engine::Budget;
    use serde_json::json;

    use super::*;

    /// Returns the inputs of each instance as JSON, or the code of the failure.
    fn read(schema: &Json, list: &Json, parameters: &Json) -> Result<Json, &'static str> {
        let (schema, _) = InputsSchema::parse(schema);
        let budget = Budget::new(1 << 20);
        let instances = Instances {
            list: list.as_array().unwrap().clone(),
            parameters: parameters.as_object().unwrap().clone(),
            length: 100,
            reservation: budget.reserve(None),
        };
        let records = instances.records(&schema, 3).map_err(|failure| failure.code())?;
        let members = records.iter().map(|record| {
            let members = record.raw.iter().map(|(name, value)| match value {
                RawValue::Json(value) => (name.clone(), value.clone()),
                other => panic!("{other:?}"),
            });
            Json::Object(members.collect())
        });
        Ok(members.collect())
    }

    #[test]
    fn parameters_are_inputs_of_every_instance_that_does_not_have_its_own() {
        let schema = json!({"text": "text", "style": "text"});
        let style = json!({"style": "old"});
        for (list, parameters, expected) in [
            (
                json!([{"text": "a"}, {"text": "b", "style": "new"}, "c"]),
                &style,
                Ok(json!([
                    {"text": "a", "style": "old"},
                    {"text": "b", "style": "new"},
                    {"text": "c", "style": "old"},
                ])),
            ),
            (json!([]), &style, Ok(json!([]))),
            (json!(["a"]), &json!({}), Err("malformed_request")),
            (json!([1, 2, 3, 4]), &style, Err("too_large")),
        ] {
            assert_eq!(read(&schema, &list, parameters), expected, "{list} {parameters}");
        }
    }

    #[test]
    fn an_object_without_the_names_of_inputs_is_the_value_of_an_input_of_any_json() {
        let schema = json!({"data": "json", "unit": {"type": "text", "required": false}});
        let list = json!([{"a": 1}, {"data": 1}, {"unit": "px"}]);
        let expected = json!([{"data": {"a": 1}}, {"data": 1}, {"unit": "px"}]);
        assert_eq!(read(&schema, &list, &json!({})), Ok(expected));
    }

    #[test]
    fn each_record_takes_its_part_of_the_reserved_memory() {
        let (schema, _) = InputsSchema::parse(&json!({"a": "json"}));
        let list = vec![json!({"a": 1}), json!({"a": [1, 2]})];
        let budget = Budget::new(1 << 20);
        let mut reservation = budget.reserve(None);
        assert!(reservation.add(100 + list.iter().map(strict::footprint).sum::<usize>()));
        let parameters = Map::from_iter([("b".to_owned(), json!("long text"))]);
        let instances = Instances { list, parameters, length: 100, reservation };
        let mut records = instances.records(&schema, 2).unwrap();
        let large = records.pop().unwrap();
        drop(records);
        assert!(budget.taken() >= 50 + strict::footprint(&json!({"a": [1, 2]})));
        drop(large);
        assert_eq!(budget.taken(), 0);
    }
}
