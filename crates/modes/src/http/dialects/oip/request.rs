//! Reads an inference request: JSON with the tensors, or JSON and then the binary data of some of
//! them, or the binary data of the only input.
//!
//! The header [`HEADER_LENGTH`] chooses the form, as in Triton's extension for binary data. The content
//! type does not, because Triton's client sends none.

use std::time::Duration;

use ai_integration_contract::{Error, FieldError, InputsSchema, Kind, json, number};
use ai_integration_engine::Reservation;
use axum::extract::{FromRef, FromRequest, Request};
use axum::http::{HeaderMap, HeaderName};
use bytes::Bytes;
use serde_json::{Map, Value as Json};

use crate::http::failure::Failure;
use crate::http::inputs::intake::Intake;
use crate::http::inputs::request::{MAX_FIELDS, too_many};
use crate::http::inputs::unnamed::only;
use crate::http::large::work_on;
use crate::http::tensors::datatype::Datatype;
use crate::http::tensors::mapping::Inference;
use crate::http::tensors::metadata::{self, OUTPUT};
use crate::http::tensors::tensor::{Tensor, TensorData};

/// The header with the length of the JSON in bytes, after which the binary data follows.
pub(super) const HEADER_LENGTH: HeaderName =
    HeaderName::from_static("inference-header-content-length");

/// An inference request.
pub(crate) struct InferRequest {
    pub(crate) content: Content,
    pub(super) form: ResponseForm,
}

/// The form in which the client wants the response.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ResponseForm {
    /// The client's own id of the request.
    pub(super) id: Option<String>,
    /// True if the output is sent as binary data.
    pub(super) is_binary: bool,
}

/// The tensors of a request.
pub(crate) enum Content {
    Tensors(Inference),
    /// The data of the only input.
    Raw(Bytes, Reservation),
}

impl Content {
    /// Returns the client's limit for the time until the result.
    pub(super) fn timeout(&self) -> Result<Option<Duration>, Error> {
        match self {
            Content::Tensors(inference) => inference.timeout(),
            Content::Raw(..) => Ok(None),
        }
    }

    /// Returns the tensors for a model with this schema.
    pub(crate) fn inference(self, schema: &InputsSchema) -> Result<Inference, Error> {
        let (body, reservation) = match self {
            Content::Tensors(inference) => return Ok(inference),
            Content::Raw(body, reservation) => (body, reservation),
        };
        let Some((name, field)) = only(schema.fields().iter()) else {
            let message = "a body without JSON (Inference-Header-Content-Length: 0) is for models \
                           with one required input; send the tensors in JSON";
            return Err(Error::new(Kind::MalformedRequest, message));
        };
        let datatype = metadata::datatype(field);
        let (size, name) = (body.len(), name.to_owned());
        let (shape, data) = match datatype.size() {
            Some(size) => (body.len() / size, TensorData::Raw(body)),
            None => (1, TensorData::Bytes(vec![body])),
        };
        let shape = vec![i64::try_from(shape).unwrap_or(i64::MAX)];
        let tensors = vec![Tensor { name, datatype, shape, data }];
        Ok(Inference { tensors, parameters: Map::new(), size, reservation })
    }
}

impl<S: Sync> FromRequest<S> for InferRequest
where
    Intake: FromRef<S>,
{
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        let reader = Intake::from_ref(state).reader().clone();
        let coding = reader.coding(request.headers())?;
        let length = header_length(request.headers())?;
        let mut reservation = reader.reserve(&request);
        let body = reader.read(request, coding, &mut reservation).await?;
        // Binary data is not read here.
        let size = length.unwrap_or(body.len()).min(body.len());
        Box::pin(work_on(size, move || parse(&body, length, reservation))).await?
    }
}

fn header_length(headers: &HeaderMap) -> Result<Option<usize>, Error> {
    let Some(value) = headers.get(HEADER_LENGTH) else { return Ok(None) };
    let length = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    let message = "the header Inference-Header-Content-Length is not a number of bytes";
    length.map(Some).ok_or_else(|| malformed(message))
}

fn malformed(message: impl Into<String>) -> Error {
    Error::new(Kind::MalformedRequest, message.into())
}

fn invalid(name: &str, message: impl Into<String>) -> Error {
    Error::invalid_inputs(vec![FieldError { name: name.to_owned(), message: message.into() }])
}

/// Reads a body of which `length` bytes are JSON; without a length all of it. `reservation` already
/// has the memory of the body.
pub(crate) fn parse(
    body: &Bytes,
    length: Option<usize>,
    mut reservation: Reservation,
) -> Result<InferRequest, Failure> {
    let size = body.len();
    let (text, mut binary) = match length {
        Some(0) => {
            let form = ResponseForm { id: None, is_binary: true };
            return Ok(InferRequest { content: Content::Raw(body.clone(), reservation), form });
        }
        Some(length) if length > size => {
            let message = format!(
                "the header Inference-Header-Content-Length says that {length} bytes are JSON, but \
                 the body has {size} bytes"
            );
            return Err(malformed(message).into());
        }
        Some(length) => (body.slice(..length), Some(body.slice(length..))),
        None => (body.clone(), None),
    };
    let envelope = json::parse(&text).map_err(|error| {
        let advice = if text.is_empty() { "it is empty".to_owned() } else { error.to_string() };
        malformed(format!("the body is not JSON with the tensors of a request: {advice}"))
    })?;
    if !reservation.add(json::footprint(&envelope)) {
        return Err(Failure::full());
    }
    let Json::Object(mut envelope) = envelope else {
        return Err(malformed("the body is not a JSON object").into());
    };
    let parameters = object(envelope.remove("parameters"), "\"parameters\"")?;
    let form = ResponseForm {
        id: id(envelope.remove("id"))?,
        is_binary: is_binary(envelope.remove("outputs"), &parameters)?,
    };
    let inputs = match envelope.remove("inputs") {
        Some(Json::Array(inputs)) if inputs.len() > MAX_FIELDS => return Err(too_many()),
        Some(Json::Array(inputs)) => inputs,
        _ => return Err(malformed("\"inputs\" is not a list of tensors").into()),
    };
    let tensors = inputs.into_iter().map(|input| tensor(input, binary.as_mut()));
    let tensors = tensors.collect::<Result<_, _>>()?;
    if let Some(rest) = binary.filter(|rest| !rest.is_empty()) {
        let rest = rest.len();
        let message = format!(
            "the body has {rest} bytes more than the tensors have by their binary_data_size"
        );
        return Err(malformed(message).into());
    }
    let inference = Inference { tensors, parameters, size, reservation };
    Ok(InferRequest { content: Content::Tensors(inference), form })
}

fn object(given: Option<Json>, what: &str) -> Result<Map<String, Json>, Error> {
    match given {
        Some(Json::Object(members)) => Ok(members),
        None | Some(Json::Null) => Ok(Map::new()),
        Some(_) => Err(malformed(format!("{what} is not a JSON object"))),
    }
}

fn id(given: Option<Json>) -> Result<Option<String>, Error> {
    match given {
        Some(Json::String(id)) => Ok(Some(id)),
        None | Some(Json::Null) => Ok(None),
        Some(_) => Err(malformed("\"id\" is not a string")),
    }
}

/// Returns a parameter that is true or false.
fn flag(parameters: &Map<String, Json>, name: &str) -> Result<Option<bool>, Error> {
    match parameters.get(name) {
        Some(Json::Bool(flag)) => Ok(Some(*flag)),
        None | Some(Json::Null) => Ok(None),
        Some(_) => Err(malformed(format!("the parameter {name} is not true or false"))),
    }
}

/// Returns true if the client wants the output as binary data. `outputs` lists the outputs that it
/// wants; without a list these are all.
fn is_binary(outputs: Option<Json>, parameters: &Map<String, Json>) -> Result<bool, Error> {
    let mut is_binary = flag(parameters, "binary_data_output")?.unwrap_or(false);
    let outputs = match outputs {
        Some(Json::Array(outputs)) => outputs,
        None | Some(Json::Null) => Vec::new(),
        Some(_) => return Err(malformed("\"outputs\" is not a list")),
    };
    for output in outputs {
        let mut output = object(Some(output), "an output")?;
        match output.get("name").and_then(Json::as_str) {
            Some(OUTPUT) => {}
            Some(name) => {
                let message = format!("there is no such output; the only output is {OUTPUT:?}");
                return Err(invalid(name, message));
            }
            None => return Err(malformed("an output has no name")),
        }
        let parameters = object(output.remove("parameters"), "\"parameters\" of an output")?;
        refuse_shared_memory(OUTPUT, &parameters)?;
        if parameters.get("classification").is_some_and(|classes| *classes != 0) {
            return Err(invalid(OUTPUT, "this server does not classify outputs"));
        }
        is_binary = flag(&parameters, "binary_data")?.unwrap_or(is_binary);
    }
    Ok(is_binary)
}

fn refuse_shared_memory(name: &str, parameters: &Map<String, Json>) -> Result<(), Error> {
    if parameters.keys().any(|name| name.starts_with("shared_memory_")) {
        let message = "this server has no shared memory; send the data in the request";
        return Err(invalid(name, message));
    }
    Ok(())
}

/// Reads a tensor. Binary data is taken from the front of `binary`.
fn tensor(input: Json, binary: Option<&mut Bytes>) -> Result<Tensor, Error> {
    let mut input = object(Some(input), "an input")?;
    let Some(Json::String(name)) = input.remove("name") else {
        return Err(malformed("an input has no name"));
    };
    let datatype = input.get("datatype").and_then(Json::as_str).and_then(Datatype::named);
    let Some(datatype) = datatype else {
        let names = Datatype::ALL.map(Datatype::name).join(", ");
        return Err(invalid(&name, format!("its datatype is not one of {names}")));
    };
    let shape = input.get("shape").and_then(Json::as_array);
    let shape = shape.and_then(|sizes| sizes.iter().map(whole).collect());
    let Some(shape) = shape else {
        return Err(invalid(&name, "its shape is not a list of integers"));
    };
    let parameters = object(input.remove("parameters"), "\"parameters\" of an input")?;
    refuse_shared_memory(&name, &parameters)?;
    let data = match (input.remove("data"), parameters.get("binary_data_size")) {
        (Some(_), Some(_)) => Err("it has both data and binary_data_size"),
        (None, None) => Err("it has neither data nor binary_data_size"),
        (Some(Json::Array(data)), None) => Ok(TensorData::Json(flattened(data))),
        (Some(_), None) => Err("its data is not a list"),
        (None, Some(size)) => section(size, binary),
    };
    let data = data.map_err(|message| invalid(&name, message))?;
    Ok(Tensor { name, datatype, shape, data })
}

/// Returns a whole number. Some clients write it with a decimal point.
fn whole(size: &Json) -> Option<i64> {
    let Json::Number(size) = size else { return None };
    size.as_i64().or_else(|| number::whole(size.as_str()).ok()?.as_i64())
}

/// Takes the next section of this size from the front of the binary data.
fn section(size: &Json, binary: Option<&mut Bytes>) -> Result<TensorData, &'static str> {
    let Some(binary) = binary else {
        return Err("it has binary data, but the request lacks the header \
                    Inference-Header-Content-Length");
    };
    let size = size.as_u64().and_then(|size| usize::try_from(size).ok());
    let size = size.ok_or("its binary_data_size is not a number of bytes")?;
    if size > binary.len() {
        return Err("its binary_data_size goes beyond the end of the body");
    }
    Ok(TensorData::Raw(binary.split_to(size)))
}

/// Returns the elements of nested lists in row-major order.
fn flattened(data: Vec<Json>) -> Vec<Json> {
    if !data.iter().any(Json::is_array) {
        return data;
    }
    let mut elements = Vec::new();
    flatten(data, &mut elements);
    elements
}

/// Adds the elements of nested lists. The parser has limited their depth.
fn flatten(data: Vec<Json>, elements: &mut Vec<Json>) {
    for value in data {
        match value {
            Json::Array(inner) => flatten(inner, elements),
            value => elements.push(value),
        }
    }
}

#[cfg(test)]
mod tests;
