//! The native dialect: `POST /infer` answers with the result itself under its own content type,
//! and errors are problems with honest statuses.

mod events;

use ai_integration_contract::{Environment, InputsSchema, Kind, Outcome, SettingError};
use ai_integration_engine::{Event, Ticket};
use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures_util::stream;
use serde_json::json;

use self::events::UNBUFFERED;
use crate::http::app::App;
use crate::http::description::{
    Description, body, json_answer, operation, problems, reasons_of_a_run, responses,
};
use crate::http::dialect::Dialect;
use crate::http::failure::{Failure, Reason};
use crate::http::inputs::call::Call;
use crate::http::inputs::request::RequestInputs;
use crate::http::request_context::RequestContext;
use crate::http::routes::{Mounted, Routes};

/// Stops browsers from executing a result as a page.
const INERT: [(HeaderName, HeaderValue); 1] =
    [(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox"))];

pub(crate) struct Native;

impl Dialect for Native {
    fn name(&self) -> &'static str {
        "native"
    }

    fn mount(&self, _environment: &Environment, app: &App) -> Result<Mounted, SettingError> {
        let routes = Routes::new().at("/infer", post(infer)).at("/schema", get(schema));
        Ok(routes.with_state(app.clone()))
    }

    fn describe(&self, schema: &InputsSchema) -> Description {
        let any_type = json!({
            "description": "The result, under the content type that the model gives it; with \
                            `Accept: text/event-stream`, everything that happens until it is \
                            there.",
            "content": {"*/*": {"schema": {}}},
        });
        let infer = json!({
            "operationId": "infer",
            "summary": "Run the model",
            "parameters": [{"$ref": "#/components/parameters/Timeout"}],
            "requestBody": body(schema),
            "responses": responses(any_type, problems(reasons_of_a_run())),
        });
        let waits = [Reason::Failed(Kind::ModelUnavailable)];
        let summary = "The inputs schema as the model's author wrote it";
        let schema = operation("schema", summary, json_answer("The schema"), &waits);
        Description::default().at("/infer", "post", infer).at("/schema", "get", schema)
    }
}

async fn infer(
    State(app): State<App>,
    mut call: Call,
    inputs: RequestInputs,
) -> Result<Response, Failure> {
    let (context, wants_events) = (call.context.clone(), call.wants_events);
    call.is_followed = wants_events;
    let (_, ticket) = app.submit(call, inputs).await?;
    if wants_events {
        return Ok(events::stream(app, context, ticket));
    }
    streamed(app, context, ticket).await
}

fn whole(outcome: Outcome) -> Result<Response, Failure> {
    let outcome = Failure::unless_sound(outcome)?;
    let media = content_type(outcome.content_type.as_deref());
    Ok((INERT, [(header::CONTENT_TYPE, media)], outcome.data.into_bytes()).into_response())
}

/// Answers with the whole result, or with its pieces as they come. A failure after the first piece
/// can only be told by breaking the body off, which clients see as an incomplete answer.
async fn streamed(
    app: App,
    context: RequestContext,
    mut ticket: Ticket,
) -> Result<Response, Failure> {
    let Some(Event::Chunk { content_type: media, data }) = ticket.event().await else {
        return whole(ticket.outcome().await?);
    };
    let rest = stream::unfold(Some((app, context, ticket)), |state| async {
        let (app, context, mut ticket) = state?;
        while let Some(event) = ticket.event().await {
            if let Event::Chunk { data, .. } = event {
                return Some((Ok(data.into_bytes()), Some((app, context, ticket))));
            }
        }
        let failure = match ticket.outcome().await {
            Ok(outcome) if outcome.success => return None,
            Ok(outcome) => Failure::of_model(&outcome),
            Err(error) => error.into(),
        };
        app.record_late(&failure, &context);
        Some((Err(std::io::Error::other(failure.code())), None))
    });
    let first = stream::iter([Ok::<Bytes, std::io::Error>(data.into_bytes())]);
    let body = Body::from_stream(stream::StreamExt::chain(first, rest));
    let media = content_type(media.as_deref());
    Ok((INERT, [(header::CONTENT_TYPE, media)], [UNBUFFERED], body).into_response())
}

fn content_type(media: Option<&str>) -> HeaderValue {
    let unknown = HeaderValue::from_static("application/octet-stream");
    let Some(media) = media else { return unknown };
    let says_charset = || media.to_ascii_lowercase().contains("charset");
    let value = match media {
        // The usual ones, for which nothing need be put together.
        "application/json" => return HeaderValue::from_static("application/json"),
        "text/plain" => return HeaderValue::from_static("text/plain; charset=utf-8"),
        // Text travels as UTF-8, and says so.
        _ if media.starts_with("text/") && !says_charset() => {
            HeaderValue::from_str(&format!("{media}; charset=utf-8"))
        }
        _ => HeaderValue::from_str(media),
    };
    value.unwrap_or(unknown)
}

async fn schema(State(app): State<App>) -> Result<Response, Failure> {
    let model = app.loaded_model().await?;
    Ok(Json(app.for_front_end(&model)).into_response())
}
