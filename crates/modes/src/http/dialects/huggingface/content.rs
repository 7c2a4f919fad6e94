//! The inputs of jobs that are made from a request's `inputs`, its `parameters`, and its other members.

use ai_integration_contract::{
    Error, InputsSchema, Kind, RawInputs, RawValue, Shape, json as strict,
};
use serde_json::Value as Json;

use crate::http::failure::Failure;
use crate::http::inputs::envelope::{STREAM, flag, unfit};
use crate::http::inputs::request::{MAX_FIELDS, RequestInputs, too_many};
use crate::http::inputs::unnamed::{is_one_value, only};
use crate::http::records::copies;

const INPUTS: &str = "inputs";
const PARAMETERS: &str = "parameters";

/// The jobs of a request.
#[derive(Debug)]
pub(crate) struct Records {
    pub(crate) jobs: Vec<RequestInputs>,
    /// True if the request has a list of values, so that its answer is a list too.
    pub(crate) is_list: bool,
    /// True if the request asks for its answer as it is made.
    pub(crate) is_streamed: bool,
    /// The input that the value without a name is for, if there is one.
    pub(crate) name: Option<String>,
}

/// Returns true if a JSON object may have the form of this dialect.
pub(super) fn is_shaped(members: &RawInputs) -> bool {
    let has_parameters = matches!(members.get(PARAMETERS), Some(RawValue::Json(Json::Object(_))));
    has_parameters || members.contains_key(INPUTS)
}

/// Returns true if the schema has the members that would give a JSON object the form of this dialect.
pub(super) fn is_whole_request(schema: &InputsSchema, members: &RawInputs) -> bool {
    let mark = if members.contains_key(INPUTS) { INPUTS } else { PARAMETERS };
    schema.fields().contains_key(mark)
}

/// Returns the input for a file without a name, if the model needs nothing else.
pub(super) fn sole_file(schema: &InputsSchema) -> Option<&str> {
    let fields = schema.fields().iter();
    let files = fields.filter(|(_, field)| matches!(field.shape(), Shape::Blob { .. }));
    let (name, _) = only(files)?;
    let mut others = schema.fields().iter().filter(|(other, _)| *other != name);
    others.all(|(_, field)| !field.required).then_some(name)
}

/// Returns the inputs of each job. Members of the request that the schema does not have are ignored,
/// because clients send those of every model.
pub(crate) fn records(
    schema: &InputsSchema,
    inputs: RequestInputs,
    limit: usize,
) -> Result<Records, Failure> {
    let RequestInputs { mut raw, reservation } = inputs;
    let stream = raw.swap_remove(STREAM).and_then(json).unwrap_or_default();
    let is_streamed = flag(&stream, STREAM)?;
    let unnamed = raw.swap_remove(INPUTS).and_then(json).filter(|value| !value.is_null());
    let mut named = named(schema, raw)?;
    let mut target = None;
    match unnamed {
        None => {}
        Some(value) if is_given(schema, &named, &value) => {}
        Some(Json::Object(members))
            if !is_one_value(schema, |name: &str| named.contains_key(name), &members) =>
        {
            named.extend(members.into_iter().map(|(name, value)| (name, RawValue::Json(value))));
        }
        Some(value) => {
            let (name, is_several) = place(schema, &named, &value)?;
            match value {
                Json::Array(_) if is_several && is_streamed => {
                    return Err(unfit(STREAM, "a list of inputs is not streamed").into());
                }
                Json::Array(values) if is_several => {
                    let inputs = RequestInputs { raw: named, reservation };
                    return several(&name, values, inputs, limit);
                }
                value => drop(named.insert(name.clone(), RawValue::Json(value))),
            }
            target = Some(name);
        }
    }
    if named.len() > MAX_FIELDS {
        return Err(too_many());
    }
    let jobs = vec![RequestInputs { raw: named, reservation }];
    Ok(Records { jobs, is_list: false, is_streamed, name: target })
}

/// Returns the inputs that have a name: the parameters, and the other members of the request.
fn named(schema: &InputsSchema, mut members: RawInputs) -> Result<RawInputs, Error> {
    let mut named = RawInputs::new();
    match members.swap_remove(PARAMETERS).and_then(json) {
        None | Some(Json::Null) => {}
        Some(Json::Object(parameters)) => {
            let parameters = parameters.into_iter();
            named.extend(parameters.map(|(name, value)| (name, RawValue::Json(value))));
        }
        Some(_) => return Err(malformed("\"parameters\" is not an object")),
    }
    named.extend(members);
    named.retain(|name, _| schema.fields().contains_key(name));
    Ok(named)
}

/// Returns true if the input for a file without a name has this value by its name too. Clients send a
/// picture twice if a question belongs to it. Several inputs may be equally fit for such a file; then
/// the value is for one that has none.
fn is_given(schema: &InputsSchema, named: &RawInputs, value: &Json) -> bool {
    let files = schema.fields().iter();
    let files = files.filter(|(_, field)| matches!(field.shape(), Shape::Blob { .. }));
    let has_value =
        |name: &str| matches!(named.get(name), Some(RawValue::Json(given)) if given == value);
    match only(files.clone()) {
        Some((name, _)) => has_value(name),
        None => {
            files.clone().all(|(name, _)| named.contains_key(name))
                && files.clone().any(|(name, _)| has_value(name))
        }
    }
}

/// Returns the input that a value without a name is for, and true if the value is a list of values for
/// it.
fn place(schema: &InputsSchema, named: &RawInputs, value: &Json) -> Result<(String, bool), Error> {
    let free = schema.fields().iter().filter(|(name, _)| !named.contains_key(*name));
    let (name, field) = only(free).ok_or_else(|| {
        malformed(
            "\"inputs\" is not an object of inputs, and the model does not have exactly one required \
             input that it could be",
        )
    })?;
    let takes_list = field.items.is_some() || matches!(field.shape(), Shape::Json);
    Ok((name.to_owned(), value.is_array() && !takes_list))
}

/// Returns a job for each value of a list. Each has a copy of the named inputs.
fn several(
    name: &str,
    values: Vec<Json>,
    inputs: RequestInputs,
    limit: usize,
) -> Result<Records, Failure> {
    if values.is_empty() {
        return Err(malformed("the list of inputs is empty").into());
    }
    let size = |value: &Json| strict::extent(value, usize::MAX) + strict::footprint(value);
    let length = values.iter().map(size).sum();
    let mut jobs = copies(inputs, length, values.len(), limit)?;
    for (job, value) in jobs.iter_mut().zip(values) {
        job.raw.insert(name.to_owned(), RawValue::Json(value));
    }
    Ok(Records { jobs, is_list: true, is_streamed: false, name: Some(name.to_owned()) })
}

fn json(value: RawValue) -> Option<Json> {
    match value {
        RawValue::Json(value) => Some(value),
        _ => None,
    }
}

fn malformed(message: &'static str) -> Error {
    Error::new(Kind::MalformedRequest, message)
}

#[cfg(test)]
mod tests;
