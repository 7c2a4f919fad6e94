//! `ModelInfer`, and what it shares with `ModelStreamInfer`: a request becomes tensors, and the
//! results become a response. Raw contents are answered with raw contents, and typed ones with typed
//! ones.

use std::collections::HashMap;
use std::time::Instant;

use ai_integration_contract::{Error, Kind, Outcome};
use ai_integration_engine::Reservation;
use axum::extract::{FromRequestParts, Request, State};
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use serde_json::{Map, Number, Value as Json};

use super::answers::{Sent, streamed, with_field};
use super::contents::{invalid, tensor_data};
use super::footprint::footprint;
use super::messages::{Messages, client_timeout, decode};
use super::models::Named;
use super::protocol::infer_parameter::ParameterChoice;
use super::protocol::model_infer_response::InferOutputTensor;
use super::protocol::{InferParameter, InferTensorContents, ModelInferRequest, ModelInferResponse};
use crate::http::app::App;
use crate::http::failure::{Failure, Refusal};
use crate::http::inputs::call::Call;
use crate::http::large::work_on;
use crate::http::records;
use crate::http::tensors::answer::Answer;
use crate::http::tensors::datatype::Datatype;
use crate::http::tensors::mapping::Inference;
use crate::http::tensors::metadata::OUTPUT;
use crate::http::tensors::tensor::{Tensor, TensorData};

/// The number of the field `raw_output_contents`.
const RAW_OUTPUT: u32 = 6;
/// The parameter with which a client asks for an empty response after the last one of a stream.
const WANTS_FINAL: &str = "triton_enable_empty_final_response";
/// The beginning of the parameters of tensors that are in shared memory.
const SHARED_MEMORY: &str = "shared_memory_";

/// A request for the model.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) id: String,
    /// True if the output is sent as raw contents.
    pub(crate) is_raw: bool,
    /// True if the client wants an empty response at the end.
    pub(crate) wants_final: bool,
    pub(crate) inference: Inference,
}

pub(crate) async fn infer(State(app): State<App>, request: Request) -> Result<Response, Failure> {
    let (mut parts, body) = request.into_parts();
    let mut call = Call::from_request_parts(&mut parts, &app).await?;
    call.shorten(client_timeout(&parts.headers)?);
    let request = Request::from_parts(parts, body);
    let mut messages = Messages::new(request, &app, usize::MAX)?;
    let (message, reservation) = call.wait_for(messages.only()).await??;
    let Asked { name, version, id, is_raw, inference, .. } =
        call.wait_for(Asked::read(message, reservation)).await??;
    call.shorten(inference.timeout()?);
    let model = app.model(&mut call).await?;
    let named = Named::check(&app, &model, &name, &version)?;
    let begun = Instant::now();
    let run = async {
        let records = inference.records(&app, &model, &mut call).await?;
        let outcomes = records::run(&app, &model, call, records).await?;
        let count = outcomes.len();
        Ok((count, Sent::new(answer(&named, id, is_raw, outcomes).await?)?))
    };
    let ended: Result<_, Failure> = run.await;
    match &ended {
        Ok((records, _)) => app.statistics().succeeded(*records, begun.elapsed()),
        Err(_) => app.statistics().failed(begun.elapsed()),
    }
    let (_, sent) = ended?;
    Ok(streamed(stream::iter([Ok(sent)])))
}

impl Asked {
    /// Reads a message. `reservation` has the memory of its bytes.
    pub(crate) async fn read(message: Bytes, reservation: Reservation) -> Result<Self, Failure> {
        let size = message.len();
        work_on(size, move || Asked::parse(message, reservation)).await?
    }

    /// Parses a message. `reservation` has the memory of its bytes.
    pub(crate) fn parse(message: Bytes, mut reservation: Reservation) -> Result<Self, Failure> {
        let size = message.len();
        if !reservation.add(footprint(&message)?) {
            return Err(Failure::full());
        }
        let request: ModelInferRequest = decode(message)?;
        for output in &request.outputs {
            if output.name != OUTPUT {
                let message = format!("the model has no such output; its only one is {OUTPUT:?}");
                return Err(invalid(&output.name, message).into());
            }
            check_parameters(&output.name, &output.parameters)?;
        }
        let is_raw = !request.raw_input_contents.is_empty() || request.inputs.is_empty();
        let is_true = |parameter: &InferParameter| {
            parameter.parameter_choice == Some(ParameterChoice::BoolParam(true))
        };
        let wants_final = request.parameters.get(WANTS_FINAL).is_some_and(is_true);
        let parameters = request.parameters.into_iter().map(|(name, value)| {
            let value = parameter(&name, value)?;
            Ok((name, value))
        });
        let parameters = parameters.collect::<Result<Map<_, _>, Error>>()?;
        let mut raw = Raw::new(request.raw_input_contents, request.inputs.len())?;
        let tensors = request.inputs.into_iter().map(|input| {
            check_parameters(&input.name, &input.parameters)?;
            let Some(datatype) = Datatype::named(&input.datatype) else {
                let message = format!("its datatype {:?} is not known", input.datatype);
                return Err(invalid(&input.name, message).into());
            };
            let data = match raw.take(&input.name, input.contents.is_some())? {
                Some(raw) => TensorData::Raw(raw),
                None => tensor_data(&input.name, datatype, input.contents.unwrap_or_default())?,
            };
            Ok(Tensor { name: input.name, datatype, shape: input.shape, data })
        });
        let tensors = tensors.collect::<Result<Vec<_>, Failure>>()?;
        Ok(Asked {
            name: request.model_name,
            version: request.model_version,
            id: request.id,
            is_raw,
            wants_final,
            inference: Inference { tensors, parameters, size, reservation },
        })
    }
}

/// The raw contents of the inputs, in their order.
struct Raw(Option<std::vec::IntoIter<Bytes>>);

impl Raw {
    fn new(contents: Vec<Bytes>, inputs: usize) -> Result<Self, Error> {
        let count = contents.len();
        if count != 0 && count != inputs {
            let message = format!(
                "raw_input_contents has {count} entries, but the request has {inputs} inputs; send \
                 one for each input"
            );
            return Err(Error::new(Kind::MalformedRequest, message));
        }
        Ok(Raw((count > 0).then(|| contents.into_iter())))
    }

    /// Returns the next input's raw contents, or `None` if the inputs have typed contents.
    fn take(&mut self, input: &str, has_contents: bool) -> Result<Option<Bytes>, Error> {
        let Some(contents) = &mut self.0 else { return Ok(None) };
        if has_contents {
            let message = "it has contents, but the request has raw_input_contents too; send one of \
                           them";
            return Err(invalid(input, message));
        }
        Ok(contents.next())
    }
}

/// Refuses a tensor that is in shared memory.
fn check_parameters(
    tensor: &str,
    parameters: &HashMap<String, InferParameter>,
) -> Result<(), Failure> {
    if parameters.keys().any(|name| name.starts_with(SHARED_MEMORY)) {
        let message = format!(
            "{tensor}: this server has no shared memory with clients; send the data in the request"
        );
        return Err(Failure::refused(Refusal::UnsupportedTransferCoding, message));
    }
    Ok(())
}

fn parameter(name: &str, value: InferParameter) -> Result<Json, Error> {
    Ok(match value.parameter_choice {
        Some(ParameterChoice::BoolParam(value)) => value.into(),
        Some(ParameterChoice::Int64Param(value)) => value.into(),
        Some(ParameterChoice::StringParam(value)) => value.into(),
        Some(ParameterChoice::Uint64Param(value)) => value.into(),
        Some(ParameterChoice::DoubleParam(value)) => {
            let number = Number::from_f64(value);
            number.ok_or_else(|| invalid(name, "infinite or not a number"))?.into()
        }
        None => return Err(invalid(name, "the parameter has no value")),
    })
}

/// Encodes the response with the results of all records.
pub(crate) async fn answer(
    named: &Named,
    id: String,
    is_raw: bool,
    outcomes: Vec<Outcome>,
) -> Result<Vec<Bytes>, Failure> {
    let size = records::size(&outcomes);
    let named = named.clone();
    Ok(work_on(size, move || encode(named, id, is_raw, Answer::of(outcomes))).await??)
}

fn encode(named: Named, id: String, is_raw: bool, answer: Answer) -> Result<Vec<Bytes>, Error> {
    let mut output = InferOutputTensor {
        name: OUTPUT.to_owned(),
        datatype: Datatype::Bytes.name().to_owned(),
        shape: answer.shape.iter().filter_map(|size| i64::try_from(*size).ok()).collect(),
        parameters: HashMap::from([("content_type".to_owned(), text(&answer.content_type))]),
        contents: None,
    };
    let mut raw = Vec::new();
    if is_raw {
        raw = answer.into_raw()?;
    } else {
        let bytes_contents = answer.elements;
        output.contents = Some(InferTensorContents { bytes_contents, ..Default::default() });
    }
    let response = ModelInferResponse {
        model_name: named.name,
        model_version: named.version,
        id,
        outputs: vec![output],
        ..Default::default()
    };
    Ok(with_field(&response, RAW_OUTPUT, raw))
}

fn text(text: &str) -> InferParameter {
    InferParameter { parameter_choice: Some(ParameterChoice::StringParam(text.to_owned())) }
}

/// Runs a fuzz target: a message that is accepted takes up no more memory than was charged for it, and
/// becomes records or an error.
#[cfg(fuzzing)]
pub(crate) fn fuzz(bytes: &[u8]) {
    use ai_integration_contract::InputsSchema;
    use ai_integration_engine::Budget;

    let message = Bytes::copy_from_slice(bytes);
    let Ok(charged) = footprint(&message) else { return };
    if let Ok(request) = decode::<ModelInferRequest>(message.clone()) {
        let list = |count: usize, size: usize| count * size;
        let contents = |contents: &InferTensorContents| {
            list(contents.int_contents.capacity(), 4)
                + list(contents.int64_contents.capacity(), 8)
                + list(contents.uint_contents.capacity(), 4)
                + list(contents.uint64_contents.capacity(), 8)
                + list(contents.fp32_contents.capacity(), 4)
                + list(contents.fp64_contents.capacity(), 8)
                + list(contents.bytes_contents.capacity(), size_of::<Bytes>())
        };
        let tensors = request.inputs.iter().map(|tensor| {
            list(tensor.shape.capacity(), 8) + tensor.contents.as_ref().map_or(0, contents)
        });
        // The first items of a list get room for four.
        let least = 4 * size_of::<Bytes>() * (request.inputs.len() + 1);
        assert!(tensors.sum::<usize>() <= charged + least, "{charged}");
    }
    let (schema, _) = InputsSchema::parse(&serde_json::json!({
        "t": "text", "i": "integer", "n": "number", "b": "boolean", "f": "file", "j": "json",
        "l": {"type": "text", "list": true}, "m": {"type": "file", "list": true},
    }));
    let reservation = Budget::new(64 << 20).reserve(None);
    if let Ok(asked) = Asked::parse(message, reservation) {
        let _ = asked.inference.timeout();
        let _ = asked.inference.into_records(&schema, 16);
    }
}
