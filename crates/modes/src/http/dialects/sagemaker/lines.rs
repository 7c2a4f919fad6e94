//! Reads records: a line of JSON or of CSV for each. They are read in portions, because batch transform
//! sends as many lines as fit into a request.

use ai_integration_contract::{
    Error, Field, InputsSchema, Kind, RawInputs, RawValue, Shape, json as strict,
};
use ai_integration_engine::Reservation;
use bytes::Bytes;
use csv_core::{ReadRecordResult, Reader};
use serde_json::{Number, Value as Json};

use crate::http::failure::Failure;
use crate::http::inputs::instances;
use crate::http::inputs::request::{MAX_FIELDS, RequestInputs, too_many};
use crate::http::inputs::unnamed::only;

/// The length in bytes with which the buffer for a line of CSV begins.
const FIRST_LENGTH: usize = 1024;
/// The memory in bytes that a field of CSV takes up in addition to its text.
const FIELD: usize = 96;

/// The format of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// JSON Lines: an object of inputs, or the value of the only input.
    Json,
    /// CSV (RFC 4180) without a header: the inputs in the order of the schema, or the list that is the
    /// value of the only input.
    Csv,
}

/// The content of a body.
pub(crate) struct Content {
    pub(crate) bytes: Bytes,
    /// The memory of the bytes.
    pub(crate) reservation: Reservation,
}

/// The records of a body that have not been read yet.
pub(crate) struct Lines {
    format: Format,
    content: Content,
    csv: Box<Reader>,
    /// True if the reader of CSV was given a line end after the body, whose last line may have none.
    has_last_end: bool,
    /// The position in the body.
    at: usize,
    /// The number of records that have been read.
    count: usize,
}

impl Lines {
    /// Makes the records of a text in UTF-8.
    pub(crate) fn new(format: Format, content: Content) -> Self {
        let csv = Box::new(Reader::new());
        Lines { format, content, csv, has_last_end: false, at: 0, count: 0 }
    }

    /// Returns a reservation of 0 bytes, for the memory of the answer.
    pub(super) fn reserve(&mut self) -> Reservation {
        self.content.reservation.split(0)
    }

    /// Returns the number of records that have been read.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Returns the number of bytes that have not been read yet.
    pub(super) fn rest(&self) -> usize {
        self.content.bytes.len() - self.at
    }

    /// Returns the inputs of the next records, at most `limit`. There are none at the end.
    pub(crate) fn next(
        &mut self,
        schema: &InputsSchema,
        limit: usize,
    ) -> Result<Vec<RequestInputs>, Failure> {
        match self.format {
            Format::Json => self.next_json(schema, limit),
            Format::Csv => self.next_csv(schema, limit),
        }
    }

    fn next_json(
        &mut self,
        schema: &InputsSchema,
        limit: usize,
    ) -> Result<Vec<RequestInputs>, Failure> {
        let mut reservation = self.content.reservation.split(0);
        let mut values = Vec::new();
        while values.len() < limit && self.rest() > 0 {
            let rest = &self.content.bytes[self.at..];
            let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
            self.at += (end + 1).min(rest.len());
            let line = rest[..end].trim_ascii();
            if line.is_empty() {
                continue;
            }
            self.count += 1;
            let value = strict::parse(line).map_err(|error| {
                malformed(format!("record {} is not JSON: {error}", self.count))
            })?;
            if !reservation.add(strict::footprint(&value)) {
                return Err(Failure::full());
            }
            values.push(value);
        }
        instances::records(schema, values, limit, 0, reservation)
    }

    fn next_csv(
        &mut self,
        schema: &InputsSchema,
        limit: usize,
    ) -> Result<Vec<RequestInputs>, Failure> {
        let mut records = Vec::new();
        while records.len() < limit {
            let Some(fields) = self.fields()? else { break };
            self.count += 1;
            let size = fields.iter().map(|field| FIELD + field.len()).sum();
            let mut reservation = self.content.reservation.split(0);
            if !reservation.add(size) {
                return Err(Failure::full());
            }
            let raw = inputs(schema, fields, self.count)?;
            records.push(RequestInputs { raw, reservation });
        }
        Ok(records)
    }

    /// Returns the fields of the next line that is not empty.
    fn fields(&mut self) -> Result<Option<Vec<String>>, Failure> {
        let (mut text, mut ends) = (vec![0; FIRST_LENGTH], [0; MAX_FIELDS]);
        let (mut length, mut count) = (0, 0);
        loop {
            let rest = &self.content.bytes[self.at..];
            let is_last_end = rest.is_empty() && !self.has_last_end;
            // No bytes are the end of the text.
            let rest = if is_last_end { b"\n" } else { rest };
            let (result, read, written, ended) =
                self.csv.read_record(rest, &mut text[length..], &mut ends[count..]);
            if !is_last_end {
                self.at += read;
            } else if written > 0 {
                return Err(not_closed(self.count + 1).into());
            } else {
                self.has_last_end = read > 0;
            }
            length += written;
            count += ended;
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull => text.resize(2 * text.len(), 0),
                ReadRecordResult::OutputEndsFull => return Err(too_many()),
                ReadRecordResult::Record => break,
                ReadRecordResult::End => return Ok(None),
            }
        }
        let mut start = 0;
        let fields = ends[..count].iter().map(|end| {
            let field = String::from_utf8_lossy(&text[start..*end]).into_owned();
            start = *end;
            field
        });
        Ok(Some(fields.collect()))
    }
}

/// Returns the inputs of a line of CSV.
fn inputs(schema: &InputsSchema, fields: Vec<String>, number: usize) -> Result<RawInputs, Error> {
    if let Some((name, field)) = only(schema.fields().iter()) {
        if field.items.is_some() {
            let items = fields.into_iter().map(RawValue::Text).collect();
            return Ok(RawInputs::from([(name.to_owned(), RawValue::List(items))]));
        }
        if matches!(field.shape(), Shape::Json) {
            let row = fields.into_iter().map(cell).collect();
            return Ok(RawInputs::from([(name.to_owned(), RawValue::Json(Json::Array(row)))]));
        }
    }
    let most = schema.fields().len();
    if fields.len() > most {
        return Err(malformed(format!(
            "record {number} has {} fields, and the model has {most} inputs, which are the fields of \
             a line in this order; put a field with a comma into quotes, or send \
             application/jsonlines",
            fields.len()
        )));
    }
    let given = schema.fields().iter().zip(fields);
    let given = given.filter(|((_, field), text)| is_given(field, text));
    Ok(given.map(|((name, _), text)| (name.clone(), RawValue::Text(text))).collect())
}

/// Returns false if the input is left out, because its field is empty.
fn is_given(field: &Field, text: &str) -> bool {
    !text.is_empty() || (field.required && matches!(field.shape(), Shape::Text { .. }))
}

/// Returns the JSON of a field: a number, or a text.
fn cell(text: String) -> Json {
    match text.trim().parse::<Number>() {
        Ok(number) => Json::Number(number),
        Err(_) => Json::String(text),
    }
}

fn not_closed(number: usize) -> Error {
    malformed(format!(
        "record {number} has a quote that is not closed; write a quote in a field twice, and send \
         texts with line breaks as application/jsonlines"
    ))
}

fn malformed(message: String) -> Error {
    Error::new(Kind::MalformedRequest, message)
}

#[cfg(test)]
mod tests;
