//! The dialect of Amazon SageMaker: `POST /invocations` with a body of any type, and
//! `GET /execution-parameters` for batch transform. It is served only on that platform.
//!
//! JSON and forms have the inputs by name, JSON perhaps as Hugging Face's containers take it. Lines of
//! JSON and of CSV are records, as batch transform joins them: each line is a job of its own, and the
//! response has a line for each, in the same order. Any other body is a file or a text for the one
//! input of the model that takes it. Failures are `{"error": …}`, which SageMaker passes on as the
//! original message of its error.

mod description;
pub(crate) mod lines;
mod parameters;
mod results;

use ai_integration_contract::{Environment, Error, Kind, Setting, SettingError};
use ai_integration_engine::Model;
use axum::extract::{FromRef, FromRequest, FromRequestParts, Request, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use axum::routing::{get, post};
use mime::Mime;

use self::lines::{Content, Format, Lines};
use self::parameters::Shared;
use crate::http::app::App;
use crate::http::description::Description;
use crate::http::dialect::Dialect;
use crate::http::dialects::{huggingface, native};
use crate::http::failure::{Failure, Wording};
use crate::http::inputs::any::file_inputs;
use crate::http::inputs::call::Call;
use crate::http::inputs::intake::Intake;
use crate::http::inputs::media::{content_type, is_json};
use crate::http::inputs::request::{RequestInputs, is_empty, is_json_type};
use crate::http::inputs::text::body_in_utf8;
use crate::http::inputs::unnamed::{needs_file, needs_text};
use crate::http::large::work_on;
use crate::http::request_context::RequestId;
use crate::http::routes::{Mounted, Routes};

/// The header with whatever the client tells the model, which a model cannot read now.
const ATTRIBUTES: &str = "x-amzn-sagemaker-custom-attributes";
/// The maximum length of that header, by the platform's contract.
const MAX_ATTRIBUTES: usize = 1024;

pub(crate) struct SageMaker;

impl Dialect for SageMaker {
    fn name(&self) -> &'static str {
        "sagemaker"
    }

    fn platform(&self) -> Option<&'static str> {
        Some("sagemaker")
    }

    fn settings(&self) -> &'static [&'static Setting] {
        parameters::Settings::SETTINGS
    }

    fn mount(&self, environment: &Environment, app: &App) -> Result<Mounted, SettingError> {
        let shared = Shared::read(environment, app)?;
        Ok(Routes::new()
            .at("/invocations", post(invocations))
            .at("/execution-parameters", get(parameters::get))
            .with_state(shared))
    }

    fn describe(&self, model: &Model) -> Description {
        description::describe(model)
    }

    fn refuse(&self, failure: &Failure, wording: Wording, _id: &RequestId) -> Response {
        failure.as_error(wording)
    }
}

/// The kind of a body, by its content type.
enum Body {
    /// Inputs by name: JSON or a form.
    Named { is_json: bool },
    /// A record in each line.
    Lines(Format, Mime),
    /// A text or a file, for one input.
    Value(Option<Mime>),
}

impl Body {
    fn of(headers: &HeaderMap) -> Self {
        let Some(media) = content_type(headers) else {
            return if is_empty(headers) {
                Body::Named { is_json: false }
            } else {
                Body::Value(None)
            };
        };
        let Ok(media) = media else { return Body::Value(None) };
        match media.essence_str() {
            "multipart/form-data" | "application/x-www-form-urlencoded" => {
                Body::Named { is_json: false }
            }
            _ if is_json(&media) => Body::Named { is_json: true },
            "text/csv" => Body::Lines(Format::Csv, media),
            "application/jsonlines"
            | "application/jsonl"
            | "application/x-jsonlines"
            | "application/x-ndjson" => Body::Lines(Format::Json, media),
            _ => Body::Value(Some(media)),
        }
    }
}

/// Answers a request for the model.
async fn invocations(State(state): State<Shared>, request: Request) -> Result<Response, Failure> {
    let (mut head, body) = request.into_parts();
    check_attributes(&head.headers)?;
    let kind = Body::of(&head.headers);
    let wants_csv = results::wants_csv(&head.headers);
    let mut call = Call::from_request_parts(&mut head, &state).await?;
    let (media, format) = match kind {
        Body::Named { is_json } => {
            if is_json && !is_json_type(&head.headers) {
                // JSON of a narrower type, such as application/vnd.api+json, has the same inputs.
                let json = HeaderValue::from_static("application/json");
                head.headers.insert(header::CONTENT_TYPE, json);
            }
            return named(state.app, call, Request::from_parts(head, body), is_json).await;
        }
        Body::Lines(format, media) => (Some(media), Some(format)),
        Body::Value(media) => (media, None),
    };
    let model = state.app.model(&mut call).await?;
    let takes_file = needs_file(&model.schema);
    let content = read(&state.app, Request::from_parts(head, body)).await?;
    match (media, format) {
        (Some(media), Some(format)) if format == Format::Json || !takes_file => {
            let lines = Lines::new(format, in_text(content, media).await?);
            results::answer(&state, call, &model, lines, wants_csv).await
        }
        (media, _) => {
            let text = match media {
                Some(media) => Some(media).filter(|media| media.type_() == mime::TEXT),
                // Clients may leave the type out, whatever the body is.
                None => needs_text(&model.schema).then_some(mime::TEXT_PLAIN_UTF_8),
            };
            let Content { bytes, reservation } = content;
            let inputs = file_inputs(&model.schema, bytes, text, reservation).await?;
            native::answer(state.app, call, inputs).await
        }
    }
}

/// Checks the attributes that the client gives the model. The platform passes on nothing else.
fn check_attributes(headers: &HeaderMap) -> Result<(), Failure> {
    let mut given = headers.get_all(ATTRIBUTES).iter();
    if given.all(|value| value.len() <= MAX_ATTRIBUTES && value.to_str().is_ok()) {
        return Ok(());
    }
    let message = format!(
        "the header X-Amzn-SageMaker-Custom-Attributes is not a text of at most {MAX_ATTRIBUTES} \
         visible ASCII characters"
    );
    Err(Error::new(Kind::MalformedRequest, message).into())
}

/// Runs the model on inputs that have names. JSON may also have the form of Hugging Face's containers.
async fn named(app: App, call: Call, request: Request, is_json: bool) -> Result<Response, Failure> {
    let mut inputs = RequestInputs::from_request(request, &app).await?;
    let mut call = call;
    if is_json && app.serves(huggingface::NAME) {
        match huggingface::offer_members(&app, call, inputs).await {
            Ok(response) => return Ok(response),
            Err(returned) => (call, inputs) = returned,
        }
    }
    native::answer(app, call, inputs).await
}

async fn read(app: &App, request: Request) -> Result<Content, Failure> {
    let intake = Intake::from_ref(app);
    let reader = intake.reader();
    let coding = reader.coding(request.headers())?;
    let mut reservation = reader.reserve(&request);
    let bytes = reader.read(request, coding, &mut reservation).await?;
    Ok(Content { bytes, reservation })
}

/// Decodes a text.
async fn in_text(content: Content, media: Mime) -> Result<Content, Failure> {
    let Content { bytes, mut reservation } = content;
    let length = bytes.len();
    let decode = move || {
        let bytes = body_in_utf8(&media, bytes, &mut reservation)?;
        Ok(Content { bytes, reservation })
    };
    work_on(length, decode).await?
}
