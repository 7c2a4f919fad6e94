//! Answers the requests of a client, over any transport.

use ai_integration_contract::{Error, Outcome, RawInputs, RawValue};
use ai_integration_engine::{Event, Reservation};
use serde_json::{Map, Value as Json, json};
use tokio::sync::mpsc;

use crate::http::app::App;
use crate::http::failure::Failure;
use crate::http::inputs::call::Call;
use crate::http::inputs::request::{MAX_FIELDS, RequestInputs, too_many};
use crate::http::large::{PASSES, work_on};
use crate::http::request_context::RequestContext;
use crate::mcp::content::{self, ResultFormat};
use crate::mcp::message::{Code, Request, RpcError};
use crate::mcp::progress::Progress;
use crate::mcp::tool::{additions, capabilities, describe, lifetime, output_schema, server_info};
use crate::mcp::version::{Era, STATELESS, meta, settled};

/// The notification by which a client cancels a request.
pub(crate) const CANCELLED: &str = "notifications/cancelled";
/// The request that runs the model.
pub(crate) const CALL: &str = "tools/call";

/// A request with all that its answer needs.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) request: Request,
    pub(crate) era: Era,
    pub(crate) call: Call,
    /// The memory that the request takes up.
    pub(crate) reservation: Reservation,
    /// Sends notifications to the client, if the transport can.
    pub(crate) notify: Option<mpsc::Sender<String>>,
}

/// Returns the result of a request, as JSON without line breaks.
pub(crate) async fn answer(app: &App, exchange: Exchange) -> Result<String, RpcError> {
    let era = exchange.era;
    let mut result = match (era, exchange.request.method.as_str()) {
        (_, CALL) => return call(app, exchange).await,
        (_, "tools/list") => list(app, exchange).await?,
        (Era::Handshake, "initialize") => initialize(&exchange.request.params)?,
        (Era::Handshake, "ping") => Map::new(),
        (Era::Stateless, "server/discover") => {
            let mut result = lifetime(app, era);
            result.insert("supportedVersions".to_owned(), json!(STATELESS));
            result.insert("capabilities".to_owned(), capabilities());
            result
        }
        _ => return Err(RpcError::new(Code::UnknownMethod, "there is no such method")),
    };
    result.extend(additions(era));
    Ok(Json::Object(result).to_string())
}

fn initialize(params: &Map<String, Json>) -> Result<Map<String, Json>, RpcError> {
    let Some(requested) = params.get("protocolVersion").and_then(Json::as_str) else {
        return Err(invalid("the request has no text protocolVersion"));
    };
    let members = [
        ("protocolVersion", settled(requested).into()),
        ("capabilities", capabilities()),
        ("serverInfo", server_info()),
    ];
    Ok(members.map(|(name, value)| (name.to_owned(), value)).into_iter().collect())
}

async fn list(app: &App, exchange: Exchange) -> Result<Map<String, Json>, RpcError> {
    if exchange.request.params.get("cursor").is_some_and(|cursor| !cursor.is_null()) {
        return Err(invalid("there is no such cursor: the list has one page"));
    }
    let mut call = exchange.call;
    let context = call.context.clone();
    let model = app.model(&mut call).await.map_err(|failure| {
        app.record_late(&failure, &context);
        RpcError::new(Code::Internal, failure.detail(app.wording()))
    })?;
    let mut result = lifetime(app, exchange.era);
    result.insert("tools".to_owned(), json!([describe(app, &model, exchange.era)]));
    Ok(result)
}

/// Runs the model. All that can go wrong after the tool is found is part of the result, so that an
/// agent reads it.
async fn call(app: &App, exchange: Exchange) -> Result<String, RpcError> {
    let Exchange { request: Request { mut params, .. }, era, mut call, reservation, notify } =
        exchange;
    let progress = Progress::new(meta(&params).and_then(|meta| meta.get("progressToken")));
    let reports = notify.zip(progress);
    let arguments = match params.shift_remove("arguments") {
        None | Some(Json::Null) => Map::new(),
        Some(Json::Object(arguments)) => arguments,
        Some(_) => return Err(invalid("the tool's arguments are not an object")),
    };
    let Some(Json::String(name)) = params.shift_remove("name") else {
        return Err(invalid("the request has no text name, which names the tool"));
    };
    let takes_any_json = era == Era::Stateless;
    let mut format = ResultFormat { has_schema: false, takes_any_json, additions: additions(era) };
    let context = call.context.clone();
    let model = match app.model(&mut call).await {
        Ok(model) => model,
        Err(failure) => return failed(app, &context, &failure, &format),
    };
    let id = app.model_id(&model);
    if name != id {
        return Err(invalid(format!("there is no such tool; this server has the tool {id:?}")));
    }
    format.has_schema = output_schema(&model, era).is_some();
    let written = match run(app, call, arguments, reservation, reports).await {
        Ok(outcome) => {
            let (size, format) = (outcome.data.len(), format.clone());
            let write = move || content::success(&outcome, &format).map_err(Failure::from);
            work_on(PASSES * size, write).await.unwrap_or_else(|error| Err(error.into()))
        }
        Err(failure) => Err(failure),
    };
    written.or_else(|failure| failed(app, &context, &failure, &format))
}

/// Runs one job, and reports its progress.
async fn run(
    app: &App,
    mut call: Call,
    arguments: Map<String, Json>,
    reservation: Reservation,
    reports: Option<(mpsc::Sender<String>, Progress)>,
) -> Result<Outcome, Failure> {
    if arguments.len() > MAX_FIELDS {
        return Err(too_many());
    }
    let raw = arguments.into_iter().map(|(name, value)| (name, RawValue::Json(value)));
    let inputs = RequestInputs { raw: raw.collect::<RawInputs>(), reservation };
    call.is_followed = reports.is_some();
    let (_, mut ticket) = app.submit(call, inputs).await?;
    if let Some((notify, mut progress)) = reports {
        while let Some(event) = ticket.event_beside_chunks().await {
            if let Event::Progress { fraction, message } = event
                && let Some(report) = progress.report(fraction, message.as_deref())
            {
                // Progress that the client does not read in time is left out, since the answer of
                // this or of another request must not wait for it.
                let _ = notify.try_send(report);
            }
        }
    }
    Failure::check_outcome(ticket.outcome().await?)
}

/// Writes the result of a call that failed, and counts and logs the failure.
fn failed(
    app: &App,
    context: &RequestContext,
    failure: &Failure,
    format: &ResultFormat,
) -> Result<String, RpcError> {
    app.record_late(failure, context);
    let internal = |error: Error| RpcError::new(Code::Internal, error.message);
    content::failure(&failure.detail(app.wording()), format).map_err(internal)
}

fn invalid(message: impl Into<std::borrow::Cow<'static, str>>) -> RpcError {
    RpcError::new(Code::InvalidParams, message)
}
