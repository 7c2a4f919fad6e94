//! The native dialect. `POST /infer` answers with the result itself, under the content type that the
//! model gives it. Failures are problem documents (RFC 9457) with fitting HTTP statuses.

mod charset;
mod events;
mod mixed;

use ai_integration_contract::{Data, Environment, Kind, Outcome, SettingError, Task};
use ai_integration_engine::{Event, Model, Ticket};
use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures_util::{FutureExt, stream};
use serde_json::{Value, json};

use self::mixed::mixed;
use crate::http::app::App;
use crate::http::data_url::data_urls;
use crate::http::description::{
    Description, body, content, operation, problems, reasons_of_a_run, responses, result_content,
};
use crate::http::dialect::Dialect;
use crate::http::failure::{Failure, Reason};
use crate::http::inputs::call::Call;
use crate::http::inputs::request::RequestInputs;
use crate::http::large::{PASSES, work_on};
use crate::http::request_context::RequestContext;
use crate::http::routes::{Mounted, Routes};
use crate::http::server_sent::UNBUFFERED;

/// Stops browsers from executing a result as a page.
const INERT: [(HeaderName, HeaderValue); 1] =
    [(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox"))];

/// The maximum number of chunks that are taken without waiting when the response begins.
const MAX_FIRST_CHUNKS: usize = 64;

pub(crate) struct Native;

impl Dialect for Native {
    fn name(&self) -> &'static str {
        "native"
    }

    fn mount(&self, _environment: &Environment, app: &App) -> Result<Mounted, SettingError> {
        let routes = Routes::new().at("/infer", post(infer)).at("/schema", get(schema));
        Ok(routes.with_state(app.clone()))
    }

    fn describe(&self, model: &Model) -> Description {
        let success = json!({
            "description": "The result, under the content type that the model gives it. With \
                            `Accept: text/event-stream`, the events of the request, the last of \
                            which is its result. A list of pictures is a JSON array of `data:` \
                            URLs, or, with `Accept: multipart/mixed`, a body with one part for each \
                            picture.",
            "content": result_content(&model.outputs),
        });
        let infer = json!({
            "operationId": "infer",
            "summary": "Run the model",
            "parameters": [{"$ref": "#/components/parameters/Timeout"}],
            "requestBody": body(&model.schema),
            "responses": responses(success, problems(reasons_of_a_run())),
        });
        let not_loaded = [Reason::Failed(Kind::ModelUnavailable)];
        let summary = "The model: its inputs, what it declares, and its name";
        let description = json!({"application/json": {"schema": front_end_schema()}});
        let told = content("The description of the model", &description);
        let schema = operation("schema", summary, told, &not_loaded);
        Description::default().at("/infer", "post", infer).at("/schema", "get", schema)
    }
}

/// Returns the schema of the answer of `/schema`.
fn front_end_schema() -> Value {
    let tasks: Vec<&str> = Task::ALL.iter().map(|task| task.name()).collect();
    json!({"type": "object", "properties": {
        "inputs_schema": {"description": "The inputs schema as the model's author wrote it"},
        "inputs": {
            "description": "The inputs for front ends, in order",
            "type": "array",
            "items": {"type": "object"},
        },
        "outputs": {
            "description": "What the author declares about the result",
            "type": ["object", "null"],
        },
        "tasks": {
            "description": "The tasks that the author declares",
            "type": "array",
            "items": {"type": "string", "enum": tasks},
        },
        "dialects": {
            "description": "The protocols that are served",
            "type": "array",
            "items": {"type": "string"},
        },
        "visualizer_config": {"description": "Hints for programs that draw the results"},
        "model": {
            "description": "The model's name, description, version and examples",
            "type": "object",
        },
        "model_id": {"description": "The name for clients of other protocols", "type": "string"},
        "needs_token": {"description": "True if requests need a token", "type": "boolean"},
    }})
}

async fn infer(
    State(app): State<App>,
    call: Call,
    inputs: RequestInputs,
) -> Result<Response, Failure> {
    answer(app, call, inputs).await
}

/// Runs the model, and answers with its result, or with the events of the job if the client accepts
/// these.
pub(crate) async fn answer(
    app: App,
    mut call: Call,
    inputs: RequestInputs,
) -> Result<Response, Failure> {
    let (context, wants_events) = (call.context.clone(), call.wants_events);
    let wants_parts = call.wants_parts;
    call.is_followed = wants_events;
    let (_, ticket) = app.submit(call, inputs).await?;
    if wants_events {
        return Ok(events::stream(app, context, ticket));
    }
    streamed(app, context, ticket, wants_parts).await
}

async fn whole(outcome: Outcome, wants_parts: bool) -> Result<Response, Failure> {
    let outcome = Failure::check_outcome(outcome)?;
    let content_type = content_type(outcome.content_type.as_deref(), &outcome.data);
    let media = outcome.media_type();
    match outcome.data {
        Data::List(list) => {
            let size = PASSES * list.iter().map(Bytes::len).sum::<usize>();
            let written = work_on(size, move || listed(&content_type, &media, &list, wants_parts));
            Ok(written.await?)
        }
        data => {
            Ok((INERT, [(header::CONTENT_TYPE, content_type)], data.into_bytes()).into_response())
        }
    }
}

/// Makes the response for a list: its members as the parts of one body, or as `data:` URLs.
fn listed(content_type: &HeaderValue, media: &str, list: &[Bytes], wants_parts: bool) -> Response {
    let vary = [(header::VARY, HeaderValue::from_static("accept"))];
    if wants_parts {
        let (kind, body) = mixed(content_type, media, list);
        return (INERT, vary, [(header::CONTENT_TYPE, kind)], body).into_response();
    }
    (INERT, vary, Json(data_urls(media, list))).into_response()
}

/// Answers with the whole result, or with its chunks as they arrive. After the first chunks, a
/// failure can only be reported by cutting the body off: clients see an incomplete response.
pub(crate) async fn streamed(
    app: App,
    context: RequestContext,
    mut ticket: Ticket,
    wants_parts: bool,
) -> Result<Response, Failure> {
    let Some(Event::Chunk { content_type: media, data }) = ticket.event().await else {
        return whole(ticket.outcome().await?, wants_parts).await;
    };
    let media = content_type(media.as_deref(), &data);
    let (chunks, has_ended) = first_chunks(data, &mut ticket);
    let rest = if has_ended {
        // Nothing has been sent, so a failure can still be reported in full.
        check_end(ticket).await?;
        None
    } else {
        Some((app, context, ticket))
    };
    let rest = stream::unfold(rest, |state| async {
        let (app, context, mut ticket) = state?;
        while let Some(event) = ticket.event().await {
            if let Event::Chunk { data, .. } = event {
                return Some((Ok(data.into_bytes()), Some((app, context, ticket))));
            }
        }
        let failure = check_end(ticket).await.err()?;
        app.record_late(&failure, &context);
        // Lets the connection send the chunks that it has. After the error it sends nothing more.
        tokio::task::yield_now().await;
        Some((Err(std::io::Error::other(failure.code())), None))
    });
    let first = stream::iter(chunks.into_iter().map(Ok::<Bytes, std::io::Error>));
    let body = Body::from_stream(stream::StreamExt::chain(first, rest));
    Ok((INERT, [(header::CONTENT_TYPE, media)], [UNBUFFERED], body).into_response())
}

/// Returns the first chunk and those that have already arrived, and true if no more will arrive.
fn first_chunks(first: Data, ticket: &mut Ticket) -> (Vec<Bytes>, bool) {
    let mut chunks = vec![first.into_bytes()];
    while chunks.len() < MAX_FIRST_CHUNKS {
        match ticket.event().now_or_never() {
            Some(Some(Event::Chunk { data, .. })) => chunks.push(data.into_bytes()),
            Some(Some(_)) => {}
            Some(None) => return (chunks, true),
            None => break,
        }
    }
    (chunks, false)
}

/// Waits for the end of a job whose chunks have all been read. Returns the failure, if it failed.
async fn check_end(ticket: Ticket) -> Result<(), Failure> {
    let outcome = ticket.outcome().await?;
    if outcome.success { Ok(()) } else { Err(Failure::of_model(&outcome)) }
}

/// Returns the content type under which data is sent. Text is sent as UTF-8, whatever charset the
/// model names. Bytes are in the charset that the model names.
fn content_type(media: Option<&str>, data: &Data) -> HeaderValue {
    let unknown = HeaderValue::from_static("application/octet-stream");
    let Some(media) = media else { return unknown };
    let value = match media {
        // The usual types need no allocation.
        "application/json" => return HeaderValue::from_static("application/json"),
        "text/plain" => return HeaderValue::from_static("text/plain; charset=utf-8"),
        _ => HeaderValue::from_str(&charset::with_charset(media, data)),
    };
    value.unwrap_or(unknown)
}

async fn schema(State(app): State<App>) -> Result<Response, Failure> {
    let model = app.loaded_model().await?;
    Ok(Json(app.for_front_end(&model)).into_response())
}
