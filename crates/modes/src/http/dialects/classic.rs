//! The ancestor's dialect: `POST /` with a form, answered by JSON with `id`, `output_url`,
//! `scale_applied`, `inputs`, `output` and `visualizer_data`, or with `{"err": …}`; and the page
//! at `GET /`, whose form a browser sends here too.
//!
//! The statuses are those of `/infer`, but for a model that itself reports a failure: that is
//! status 200 here, as it always was.

use ai_integration_contract::{Data, Error, Outcome, RawInputs, RawValue, Shape};
use ai_integration_engine::Model;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Serialize;
use serde_json::value::RawValue as JsonText;
use serde_json::{Value, json};

use crate::http::App;
use crate::http::failure::{Failure, Rejection, status};
use crate::http::inputs::call::{Call, accepts};
use crate::http::inputs::request::RequestInputs;
use crate::http::page::plain;

pub(crate) const PATHS: &[&str] = &["/"];

pub(crate) fn routes() -> Router<App> {
    Router::new().route("/", get(form).post(infer))
}

async fn form(State(app): State<App>) -> Response {
    plain::form(&app)
}

async fn infer(
    State(app): State<App>,
    headers: HeaderMap,
    call: Result<Call, Rejection>,
    inputs: Result<RequestInputs, Rejection>,
) -> Response {
    // A browser that sends the plain form asks for a page; programs ask for anything.
    let wants_page = accepts(&headers, "text/html");
    let answered = match (call, inputs) {
        (Ok(call), Ok(inputs)) => answer(&app, call, inputs).await,
        (Err(rejection), _) | (_, Err(rejection)) => Err(rejection),
    };
    let wording = app.wording();
    match answered {
        Ok((_, _, outcome)) if outcome.success && wants_page => plain::result(&outcome),
        Ok((model, given, outcome)) if outcome.success => {
            Json(Classic::new(&model, &given, &outcome)).into_response()
        }
        Ok((_, _, outcome)) => {
            let message = wording.of_model(&outcome);
            let failure = Failure::of_model(outcome);
            if wants_page {
                failure.told_by(plain::failure(&message))
            } else {
                failure.told_by(Json(json!({"err": message})))
            }
        }
        Err(Rejection(error)) => {
            let status = status(error.kind);
            let (title, message) = (error.kind.title(), wording.of_error(&error));
            let failure = Failure::from(error);
            if wants_page {
                failure.told_by(plain::problem(status, title, &message))
            } else {
                failure.told_by((status, Json(json!({"err": message}))))
            }
        }
    }
}

/// The model, what the request gave of its inputs, and the outcome.
type Answered = (std::sync::Arc<Model>, RawInputs, Outcome);

async fn answer(app: &App, call: Call, inputs: RequestInputs) -> Result<Answered, Rejection> {
    // The answer shows the inputs; bytes are shared, not copied.
    let given = inputs.raw.clone();
    let (model, ticket) = app.submit(call, inputs, false).await?;
    let outcome: Result<Outcome, Error> = ticket.outcome().await;
    Ok((model, given, outcome?))
}

/// The answer with a result.
#[derive(Serialize)]
struct Classic<'a> {
    id: String,
    output_url: Option<String>,
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

/// An input for whoever draws the result over it.
#[derive(Serialize)]
struct Shown {
    is_img: bool,
    url: String,
}

impl<'a> Classic<'a> {
    fn new(model: &'a Model, given: &RawInputs, outcome: &'a Outcome) -> Self {
        let (mut output, mut output_url) = (Output::None, None);
        match &outcome.data {
            Data::None => {}
            data if outcome.is_image() => {
                let media = outcome.media_type();
                output_url = Some(data_url(&media, &data.clone().into_bytes()));
            }
            Data::Bytes(bytes) if data_is_text(outcome).is_none() => {
                let media = Some(outcome.media_type()).filter(|media| !media.is_empty());
                let media = media.unwrap_or_else(|| "application/octet-stream".to_owned());
                output_url = Some(data_url(&media, bytes));
            }
            data => {
                let text = data.as_text().unwrap_or_default();
                let json = outcome.is_json().then(|| serde_json::from_str(text).ok()).flatten();
                output = json.map_or(Output::Text(text), Output::Json);
            }
        }
        Classic {
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
    let shown = model.schema.fields().iter().filter_map(|(name, field)| {
        let value = given.get(name)?;
        let is_image =
            matches!(field.shape(), Shape::Blob { media } if media.starts_with("image/"));
        let media = match field.shape() {
            Shape::Blob { .. } if is_image => "image/jpeg",
            Shape::Blob { .. } => "application/octet-stream",
            _ => "text/plain",
        };
        let url = match value {
            RawValue::Bytes(bytes) => data_url(media, bytes),
            RawValue::Text(text) | RawValue::Json(Value::String(text))
                if is_image && ["data:", "http:", "https:"].iter().any(|s| text.starts_with(s)) =>
            {
                text.clone()
            }
            RawValue::Text(text) | RawValue::Json(Value::String(text)) => {
                data_url(media, text.as_bytes())
            }
            RawValue::Json(json) => data_url(media, json.to_string().as_bytes()),
        };
        Some(Shown { is_img: is_image, url })
    });
    shown.collect()
}

/// A `data:` URL (RFC 2397).
pub(crate) fn data_url(media: &str, bytes: &[u8]) -> String {
    let mut url = format!("data:{media};base64,");
    BASE64_STANDARD.encode_string(bytes, &mut url);
    url
}

/// What a browser is told when it opens the page too early.
pub(crate) const NOT_READY: StatusCode = StatusCode::SERVICE_UNAVAILABLE;
