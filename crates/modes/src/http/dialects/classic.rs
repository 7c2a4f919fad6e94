//! The ancestor's dialect: `POST /` with a form, answered by JSON with `id`, `output_url`,
//! `scale_applied`, `inputs`, `output` and `visualizer_data`, or with `{"err": …}`; the plain
//! form of the page is sent here too, and answered by a page.
//!
//! The statuses are those of `/infer`, but for a model that itself reports a failure: that is
//! status 200 here, as it always was.

use ai_integration_contract::{
    Data, Environment, InputsSchema, Outcome, RawInputs, RawValue, SettingError, Shape,
    decode_base64,
};
use ai_integration_engine::Model;
use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde::Serialize;
use serde_json::value::RawValue as JsonText;
use serde_json::{Value, json};

use crate::http::accept::awaits_page;
use crate::http::app::App;
use crate::http::data_url::{data_url, data_urls};
use crate::http::description::{Description, body, problems, reasons_of_a_run, responses};
use crate::http::dialect::Dialect;
use crate::http::failure::Failure;
use crate::http::inputs::call::Call;
use crate::http::inputs::request::{RequestInputs, extent};
use crate::http::large::work_on;
use crate::http::page::html;
use crate::http::routes::{Mounted, Routes};

pub(crate) struct Classic;

impl Dialect for Classic {
    fn name(&self) -> &'static str {
        "classic"
    }

    fn mount(&self, _environment: &Environment, app: &App) -> Result<Mounted, SettingError> {
        Ok(Routes::new().at("/", post(infer)).with_state(app.clone()))
    }

    fn describe(&self, schema: &InputsSchema) -> Description {
        let answer = json!({
            "description": "The result and what surrounds it, or a failure that the model \
                            reported.",
            "content": {
                "application/json": {"schema": {"$ref": "#/components/schemas/Classic"}},
                "text/html": {"schema": {"type": "string"}},
            },
        });
        let failed = json!({
            "description": "Why there is no result; the statuses are those of `/infer`",
            "content": {
                "application/json": {"schema": {
                    "type": "object",
                    "required": ["err"],
                    "properties": {"err": {"type": "string"}},
                }},
                // What is refused before its address is looked at.
                "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}},
                "text/html": {"schema": {"type": "string"}},
            },
        });
        let statuses = problems(reasons_of_a_run()).into_keys();
        let run = json!({
            "operationId": "classic",
            "summary": "Run the model, and get JSON around the result",
            "parameters": [{"$ref": "#/components/parameters/Timeout"}],
            "requestBody": body(schema),
            "responses": responses(answer, statuses.map(|status| (status, failed.clone()))),
        });
        Description::default().at("/", "post", run).schema("Classic", answer_schema())
    }
}

fn answer_schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "id": {"type": "string"},
            "output": {"description": "The result, parsed where it is JSON"},
            "output_url": {
                "type": ["string", "array", "null"],
                "items": {"type": "string"},
                "description": "The result as a `data:` URL where it is a picture or another \
                                file; as an array of them where it is a list",
            },
            "scale_applied": {"type": "number"},
            "inputs": {"type": "array", "items": {
                "type": "object",
                "properties": {"is_img": {"type": "boolean"}, "url": {"type": "string"}},
            }},
            "visualizer_data": {},
            "err": {"type": "string", "description": "What the model reported instead of a result"},
        },
    })
}

async fn infer(
    State(app): State<App>,
    headers: HeaderMap,
    call: Result<Call, Failure>,
    inputs: Result<RequestInputs, Failure>,
) -> Response {
    let wants_page = awaits_page(&headers);
    let answered = match (call, inputs) {
        (Ok(call), Ok(mut inputs)) => {
            if wants_page {
                leave_out_empty(&mut inputs.raw);
            }
            answer(&app, call, inputs).await
        }
        (Err(failure), _) | (_, Err(failure)) => Err(failure),
    };
    let wording = app.wording();
    match answered {
        Ok((model, given, outcome)) if outcome.success => {
            warn_of_fault(&outcome);
            let size = outcome.data.len() + extent(&given);
            let app = app.clone();
            let written = work_on(size, move || {
                if wants_page {
                    return html::result(&app, &outcome);
                }
                Json(Answer::new(&model, &given, &outcome)).into_response()
            });
            written.await.unwrap_or_else(|error| Failure::from(error).into_response())
        }
        Ok((_, _, outcome)) => {
            let failure = Failure::of_model(&outcome);
            let message = failure.detail(wording);
            if wants_page {
                failure.told_by(html::failure(&app, &message))
            } else {
                failure.told_by(Json(json!({"err": message})))
            }
        }
        Err(failure) => {
            let (reason, message) = (failure.reason, failure.detail(wording));
            if wants_page {
                failure.told_by(html::problem(&app, reason.status(), reason.title(), &message))
            } else {
                failure.told_by((reason.status(), Json(json!({"err": message}))))
            }
        }
    }
}

/// Warns of a result that is not JSON though its content type says so.
fn warn_of_fault(outcome: &Outcome) {
    if outcome.json_fault().is_some() {
        // Without the fault, which quotes the result: only the client may see that.
        tracing::warn!(
            "a result of type {:?} is not JSON; it is passed on as text",
            outcome.content_type.as_deref().unwrap_or_default()
        );
    }
}

/// Leaves out the rows of lists that are empty: the plain form has some to spare.
fn leave_out_empty(raw: &mut RawInputs) {
    let is_empty = |item: &RawValue| matches!(item, RawValue::Text(text) if text.is_empty());
    raw.retain(|_, value| {
        let RawValue::List(items) = value else { return true };
        items.retain(|item| !is_empty(item));
        !items.is_empty()
    });
}

/// The model, what the request gave of its inputs, and the outcome.
type Answered = (std::sync::Arc<Model>, RawInputs, Outcome);

async fn answer(app: &App, call: Call, inputs: RequestInputs) -> Result<Answered, Failure> {
    // The answer shows the inputs; bytes are shared, not copied.
    let size = extent(&inputs.raw);
    let (mut given, inputs) = work_on(size, move || (inputs.raw.clone(), inputs)).await?;
    let (model, ticket) = app.submit(call, inputs).await?;
    if model.schema.has_lists() {
        let model = model.clone();
        let gather = move || model.schema.gather(&mut given).map(|()| given);
        given = work_on(size, gather).await??;
    }
    Ok((model, given, ticket.outcome().await?))
}

/// The answer with a result.
#[derive(Serialize)]
struct Answer<'a> {
    id: String,
    output_url: Option<Urls>,
    scale_applied: u8,
    inputs: Vec<Shown>,
    output: Output<'a>,
    visualizer_data: &'a Value,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Output<'a> {
    None,
    Text(&'a str),
    /// As the model wrote it: to read it would take up many times its length.
    Json(&'a JsonText),
}

/// The result as `data:` URLs.
#[derive(Serialize)]
#[serde(untagged)]
enum Urls {
    One(String),
    List(Vec<String>),
}

/// An input for whoever draws the result over it.
#[derive(Serialize)]
struct Shown {
    is_img: bool,
    url: String,
}

impl Shown {
    fn new(value: &RawValue, shape: &Shape) -> Self {
        let is_image = shape.is_image();
        let media = match shape {
            Shape::Blob { .. } if is_image => "image/jpeg",
            Shape::Blob { .. } => "application/octet-stream",
            _ => "text/plain",
        };
        let url = match value {
            RawValue::Bytes(bytes) => data_url(media, bytes),
            RawValue::Text(text) | RawValue::Json(Value::String(text)) => match shape {
                Shape::Blob { .. } => file_url(media, text),
                _ => data_url(media, text.as_bytes()),
            },
            RawValue::Json(json) => data_url(media, json.to_string().as_bytes()),
            // No item of a list is a list.
            RawValue::List(_) => data_url(media, b""),
        };
        Shown { is_img: is_image, url }
    }
}

impl<'a> Answer<'a> {
    fn new(model: &'a Model, given: &RawInputs, outcome: &'a Outcome) -> Self {
        let (mut output, mut output_url) = (Output::None, None);
        match &outcome.data {
            Data::None => {}
            Data::List(list) => {
                output_url = Some(Urls::List(data_urls(&outcome.media_type(), list)));
            }
            data if outcome.is_image() => {
                let media = outcome.media_type();
                output_url = Some(Urls::One(data_url(&media, &data.clone().into_bytes())));
            }
            Data::Bytes(bytes) if data_is_text(outcome).is_none() => {
                let media = Some(outcome.media_type()).filter(|media| !media.is_empty());
                let media = media.unwrap_or_else(|| "application/octet-stream".to_owned());
                output_url = Some(Urls::One(data_url(&media, bytes)));
            }
            data => {
                let text = data.as_text().unwrap_or_default();
                let json = outcome.is_json().then(|| serde_json::from_str(text).ok()).flatten();
                output = json.map_or(Output::Text(text), Output::Json);
            }
        }
        Answer {
            id: uuid::Uuid::new_v4().to_string(),
            output_url,
            scale_applied: 1,
            inputs: shown_inputs(model, given),
            output,
            visualizer_data: &model.visualizer_config,
        }
    }
}

/// The data as text, when the content type says that it is and it is UTF-8.
fn data_is_text(outcome: &Outcome) -> Option<&str> {
    let media = outcome.media_type();
    let is_text = outcome.is_json() || media.is_empty() || media.starts_with("text/");
    outcome.data.as_text().filter(|_| is_text)
}

/// The inputs of the schema as `data:` URLs, for whoever draws the result over them.
fn shown_inputs(model: &Model, given: &RawInputs) -> Vec<Shown> {
    let fields = model.schema.fields().iter();
    let given = fields.filter_map(|(name, field)| Some((given.get(name)?, field)));
    let shown = given.flat_map(|(value, field)| {
        let show = |item: &RawValue| Shown::new(item, &field.shape());
        match value {
            RawValue::List(items) => items.iter().map(show).collect(),
            RawValue::Json(Value::Array(items)) if field.items.is_some() => {
                items.iter().map(|item| show(&RawValue::Json(item.clone()))).collect()
            }
            value => vec![show(value)],
        }
    });
    shown.collect()
}

/// The URL of a file that came as text: its own address, or a `data:` URL of the bytes that came as
/// base64, with the media type of a picture where it was named.
fn file_url(media: &str, text: &str) -> String {
    let Some(bytes) = decode_base64(text) else {
        return text.to_owned();
    };
    let named = text.strip_prefix("data:").and_then(|url| url.split([';', ',']).next());
    data_url(named.filter(|named| named.starts_with("image/")).unwrap_or(media), &bytes)
}
