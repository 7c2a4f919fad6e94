//! The dialect of Hugging Face's inference toolkit, for `InferenceClient(model=URL)`. It has one
//! address, `POST /`. The body is a file, or a JSON object with `inputs` and `parameters`.
//!
//! The classic dialect has the same address. It offers each request to this dialect first, which
//! takes those of its form: a file without a name, or JSON whose `inputs` or `parameters` the model's
//! inputs schema does not have. Failures are `{"error": …}`.

mod answer;
pub(crate) mod content;
mod description;
mod tokens;

use std::sync::Arc;

use ai_integration_contract::{Environment, Error, Kind, RawInputs, RawValue, SettingError};
use ai_integration_engine::Model;
use axum::extract::{FromRef, FromRequest, FromRequestParts, Request, State};
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::post;

use self::content::{Records, is_shaped, is_whole_request, sole_file};
use self::tokens::Tokens;
use crate::http::app::App;
use crate::http::conversation::stream;
use crate::http::description::Description;
use crate::http::dialect::Dialect;
use crate::http::failure::{Failure, Refusal, Wording};
use crate::http::inputs::call::Call;
use crate::http::inputs::intake::Intake;
use crate::http::inputs::media::{content_type, is_json};
use crate::http::inputs::request::{RequestInputs, extent, is_empty, is_json_type};
use crate::http::large::{PASSES, work_on};
use crate::http::records;
use crate::http::request_context::RequestId;
use crate::http::routes::{Mounted, Routes};

/// The name of the dialect, by which the classic dialect asks whether it is served.
pub(crate) const NAME: &str = "huggingface";

pub(crate) struct HuggingFace;

impl Dialect for HuggingFace {
    fn name(&self) -> &'static str {
        NAME
    }

    fn mount(&self, _environment: &Environment, app: &App) -> Result<Mounted, SettingError> {
        let mut routes = Routes::new();
        if !app.serves("classic") {
            routes = routes.at("/", post(infer));
        }
        Ok(routes.with_state(app.clone()))
    }

    fn describe(&self, model: &Model) -> Description {
        description::describe(model)
    }

    fn refuse(&self, failure: &Failure, wording: Wording, _id: &RequestId) -> Response {
        failure.as_error(wording)
    }
}

/// Answers a request whose body is a file without a name, if the file is all that the model needs.
/// Otherwise returns the request, of which no body was read.
pub(crate) async fn offer_file(
    app: &App,
    mut call: Call,
    request: Request,
) -> Result<Response, (Call, Request)> {
    if !is_file(request.headers()) {
        return Err((call, request));
    }
    let answered = match app.model(&mut call).await {
        Ok(model) => match sole_file(&model.schema) {
            None => return Err((call, request)),
            Some(name) => file(app, call, &model, name, request).await,
        },
        Err(failure) => Err(failure),
    };
    Ok(answered.unwrap_or_else(|failure| refused(app, failure)))
}

/// Answers a request in JSON, if it has the form of this dialect. Otherwise returns it.
pub(crate) async fn offer_members(
    app: &App,
    mut call: Call,
    inputs: RequestInputs,
) -> Result<Response, (Call, RequestInputs)> {
    if !is_shaped(&inputs.raw) {
        return Err((call, inputs));
    }
    let answered = match app.model(&mut call).await {
        Ok(model) if is_whole_request(&model.schema, &inputs.raw) => {
            return Err((call, inputs));
        }
        Ok(model) => members(app, call, &model, inputs).await,
        Err(failure) => Err(failure),
    };
    Ok(answered.unwrap_or_else(|failure| refused(app, failure)))
}

/// Answers at `/` if the classic dialect is not served.
async fn infer(State(app): State<App>, request: Request) -> Result<Response, Failure> {
    let (mut head, body) = request.into_parts();
    let is_json = is_json_type(&head.headers);
    let mut call = Call::from_request_parts(&mut head, &app).await?;
    let request = Request::from_parts(head, body);
    if is_file(request.headers()) {
        let model = app.model(&mut call).await?;
        let name = sole_file(&model.schema).ok_or_else(|| {
            let message = "the body is a file without a name, but a file is not all that the model \
                           needs; send JSON with \"inputs\"";
            Failure::refused(Refusal::UnsupportedMediaType, message)
        })?;
        return file(&app, call, &model, name, request).await;
    }
    if !is_json {
        let message = "a form is not supported; send a file, or JSON with \"inputs\"";
        return Err(Failure::refused(Refusal::UnsupportedMediaType, message));
    }
    let inputs = RequestInputs::from_request(request, &app).await?;
    if !is_shaped(&inputs.raw) {
        let message = "the JSON has neither \"inputs\" nor \"parameters\"";
        return Err(Error::new(Kind::MalformedRequest, message).into());
    }
    let model = app.model(&mut call).await?;
    members(&app, call, &model, inputs).await
}

/// Returns true if a request has a body without a type, or of a type that is neither that of a form nor
/// JSON.
fn is_file(headers: &HeaderMap) -> bool {
    let Some(media) = content_type(headers) else { return !is_empty(headers) };
    media.is_ok_and(|media| {
        let essence = media.essence_str();
        let is_form =
            matches!(essence, "multipart/form-data" | "application/x-www-form-urlencoded");
        !is_form && !is_json(&media)
    })
}

/// Runs the model on a file.
async fn file(
    app: &App,
    call: Call,
    model: &Arc<Model>,
    name: &str,
    request: Request,
) -> Result<Response, Failure> {
    let intake = Intake::from_ref(app);
    let reader = intake.reader();
    let coding = reader.coding(request.headers())?;
    let mut reservation = reader.reserve(&request);
    let body = reader.read(request, coding, &mut reservation).await?;
    let raw = RawInputs::from([(name.to_owned(), RawValue::Bytes(body))]);
    let jobs = vec![RequestInputs { raw, reservation }];
    let name = Some(name.to_owned());
    run(app, call, model, Records { jobs, is_list: false, is_streamed: false, name }).await
}

/// Runs the model on the members of a request in JSON.
async fn members(
    app: &App,
    call: Call,
    model: &Arc<Model>,
    inputs: RequestInputs,
) -> Result<Response, Failure> {
    let (schema_of, limit, size) = (model.clone(), app.max_records(), extent(&inputs.raw));
    let read = move || content::records(&schema_of.schema, inputs, limit);
    let records = work_on(size, read).await??;
    run(app, call, model, records).await
}

async fn run(
    app: &App,
    call: Call,
    model: &Arc<Model>,
    records: Records,
) -> Result<Response, Failure> {
    let Records { jobs, is_list, is_streamed, name } = records;
    let context = call.context.clone();
    let mut tickets = records::submit(app, model, call, jobs).await?;
    if is_streamed && let Some(ticket) = tickets.pop() {
        return stream::respond(app.clone(), context, ticket, Tokens::default()).await;
    }
    let outcomes = records::outcomes(tickets).await?;
    let size = records::size(&outcomes);
    let format = answer::AnswerFormat::new(model, name.as_deref(), is_list);
    Ok(work_on(PASSES * size, move || format.write(outcomes)).await?)
}

/// Makes the response to a failure, at an address that belongs to another dialect.
fn refused(app: &App, failure: Failure) -> Response {
    let body = failure.as_error(app.wording());
    failure.with_body(body)
}
