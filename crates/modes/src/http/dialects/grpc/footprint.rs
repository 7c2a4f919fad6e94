//! Estimates the memory of a request for the model before it is decoded. A message of a few bytes can
//! have many empty tensors and parameters, each of which takes up much more memory than its bytes.

use ai_integration_contract::{Error, Kind};
use bytes::Bytes;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

use super::messages::unreadable;
use super::protocol::model_infer_request::InferInputTensor;
use crate::http::failure::Failure;

/// The maximum number of inputs, of outputs, of raw contents, and of parameters in a request.
const MAX_COUNT: usize = 1000;
/// The estimated memory of a parameter in addition to its text, in bytes.
const PARAMETER: usize = 128;
/// The memory of a number of a list, in bytes: its place in the decoded list, and in the tensor's raw
/// data.
const NUMBER: usize = 2 * size_of::<u64>();

/// Returns the memory in bytes that a `ModelInferRequest` takes up in addition to its bytes, which the
/// decoded message shares. Refuses a request with too many tensors or parameters.
pub(crate) fn footprint(message: &[u8]) -> Result<usize, Failure> {
    let mut counted = Counted::default();
    fields(message, |number, content| match number {
        4 => counted.parameter(content),
        5 => {
            count(&mut counted.inputs, "inputs")?;
            counted.tensor(content)
        }
        6 => {
            count(&mut counted.outputs, "outputs")?;
            counted.output(content)
        }
        7 => {
            count(&mut counted.raw, "raw contents")?;
            counted.add(size_of::<Bytes>())
        }
        _ => counted.add(content.len()),
    })?;
    // A list has room for up to twice its items while it grows.
    Ok(counted.bytes.saturating_mul(2))
}

#[derive(Default)]
struct Counted {
    inputs: usize,
    outputs: usize,
    raw: usize,
    parameters: usize,
    bytes: usize,
}

impl Counted {
    #[expect(clippy::unnecessary_wraps, reason = "it is one of several ends of a closure")]
    fn add(&mut self, bytes: usize) -> Result<(), Failure> {
        self.bytes = self.bytes.saturating_add(bytes);
        Ok(())
    }

    fn tensor(&mut self, tensor: &[u8]) -> Result<(), Failure> {
        self.add(size_of::<InferInputTensor>())?;
        fields(tensor, |number, content| match number {
            3 => self.add(varints(content) * NUMBER),
            4 => self.parameter(content),
            5 => self.contents(content),
            _ => self.add(content.len()),
        })
    }

    fn contents(&mut self, contents: &[u8]) -> Result<(), Failure> {
        fields(contents, |number, content| {
            self.add(match number {
                // A number that is not in a packed list has no content here.
                1..=5 => varints(content).max(1) * NUMBER,
                6 => (content.len() / size_of::<f32>()).max(1) * NUMBER,
                7 => (content.len() / size_of::<f64>()).max(1) * NUMBER,
                8 => size_of::<Bytes>(),
                _ => 0,
            })
        })
    }

    fn output(&mut self, output: &[u8]) -> Result<(), Failure> {
        self.add(size_of::<InferInputTensor>())?;
        fields(output, |number, content| match number {
            2 => self.parameter(content),
            _ => self.add(content.len()),
        })
    }

    fn parameter(&mut self, parameter: &[u8]) -> Result<(), Failure> {
        count(&mut self.parameters, "parameters")?;
        self.add(PARAMETER + parameter.len())
    }
}

fn count(counted: &mut usize, what: &str) -> Result<(), Failure> {
    *counted += 1;
    if *counted > MAX_COUNT {
        let message = format!("the request has more than {MAX_COUNT} {what}");
        return Err(Error::new(Kind::MalformedRequest, message).into());
    }
    Ok(())
}

/// Returns the number of integers in a packed list. Only the last byte of each is below 128.
fn varints(list: &[u8]) -> usize {
    list.iter().filter(|byte| **byte < 0x80).count()
}

/// Calls `visit` with the number and the content of each field. The content of a field without a
/// length, such as a number, is given as empty.
fn fields<'a>(
    mut message: &'a [u8],
    mut visit: impl FnMut(u32, &'a [u8]) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let malformed = |error: prost::DecodeError| unreadable(&error.to_string());
    while !message.is_empty() {
        let (number, wire) = decode_key(&mut message).map_err(malformed)?;
        let content = if wire == WireType::LengthDelimited {
            let length = decode_varint(&mut message).map_err(malformed)?;
            let (content, rest) = usize::try_from(length)
                .ok()
                .and_then(|length| message.split_at_checked(length))
                .ok_or_else(|| unreadable("a field goes beyond its end"))?;
            message = rest;
            content
        } else {
            skip_field(wire, number, &mut message, DecodeContext::default()).map_err(malformed)?;
            &[]
        };
        visit(number, content)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;
    use crate::http::dialects::grpc::protocol::model_infer_request::InferRequestedOutputTensor;
    use crate::http::dialects::grpc::protocol::{
        InferParameter, InferTensorContents, ModelInferRequest,
    };

    fn needed(request: &ModelInferRequest) -> Option<usize> {
        footprint(&request.encode_to_vec()).ok()
    }

    fn one(tensor: InferInputTensor) -> Option<usize> {
        needed(&ModelInferRequest { inputs: vec![tensor], ..Default::default() })
    }

    #[test]
    fn what_is_decoded_is_counted() {
        let empty = one(InferInputTensor::default()).unwrap();
        assert_eq!(empty, 2 * size_of::<InferInputTensor>());
        let contents = |contents| {
            one(InferInputTensor { contents: Some(contents), ..Default::default() }).unwrap()
                - empty
        };
        let default = InferTensorContents::default;
        for (contents, items) in [
            (contents(InferTensorContents { int64_contents: vec![1; 100], ..default() }), 100),
            (contents(InferTensorContents { int64_contents: vec![-1; 100], ..default() }), 100),
            (contents(InferTensorContents { bool_contents: vec![true; 100], ..default() }), 100),
            (contents(InferTensorContents { fp32_contents: vec![1.0; 100], ..default() }), 100),
            (contents(InferTensorContents { fp64_contents: vec![1.0; 100], ..default() }), 100),
        ] {
            assert_eq!(contents, 2 * NUMBER * items);
        }
        let texts = InferTensorContents { bytes_contents: vec![Bytes::new(); 100], ..default() };
        assert_eq!(contents(texts), 2 * size_of::<Bytes>() * 100);
        let shape = one(InferInputTensor { shape: vec![1; 1000], ..Default::default() }).unwrap();
        assert!(shape >= 8 * 1000);
        let raw = vec![Bytes::from(vec![0; 1 << 20])];
        let raw = ModelInferRequest { raw_input_contents: raw, ..Default::default() };
        assert!(needed(&raw).unwrap() < 1000);
    }

    #[test]
    fn the_number_of_tensors_and_parameters_is_limited() {
        let default = ModelInferRequest::default;
        let parameters = |count: usize| {
            (0..count).map(|number| (number.to_string(), InferParameter::default())).collect()
        };
        for (count, is_accepted) in [(MAX_COUNT, true), (MAX_COUNT + 1, false)] {
            let output = InferRequestedOutputTensor::default;
            for request in [
                ModelInferRequest { inputs: vec![InferInputTensor::default(); count], ..default() },
                ModelInferRequest { outputs: vec![output(); count], ..default() },
                ModelInferRequest { raw_input_contents: vec![Bytes::new(); count], ..default() },
                ModelInferRequest { parameters: parameters(count), ..default() },
            ] {
                assert_eq!(needed(&request).is_some(), is_accepted);
            }
        }
        assert!(footprint(b"\x2a\x05a").is_err());
        assert!(footprint(b"\xff").is_err());
    }
}
