//! Embeddings of texts: `POST /v1/embeddings`. Each text is a job of its own, unless the model takes a
//! list of texts.

use ai_integration_contract::{Error, InputsSchema, Kind, Outcome, RawValue, Task};
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Serialize;
use serde_json::value::RawValue as JsonText;
use serde_json::{Value, json};

use crate::http::app::App;
use crate::http::dialects::openai::fields::{from_json, keep_known, take, take_text, text_input};
use crate::http::failure::Failure;
use crate::http::inputs::call::Call;
use crate::http::inputs::envelope::{Envelope, unfit};
use crate::http::inputs::request::RequestInputs;
use crate::http::large::{PASSES, work_on};
use crate::http::records::{self, copies};
use crate::http::tasks;

/// A request for embeddings.
pub(super) struct Request {
    /// The inputs of each job.
    pub(super) jobs: Vec<RequestInputs>,
    /// The number of texts.
    count: usize,
    is_base64: bool,
}

#[derive(Serialize)]
struct List<'a> {
    object: &'static str,
    data: Vec<Embedding<'a>>,
    model: &'a str,
    usage: Value,
}

#[derive(Serialize)]
struct Embedding<'a> {
    object: &'static str,
    index: usize,
    #[serde(rename = "embedding")]
    vector: Vector<'a>,
}

/// A list of numbers.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Vector<'a> {
    /// The numbers as the model wrote them.
    Numbers(&'a JsonText),
    /// Floats of 32 bits with the lowest byte first, in base64.
    Base64(String),
}

pub(super) async fn embeddings(
    State(app): State<App>,
    mut call: Call,
    envelope: Envelope,
) -> Result<Response, Failure> {
    let model = app.model(&mut call).await?;
    tasks::check(&model, &[Task::Embedding])?;
    let (length, limit) = (envelope.length, app.max_records());
    let read = {
        let model = model.clone();
        move || read(&model.schema, envelope, limit)
    };
    let Request { jobs, count, is_base64 } = Box::pin(work_on(length, read)).await??;
    let outcomes = records::run(&app, &model, call, jobs).await?;
    let id = app.model_id(&model);
    let size = records::size(&outcomes);
    let write = move || write(&id, &outcomes, count, is_base64);
    work_on(PASSES * size, write).await?
}

pub(super) fn read(
    schema: &InputsSchema,
    envelope: Envelope,
    limit: usize,
) -> Result<Request, Failure> {
    let Envelope { members, length, reservation } = envelope;
    let mut raw = from_json(members);
    let texts = texts(take(&mut raw, "input"))?;
    let format = take_text(&mut raw, "encoding_format")?;
    let is_base64 = match format.as_deref() {
        None | Some("float") => false,
        Some("base64") => true,
        Some(_) => return Err(unfit("encoding_format", "expected float or base64").into()),
    };
    let (name, field) = text_input(schema, "input")?;
    keep_known(schema, &mut raw);
    let (name, count) = (name.to_owned(), texts.len());
    if field.items.is_some() {
        raw.insert(name, RawValue::Json(texts.into()));
        let jobs = vec![RequestInputs { raw, reservation }];
        return Ok(Request { jobs, count, is_base64 });
    }
    let mut jobs = copies(RequestInputs { raw, reservation }, length, count, limit)?;
    for (job, text) in jobs.iter_mut().zip(texts) {
        job.raw.insert(name.clone(), RawValue::Json(text));
    }
    Ok(Request { jobs, count, is_base64 })
}

/// Returns the texts of a request: one, or a list.
fn texts(input: Option<RawValue>) -> Result<Vec<Value>, Error> {
    let texts = match input {
        None => return Err(unfit("input", "missing; expected a text or a list of texts")),
        Some(RawValue::Json(Value::Array(texts))) => texts,
        Some(RawValue::Json(text)) => vec![text],
        Some(_) => Vec::new(),
    };
    if texts.is_empty() {
        return Err(unfit("input", "expected a text or a list of texts, got an empty list"));
    }
    if texts.iter().any(|text| matches!(text, Value::Number(_) | Value::Array(_))) {
        let message = "lists of tokens are not supported; send texts";
        return Err(unfit("input", message));
    }
    if !texts.iter().all(Value::is_string) {
        return Err(unfit("input", "expected a text or a list of texts"));
    }
    Ok(texts)
}

fn write(
    id: &str,
    outcomes: &[Outcome],
    count: usize,
    is_base64: bool,
) -> Result<Response, Failure> {
    let mut data = Vec::with_capacity(count);
    let mut length = None;
    for outcome in outcomes {
        for numbers in vectors(outcome)? {
            let floats = floats(numbers)?;
            let (first, own) = (*length.get_or_insert(floats.len()), floats.len());
            if own != first {
                let message = format!(
                    "the model gave embeddings of different lengths: {first} numbers and {own}"
                );
                return Err(Error::new(Kind::ModelFailed, message).into());
            }
            let vector =
                if is_base64 { Vector::Base64(base64(&floats)) } else { Vector::Numbers(numbers) };
            data.push(Embedding { object: "embedding", index: data.len(), vector });
        }
    }
    if data.len() != count {
        let message = format!("the model gave {} embeddings for {count} texts", data.len());
        return Err(Error::new(Kind::ModelFailed, message).into());
    }
    // The model does not tell the number of tokens.
    let usage = json!({"prompt_tokens": 0, "total_tokens": 0});
    let list = List { object: "list", data, model: id, usage };
    Ok(Json(list).into_response())
}

/// Returns the lists of numbers in a result: the result itself, or its items.
fn vectors(outcome: &Outcome) -> Result<Vec<&JsonText>, Error> {
    let text = outcome.data.as_text().filter(|_| outcome.is_json()).unwrap_or_default();
    let Ok(items) = serde_json::from_str::<Vec<&JsonText>>(text) else {
        return Err(not_numbers());
    };
    if items.first().is_some_and(|item| item.get().starts_with('[')) {
        return Ok(items);
    }
    Ok(vec![serde_json::from_str(text).map_err(|_| not_numbers())?])
}

/// Returns the numbers of an embedding.
fn floats(numbers: &JsonText) -> Result<Vec<f32>, Error> {
    let floats: Vec<f32> = serde_json::from_str(numbers.get()).map_err(|_| not_numbers())?;
    if floats.is_empty() || !floats.iter().all(|float| float.is_finite()) {
        return Err(not_numbers());
    }
    Ok(floats)
}

fn not_numbers() -> Error {
    let message = "the model's result is neither a list of numbers nor a list of such lists, so it is \
                   no embedding";
    Error::new(Kind::ModelFailed, message)
}

fn base64(floats: &[f32]) -> String {
    let bytes: Vec<u8> = floats.iter().flat_map(|float| float.to_le_bytes()).collect();
    BASE64_STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::failure::Wording;
    use ai_integration_engine::Budget;

    fn read_jobs(source: &Value, body: &Value) -> Result<Vec<Value>, String> {
        let members = body.as_object().unwrap().clone();
        let reservation = Budget::new(1 << 20).reserve(None);
        let envelope = Envelope { members, length: 100, reservation };
        let (schema, _) = InputsSchema::parse(source);
        let read = read(&schema, envelope, 3).map_err(|failure| failure.detail(Wording::Full))?;
        let jobs = read.jobs.into_iter().map(|job| {
            let members = job.raw.into_iter().map(|(name, value)| match value {
                RawValue::Json(value) => (name, value),
                other => panic!("{other:?}"),
            });
            Value::Object(members.collect())
        });
        Ok(jobs.collect())
    }

    #[test]
    fn each_text_is_a_job_unless_the_model_takes_a_list() {
        let one = json!({"text": "text", "dimensions": {"type": "integer", "required": false}});
        let list = json!({"texts": {"type": "text", "list": true}});
        for (schema, body, expected) in [
            (&one, json!({"input": "a", "model": "m"}), json!([{"text": "a"}])),
            (
                &one,
                json!({"input": ["a", "b"], "dimensions": 2, "user": "me"}),
                json!([{"dimensions": 2, "text": "a"}, {"dimensions": 2, "text": "b"}]),
            ),
            (&list, json!({"input": ["a", "b"]}), json!([{"texts": ["a", "b"]}])),
            (&list, json!({"input": "a"}), json!([{"texts": ["a"]}])),
        ] {
            assert_eq!(read_jobs(schema, &body).map(Value::from), Ok(expected));
        }
        for (body, words) in [
            (json!({}), "input: missing"),
            (json!({"input": null}), "input: missing"),
            (json!({"input": []}), "an empty list"),
            (json!({"input": [1, 2]}), "lists of tokens"),
            (json!({"input": [[1, 2]]}), "lists of tokens"),
            (json!({"input": ["a", null]}), "input: expected a text"),
            (json!({"input": {"a": 1}}), "input: expected a text"),
            (json!({"input": ["a", "b", "c", "d"]}), "4 records"),
            (json!({"input": "a", "encoding_format": "int8"}), "encoding_format: expected float"),
        ] {
            let error = read_jobs(&one, &body).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
        let error = read_jobs(&json!({"photo": "image"}), &json!({"input": "a"})).unwrap_err();
        assert!(error.contains("exactly one required text input"), "{error}");
    }

    #[test]
    fn a_result_is_a_list_of_numbers_or_of_such_lists() {
        let text = |outcome: &Outcome| {
            let vectors = vectors(outcome).map_err(|error| error.message.to_string())?;
            let texts = vectors.iter().map(|vector| vector.get().to_owned());
            Ok::<_, String>(texts.collect::<Vec<_>>())
        };
        assert_eq!(text(&Outcome::json([0.1, 1.0])), Ok(vec!["[0.1,1.0]".to_owned()]));
        let several = Outcome::json([[1], [2]]);
        assert_eq!(text(&several), Ok(vec!["[1]".to_owned(), "[2]".to_owned()]));
        for wrong in [Outcome::text("[1]"), Outcome::json(7), Outcome::bytes("image/png", "[1]")] {
            assert!(text(&wrong).is_err(), "{wrong:?}");
        }
        for wrong in ["[]", "[\"a\"]", "[1,[2]]", "[1e39]", "[null]"] {
            let numbers: &JsonText = serde_json::from_str(wrong).unwrap();
            assert!(floats(numbers).is_err(), "{wrong}");
        }
        assert_eq!(base64(&[1.0, -0.5]), "AACAPwAAAL8=");
    }
}
