//! The dialect of ai_integration 1.0. It answers `POST /` with a JSON object that has `id`,
//! `output_url`, `scale_applied`, `inputs`, `output` and `visualizer_data`, or with `{"err": …}`.
//! The plain form of the page is sent to the same address, and is answered with a page.
//!
//! The statuses are those of `/infer`, with one exception: a failure that the model itself reports has
//! status 200, as in version 1.0.

use std::sync::Arc;

use ai_integration_contract::{
    Data, Environment, Kind, Outcome, Outputs, RawInputs, RawValue, SettingError, Shape,
    decode_base64,
};
use ai_integration_engine::Model;
use axum::Json;
use axum::extract::{FromRef, FromRequest, FromRequestParts, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde::Serialize;
use serde_json::value::RawValue as JsonText;
use serde_json::{Value, json};

use crate::http::accept::awaits_page;
use crate::http::app::App;
use crate::http::data_url::{data_url, data_urls};
use crate::http::description::{Description, body, problems, reasons_of_a_run, responses, result};
use crate::http::dialect::Dialect;
use crate::http::dialects::huggingface;
use crate::http::failure::{Failure, Reason, Wording, problem_with_error};
use crate::http::inputs::call::Call;
use crate::http::inputs::request::{RequestInputs, extent, is_json_type};
use crate::http::large::work_on;
use crate::http::page::html;
use crate::http::request_context::RequestId;
use crate::http::routes::{Mounted, Routes};

pub(crate) struct Classic;

impl Dialect for Classic {
    fn name(&self) -> &'static str {
        "classic"
    }

    fn mount(&self, _environment: &Environment, app: &App) -> Result<Mounted, SettingError> {
        let is_shared = app.serves(huggingface::NAME);
        Ok(Routes::new().at("/", post(infer)).with_state(Shared { app: app.clone(), is_shared }))
    }

    /// Clients of the dialect `huggingface`, which has the same address, read the member `error`.
    fn refuse(&self, failure: &Failure, wording: Wording, id: &RequestId) -> Response {
        problem_with_error(failure, wording, id)
    }

    fn describe(&self, model: &Model) -> Description {
        let success = json!({
            "description": "The result as a part of an object, or a failure that the model \
                            reported.",
            "content": {
                "application/json": {"schema": {"$ref": "#/components/schemas/Classic"}},
                "text/html": {"schema": {"type": "string"}},
            },
        });
        let failed = json!({
            "description": "The reason why there is no result; the statuses are those of `/infer`",
            "content": {
                "application/json": {"schema": {
                    "type": "object",
                    "required": ["err"],
                    "properties": {"err": {"type": "string"}},
                }},
                // The response to a request that is refused before its dialect is known.
                "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}},
                "text/html": {"schema": {"type": "string"}},
            },
        });
        let statuses = problems(reasons_of_a_run()).into_keys();
        let run = json!({
            "operationId": "classic",
            "summary": "Run the model, and get the result as a part of a JSON object",
            "parameters": [{"$ref": "#/components/parameters/Timeout"}],
            "requestBody": body(&model.schema),
            "responses": responses(success, statuses.map(|status| (status, failed.clone()))),
        });
        Description::default()
            .at("/", "post", run)
            .schema("Classic", response_schema(&model.outputs))
    }
}

fn response_schema(outputs: &Outputs) -> Value {
    let mut output = result(outputs);
    output["description"] = "The result, parsed if it is JSON".into();
    json!({
        "type": "object",
        "properties": {
            "id": {"type": "string"},
            "output": output,
            "output_url": {
                "type": ["string", "array", "null"],
                "items": {"type": "string"},
                "description": "The result as a `data:` URL if it is a picture or another file, \
                                or an array of such URLs if it is a list of them",
            },
            "scale_applied": {"type": "number"},
            "inputs": {"type": "array", "items": {
                "type": "object",
                "properties": {"is_img": {"type": "boolean"}, "url": {"type": "string"}},
            }},
            "visualizer_data": {},
            "err": {"type": "string", "description": "The failure that the model reported"},
        },
    })
}

/// The state of the handler.
#[derive(Clone)]
struct Shared {
    app: App,
    /// True if the address is also that of the dialect `huggingface`.
    is_shared: bool,
}

impl FromRef<Shared> for App {
    fn from_ref(state: &Shared) -> App {
        state.app.clone()
    }
}

/// Answers a request, unless the dialect `huggingface` takes it.
async fn infer(State(state): State<Shared>, request: Request) -> Response {
    let Shared { app, is_shared } = state;
    let wants_page = awaits_page(request.headers());
    let (mut head, body) = request.into_parts();
    let is_json = is_json_type(&head.headers);
    let call = Call::from_request_parts(&mut head, &app).await;
    let request = Request::from_parts(head, body);
    let (call, request) = match call {
        Ok(call) if is_shared => match huggingface::offer_file(&app, call, request).await {
            Ok(response) => return response,
            Err((call, request)) => (Ok(call), request),
        },
        call => (call, request),
    };
    let inputs = RequestInputs::from_request(request, &app).await;
    let (call, inputs) = match (call, inputs) {
        (Ok(call), Ok(inputs)) if is_shared && is_json => {
            match huggingface::offer_members(&app, call, inputs).await {
                Ok(response) => return response,
                Err((call, inputs)) => (Ok(call), Ok(inputs)),
            }
        }
        other => other,
    };
    answer(&app, wants_page, call, inputs).await
}

async fn answer(
    app: &App,
    wants_page: bool,
    call: Result<Call, Failure>,
    inputs: Result<RequestInputs, Failure>,
) -> Response {
    let ended = match (call, inputs) {
        (Ok(call), Ok(mut inputs)) => {
            if wants_page {
                leave_out_empty(&mut inputs.raw);
            }
            run(app, call, inputs).await
        }
        (Err(failure), _) | (_, Err(failure)) => Err(failure),
    };
    let wording = app.wording();
    match ended {
        Ok(Run { model, given, outcome }) if outcome.success => {
            warn_of_fault(&outcome);
            let size = outcome.data.len() + extent(&given);
            let app = app.clone();
            let written = work_on(size, move || {
                if wants_page {
                    return html::result(&app, &outcome);
                }
                Json(ClassicResult::new(&model, &given, &outcome)).into_response()
            });
            written.await.unwrap_or_else(|error| Failure::from(error).into_response())
        }
        Ok(Run { outcome, .. }) => {
            let failure = Failure::of_model(&outcome);
            let message = failure.detail(wording);
            if wants_page {
                failure.with_body(html::failure(app, &message))
            } else {
                failure.with_body(Json(json!({"err": message})))
            }
        }
        Err(failure) => {
            let (reason, message) = (failure.reason, failure.detail(wording));
            if wants_page {
                failure.with_body(html::problem(app, reason.status(), reason.title(), &message))
            } else {
                let mut body = json!({"err": message});
                if may_be_unread(reason) {
                    // The request may have the form of the dialect `huggingface`.
                    body["error"] = body["err"].clone();
                }
                failure.with_body((reason.status(), Json(body)))
            }
        }
    }
}

/// Returns true if a request may have been refused before its body was read.
fn may_be_unread(reason: Reason) -> bool {
    matches!(reason, Reason::Failed(Kind::TooLarge | Kind::QueueFull))
}

/// Logs a warning if a result is not JSON although its content type is.
fn warn_of_fault(outcome: &Outcome) {
    if outcome.json_fault().is_some() {
        // The fault quotes the result, which only the client may see, so it is not logged.
        tracing::warn!(
            "a result of type {:?} is not JSON; it is sent as text",
            outcome.content_type.as_deref().unwrap_or_default()
        );
    }
}

/// Leaves out empty items of lists, because the plain form has spare rows.
fn leave_out_empty(raw: &mut RawInputs) {
    let is_empty = |item: &RawValue| matches!(item, RawValue::Text(text) if text.is_empty());
    raw.retain(|_, value| {
        let RawValue::List(items) = value else { return true };
        items.retain(|item| !is_empty(item));
        !items.is_empty()
    });
}

/// A run of the model that has ended.
struct Run {
    model: Arc<Model>,
    /// The inputs as the request had them.
    given: RawInputs,
    outcome: Outcome,
}

async fn run(app: &App, call: Call, inputs: RequestInputs) -> Result<Run, Failure> {
    // The response contains the inputs. This clone shares their bytes.
    let size = extent(&inputs.raw);
    let (mut given, inputs) = work_on(size, move || (inputs.raw.clone(), inputs)).await?;
    let (model, ticket) = app.submit(call, inputs).await?;
    if model.schema.has_lists() {
        let model = model.clone();
        let gather = move || model.schema.gather(&mut given).map(|()| given);
        given = work_on(size, gather).await??;
    }
    Ok(Run { model, given, outcome: ticket.outcome().await? })
}

/// Runs the model, and writes the result as this dialect does, for a mode without its addresses. Here
/// an outcome that reports a failure is a failure.
#[cfg(feature = "lambda")]
pub(crate) async fn written(
    app: &App,
    call: Call,
    inputs: RequestInputs,
) -> Result<String, Failure> {
    let Run { model, given, outcome } = run(app, call, inputs).await?;
    if !outcome.success {
        return Err(Failure::of_model(&outcome));
    }
    warn_of_fault(&outcome);
    let size = outcome.data.len() + extent(&given);
    let write = move || serde_json::to_string(&ClassicResult::new(&model, &given, &outcome));
    work_on(size, write).await?.map_err(|error| {
        let message = format!("the result: {error}");
        ai_integration_contract::Error::new(Kind::ModelFailed, message).into()
    })
}

/// The body of a response that has a result.
#[derive(Serialize)]
struct ClassicResult<'a> {
    id: String,
    output_url: Option<Urls>,
    scale_applied: u8,
    inputs: Vec<Shown>,
    output: Output<'a>,
    visualizer_data: &'a Value,
}

/// The data of a result, unless it is a file.
#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum Output<'a> {
    None,
    Text(&'a str),
    /// JSON as the model wrote it, because a parsed copy would take many times as much memory.
    Json(&'a JsonText),
}

/// The result as `data:` URLs.
#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum Urls {
    One(String),
    List(Vec<String>),
}

/// An input of the request, for clients that draw the result over it.
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
            // An item of a list is never a list.
            RawValue::List(_) => data_url(media, b""),
        };
        Shown { is_img: is_image, url }
    }
}

impl<'a> ClassicResult<'a> {
    fn new(model: &'a Model, given: &RawInputs, outcome: &'a Outcome) -> Self {
        let (output, output_url) = output(outcome);
        ClassicResult {
            id: uuid::Uuid::new_v4().to_string(),
            output_url,
            scale_applied: 1,
            inputs: shown_inputs(model, given),
            output,
            visualizer_data: &model.visualizer_config,
        }
    }
}

/// Returns the members `output` and `output_url` of a result.
pub(crate) fn output(outcome: &Outcome) -> (Output<'_>, Option<Urls>) {
    match &outcome.data {
        Data::None => (Output::None, None),
        Data::List(list) => {
            (Output::None, Some(Urls::List(data_urls(&outcome.media_type(), list))))
        }
        data if outcome.is_image() => {
            let media = outcome.media_type();
            (Output::None, Some(Urls::One(data_url(&media, &data.clone().into_bytes()))))
        }
        Data::Bytes(bytes) if data_is_text(outcome).is_none() => {
            let media = Some(outcome.media_type()).filter(|media| !media.is_empty());
            let media = media.unwrap_or_else(|| "application/octet-stream".to_owned());
            (Output::None, Some(Urls::One(data_url(&media, bytes))))
        }
        data => {
            let text = data.as_text().unwrap_or_default();
            let json = outcome.is_json().then(|| serde_json::from_str(text).ok()).flatten();
            (json.map_or(Output::Text(text), Output::Json), None)
        }
    }
}

/// Returns the data as text, if the content type is one of text and the data is UTF-8.
fn data_is_text(outcome: &Outcome) -> Option<&str> {
    let media = outcome.media_type();
    let is_text = outcome.is_json() || media.is_empty() || media.starts_with("text/");
    outcome.data.as_text().filter(|_| is_text)
}

/// Returns the inputs that the schema has as `data:` URLs, for clients that draw the result over them.
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

/// Returns the URL of a file that the request had as text. For base64 this is a `data:` URL of the
/// bytes, with the picture type in the text if it has one. Other text is a URL already.
fn file_url(media: &str, text: &str) -> String {
    let Some(bytes) = decode_base64(text) else {
        return text.to_owned();
    };
    let named = text.strip_prefix("data:").and_then(|url| url.split([';', ',']).next());
    data_url(named.filter(|named| named.starts_with("image/")).unwrap_or(media), &bytes)
}
