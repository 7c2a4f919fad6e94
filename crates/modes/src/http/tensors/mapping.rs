//! Makes the inputs of the model from tensors. Each element of a tensor is a value of the input with
//! the tensor's name. Tensors with several elements are several records, each of which becomes a job.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use ai_integration_contract::{
    Error, Field, FieldError, InputsSchema, Kind, RawInputs, RawValue, Shape, decode_base64, json,
};
use ai_integration_engine::{Model, Reservation};
use serde_json::{Map, Value as Json};

use crate::http::app::App;
use crate::http::failure::Failure;
use crate::http::inputs::call::Call;
use crate::http::inputs::request::{MAX_FIELDS, RequestInputs, footprint, too_many};
use crate::http::large::work_on;
use crate::http::records::check_count;
use crate::http::tensors::datatype::Datatype;
use crate::http::tensors::tensor::Tensor;

/// The parameter with the time limit of a request, in microseconds.
const TIMEOUT: &str = "timeout";
/// The parameters of a request that are for the server, not inputs.
const RESERVED: [&str; 9] = [
    "binary_data_output",
    "sequence_id",
    "sequence_start",
    "sequence_end",
    "priority",
    TIMEOUT,
    "headers",
    "content_type",
    "classification",
];
/// The beginnings of the names of further such parameters.
const RESERVED_PREFIXES: [&str; 2] = ["triton_", "shared_memory_"];

/// The estimated memory of a value of a record in addition to its content, in bytes.
const ENTRY: usize = 128;
/// The length in bytes up to which an element of BYTES is shown as text in an error message.
const SHOWN: usize = 100;
/// The maximum memory of what is copied for the records of a request, in bytes.
const MAX_COPIED: usize = 128 << 20;

/// A request for the model in tensors.
#[derive(Debug)]
pub(crate) struct Inference {
    pub(crate) tensors: Vec<Tensor>,
    pub(crate) parameters: Map<String, Json>,
    /// The length in bytes of the message that the tensors are parts of.
    pub(crate) size: usize,
    /// The memory of the message and of the values that were read from it.
    pub(crate) reservation: Reservation,
}

/// The values of one input.
enum Given {
    /// One value, which every record gets.
    One(RawValue),
    /// One value for each record.
    Each(Vec<RawValue>),
}

impl Inference {
    /// Returns the client's limit for the time until the result.
    pub(crate) fn timeout(&self) -> Result<Option<Duration>, Error> {
        let Some(given) = self.parameters.get(TIMEOUT) else { return Ok(None) };
        let microseconds = match given {
            Json::Number(number) => number.as_u64(),
            Json::String(text) => text.parse().ok(),
            _ => None,
        };
        let message = "the parameter timeout is not a whole number of microseconds";
        let microseconds =
            microseconds.ok_or_else(|| Error::new(Kind::MalformedRequest, message))?;
        // Clients send 0 for no limit.
        Ok((microseconds > 0).then(|| Duration::from_micros(microseconds)))
    }

    /// Makes the inputs of each record for this model.
    pub(crate) async fn records(
        self,
        app: &App,
        model: &Arc<Model>,
        call: &mut Call,
    ) -> Result<Vec<RequestInputs>, Failure> {
        let (limit, model) = (app.max_records(), model.clone());
        let size = self.extent(limit);
        let read = move || self.into_records(&model.schema, limit);
        Box::pin(call.wait_for(work_on(size, read))).await??
    }

    /// Estimates the number of bytes that are processed for the records.
    fn extent(&self, limit: usize) -> usize {
        let values = self.tensors.iter().filter_map(|tensor| tensor.values().ok());
        let (all, most) = values.fold((0_usize, 0), |(all, most), values| {
            (all.saturating_add(values), values.max(most))
        });
        let entries = (self.tensors.len() + self.parameters.len()) * most.min(limit);
        let values = all.min(json::MAX_VALUES) * size_of::<RawValue>();
        self.size.saturating_add(values).saturating_add(entries * ENTRY)
    }

    /// Makes the inputs of each record. There may be `limit` records.
    pub(crate) fn into_records(
        mut self,
        schema: &InputsSchema,
        limit: usize,
    ) -> Result<Vec<RequestInputs>, Failure> {
        self.parameters.retain(|name, _| !is_reserved(name));
        self.check_names()?;
        let Inference { tensors, parameters, size, mut reservation } = self;
        let mut values = 0_usize;
        for tensor in &tensors {
            values = values.saturating_add(tensor.values()?);
        }
        if values > json::MAX_VALUES {
            let most = json::MAX_VALUES;
            let message =
                format!("the tensors have more than {most} elements; send a large input as a file");
            return Err(Error::new(Kind::TooLarge, message).into());
        }
        charge(&mut reservation, values.saturating_mul(ENTRY))?;
        let mut inputs = Vec::with_capacity(tensors.len() + parameters.len());
        for tensor in tensors {
            let name = tensor.name.clone();
            let given = given(tensor, schema.fields().get(&name))?;
            inputs.push((name, given));
        }
        inputs.extend(parameters.into_iter().map(|(name, value)| (name, parameter(value))));
        let records = count_records(&inputs)?;
        check_count(records, limit)?;
        if records > 1 {
            share_files(schema, &mut inputs);
        }
        let copied = copied(schema, &inputs, records);
        if copied > MAX_COPIED {
            let message = "the inputs that all records get are too large together; send fewer \
                           records in a request";
            return Err(Error::new(Kind::TooLarge, message).into());
        }
        charge(&mut reservation, copied)?;
        let part = size.saturating_add(values * ENTRY).saturating_add(copied) / records;
        let raw = spread(inputs, records).into_iter();
        let inputs = |raw| RequestInputs { raw, reservation: reservation.split(part) };
        Ok(raw.map(inputs).collect())
    }

    /// Refuses a name that is given more than once.
    fn check_names(&self) -> Result<(), Failure> {
        let names = self.tensors.iter().map(|tensor| &tensor.name).chain(self.parameters.keys());
        let mut known = HashSet::new();
        for name in names {
            if known.len() == MAX_FIELDS {
                return Err(too_many());
            }
            if !known.insert(name) {
                return Err(invalid(name, "given more than once").into());
            }
        }
        Ok(())
    }
}

fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name) || RESERVED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

fn invalid(name: &str, message: impl Into<String>) -> Error {
    Error::invalid_inputs(vec![FieldError { name: name.to_owned(), message: message.into() }])
}

fn charge(reservation: &mut Reservation, bytes: usize) -> Result<(), Failure> {
    if reservation.add(bytes) { Ok(()) } else { Err(Failure::full()) }
}

/// Returns the values that a tensor gives to the input with its name, or to an option if the schema
/// has no such input.
fn given(tensor: Tensor, field: Option<&Field>) -> Result<Given, Error> {
    let dimensions = tensor.dimensions()?;
    let Some(field) = field else { return option(tensor, &dimensions).map(Given::One) };
    let (datatype, is_json) = (tensor.datatype, field.shape() == Shape::Json);
    if matches!(field.shape(), Shape::Blob { .. }) && datatype != Datatype::Bytes {
        let kind = datatype.name();
        return Err(tensor.error(format!("expected the content of a file as BYTES, got {kind}")));
    }
    let mut elements = tensor.into_elements()?;
    if matches!(field.shape(), Shape::Number { .. } | Shape::Flag | Shape::Choice) {
        elements.iter_mut().for_each(show);
    }
    if field.items.is_some() {
        // The last dimensions are the items of a list; the first one of several is the records.
        let lists = if dimensions.len() < 2 { 1 } else { dimensions[0] };
        let length = elements.len() / lists;
        let mut elements = elements.into_iter();
        let lists = (0..lists).map(|_| list(elements.by_ref().take(length).collect()));
        return Ok(one_or_each(lists.collect()));
    }
    if is_json && datatype != Datatype::Bytes {
        return Ok(Given::One(RawValue::Json(nested(&dimensions, numbers(elements)))));
    }
    elements.shrink_to_fit();
    Ok(one_or_each(elements))
}

/// Makes text of short bytes, so that an error message shows them.
fn show(element: &mut RawValue) {
    if let RawValue::Bytes(bytes) = element
        && bytes.len() <= SHOWN
        && let Ok(text) = std::str::from_utf8(bytes)
    {
        *element = RawValue::Text(text.to_owned());
    }
}

fn one_or_each(mut values: Vec<RawValue>) -> Given {
    match values.pop() {
        Some(value) if values.is_empty() => Given::One(value),
        last => {
            values.extend(last);
            Given::Each(values)
        }
    }
}

/// Makes the value of a list.
fn list(items: Vec<RawValue>) -> RawValue {
    let is_json = items.iter().all(|item| matches!(item, RawValue::Json(_)));
    if is_json { RawValue::Json(numbers(items).into()) } else { RawValue::List(items) }
}

fn numbers(elements: Vec<RawValue>) -> Vec<Json> {
    let number = |element| if let RawValue::Json(number) = element { Some(number) } else { None };
    elements.into_iter().filter_map(number).collect()
}

/// Makes the value of an option: the only element, or all of them as nested lists.
fn option(tensor: Tensor, dimensions: &[usize]) -> Result<RawValue, Error> {
    let name = tensor.name.clone();
    let value = |element| match element {
        RawValue::Text(text) => Ok(Json::String(text)),
        RawValue::Json(number) => Ok(number),
        RawValue::Bytes(bytes) => std::str::from_utf8(&bytes).map(Json::from).map_err(|_| {
            invalid(&name, "the model declares no such input, and its data is not text in UTF-8")
        }),
        RawValue::List(_) => Ok(Json::Null),
    };
    let mut values: Vec<Json> =
        tensor.into_elements()?.into_iter().map(value).collect::<Result<_, _>>()?;
    Ok(RawValue::Json(match values.pop() {
        Some(only) if values.is_empty() => only,
        last => {
            values.extend(last);
            nested(dimensions, values)
        }
    }))
}

/// Makes nested lists of values in row-major order.
fn nested(dimensions: &[usize], mut values: Vec<Json>) -> Json {
    for size in dimensions.iter().rev() {
        let lists = values.len() / size;
        let mut rest = values.into_iter();
        values = (0..lists).map(|_| rest.by_ref().take(*size).collect()).collect();
    }
    values.pop().unwrap_or_default()
}

/// Returns the value of a parameter. A text is read as an element of BYTES is.
fn parameter(value: Json) -> Given {
    Given::One(match value {
        Json::String(text) => RawValue::Text(text),
        value => RawValue::Json(value),
    })
}

/// Returns the number of records: the number of values of each input that has several.
fn count_records(inputs: &[(String, Given)]) -> Result<usize, Error> {
    let mut several = None;
    for (name, given) in inputs {
        let Given::Each(values) = given else { continue };
        let count = values.len();
        let (first, records) = *several.get_or_insert((name, count));
        if count != records {
            let message = format!(
                "it has {count} elements, but {first} has {records}; each tensor must have the same \
                 number of elements, or one"
            );
            return Err(invalid(name, message));
        }
    }
    Ok(several.map_or(1, |(_, records)| records))
}

/// Decodes each file that all records get, so that they share its bytes.
fn share_files(schema: &InputsSchema, inputs: &mut [(String, Given)]) {
    for (name, given) in inputs {
        let field = schema.fields().get(name);
        if field.is_some_and(|field| matches!(field.shape(), Shape::Blob { .. }))
            && let Given::One(value) = given
            && let RawValue::Text(text) = value
            && let Some(bytes) = decode_base64(text).filter(|bytes| !bytes.is_empty())
        {
            *value = RawValue::Bytes(bytes);
        }
    }
}

/// Estimates the memory of what is copied for the records: their names, and the values that all of
/// them get.
fn copied(schema: &InputsSchema, inputs: &[(String, Given)], records: usize) -> usize {
    if records == 1 {
        return 0;
    }
    let each = inputs.iter().map(|(name, given)| {
        let field = schema.fields().get(name);
        let is_file = field.is_some_and(|field| matches!(field.shape(), Shape::Blob { .. }));
        let value = if let Given::One(value) = given { copy(value, is_file) } else { 0 };
        value.saturating_add(name.len() + ENTRY)
    });
    each.fold(0_usize, usize::saturating_add).saturating_mul(records)
}

/// Estimates the memory of a copy. Bytes are shared if they stay bytes.
fn copy(value: &RawValue, is_file: bool) -> usize {
    match value {
        RawValue::Bytes(bytes) => {
            if is_file {
                0
            } else {
                bytes.len()
            }
        }
        RawValue::Text(text) => text.len(),
        RawValue::Json(value) => {
            json::extent(value, usize::MAX).saturating_add(json::footprint(value))
        }
        RawValue::List(items) => {
            footprint(value) + items.iter().map(|item| copy(item, is_file)).sum::<usize>()
        }
    }
}

/// Gives each record its values.
fn spread(inputs: Vec<(String, Given)>, records: usize) -> Vec<RawInputs> {
    let mut all = vec![RawInputs::with_capacity(inputs.len()); records];
    for (name, given) in inputs {
        match given {
            Given::One(value) => {
                for record in &mut all[1..] {
                    record.insert(name.clone(), value.clone());
                }
                all[0].insert(name, value);
            }
            Given::Each(values) => {
                for (record, value) in all.iter_mut().zip(values) {
                    record.insert(name.clone(), value);
                }
            }
        }
    }
    all
}

#[cfg(test)]
mod tests;
