//! The data of a request for predictions, and the inputs of jobs that are made from it.

use ai_integration_contract::{Error, InputsSchema, Kind, RawInputs, RawValue, json as strict};
use ai_integration_engine::Reservation;
use bytes::Bytes;
use serde_json::Value as Json;

use crate::http::failure::Failure;
use crate::http::inputs::instances;
use crate::http::inputs::request::RequestInputs;
use crate::http::inputs::unnamed::for_file;

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
        reservation: Reservation,
    ) -> Result<Vec<RequestInputs>, Failure> {
        let values = match self {
            Content::Instances(instances) => instances,
            Content::Value { bytes, is_text } => {
                let name = for_file(schema, is_text).ok_or_else(no_input)?.to_owned();
                let raw = RawInputs::from([(name, RawValue::Bytes(bytes))]);
                return Ok(vec![RequestInputs { raw, reservation }]);
            }
        };
        instances::records(schema, values, limit, length, reservation)
    }
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

/// Makes the error of a file or a text that is for no input of the model.
fn no_input() -> Error {
    malformed(
        "the event's data is a file or a text, but the model does not have exactly one required \
         input for it; send JSON with \"instances\"",
    )
}

pub(super) fn malformed(message: impl Into<String>) -> Error {
    Error::new(Kind::MalformedRequest, message.into())
}

#[cfg(test)]
mod tests;
