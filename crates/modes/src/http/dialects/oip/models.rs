//! Answers about the server and its one model: metadata, readiness, configuration, statistics, and
//! the repository.

use std::sync::Arc;

use ai_integration_contract::{Error, Kind};
use ai_integration_engine::{Model, State as EngineState};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::http::app::App;
use crate::http::dialects::oip::served::{Named, OipState};
use crate::http::failure::Failure;
use crate::http::tensors::datatype::Datatype;
use crate::http::tensors::metadata::{self, PLATFORM, TensorMetadata};

/// The extensions of the protocol that this server has, by their names in Triton.
const EXTENSIONS: [&str; 4] =
    ["binary_tensor_data", "model_configuration", "model_repository", "statistics"];

type Answer = Result<Json<Value>, Failure>;

pub(super) async fn server() -> Json<Value> {
    let version = env!("CARGO_PKG_VERSION");
    Json(json!({"name": PLATFORM, "version": version, "extensions": EXTENSIONS}))
}

pub(super) async fn live() -> Json<Value> {
    Json(json!({"live": true}))
}

pub(super) async fn ready(State(state): State<OipState>) -> Response {
    match unready(&state.app) {
        None => Json(json!({"live": true, "ready": true})).into_response(),
        Some(reason) => not_ready(json!({"live": true, "ready": false, "error": reason})),
    }
}

pub(super) async fn model_ready(
    State(state): State<OipState>,
    named: Named,
) -> Result<Response, Failure> {
    let reason = unready(&state.app);
    // The id may be known only when the model is loaded.
    if let Some(model) = state.app.engine().model_now() {
        named.check(&state.app, &model)?;
    }
    let name = &named.model;
    Ok(match reason {
        None => Json(json!({"name": name, "ready": true})).into_response(),
        Some(reason) => not_ready(json!({"name": name, "ready": false, "error": reason})),
    })
}

/// Makes the response of a probe. Unlike a failure, it is not logged as one.
fn not_ready(body: Value) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "1")], Json(body)).into_response()
}

/// Returns the reason why the model cannot take requests. It leaves out the program's output.
fn unready(app: &App) -> Option<String> {
    match &*app.engine().state().borrow() {
        EngineState::Ready(_) => None,
        EngineState::Starting => Some("the model is being loaded".to_owned()),
        EngineState::Failed(error) => Some(error.message.clone().into_owned()),
    }
}

pub(super) async fn list(State(state): State<OipState>) -> Answer {
    let model = state.app.loaded_model().await?;
    Ok(Json(json!({"models": [state.app.model_id(&model)]})))
}

/// Waits for the model that an address names.
async fn loaded(app: &App, named: &Named) -> Result<Arc<Model>, Failure> {
    let model = app.loaded_model().await?;
    named.check(app, &model)?;
    Ok(model)
}

pub(super) async fn model(State(state): State<OipState>, named: Named) -> Answer {
    let model = loaded(&state.app, &named).await?;
    Ok(Json(json!({
        "name": named.model,
        "versions": [state.app.model_version(&model)],
        "platform": PLATFORM,
        "inputs": metadata::inputs(&model.schema).collect::<Vec<_>>(),
        "outputs": [metadata::output()],
    })))
}

/// Answers with the configuration that Triton would have for the model.
pub(super) async fn config(State(state): State<OipState>, named: Named) -> Answer {
    let model = loaded(&state.app, &named).await?;
    let inputs = metadata::inputs(&model.schema).map(|input| {
        let mut described = described(&input);
        described["optional"] = input.is_optional.into();
        described
    });
    Ok(Json(json!({
        "name": named.model,
        "platform": PLATFORM,
        "backend": PLATFORM,
        // The records are a dimension of the tensors themselves.
        "max_batch_size": 0,
        "input": inputs.collect::<Vec<_>>(),
        "output": [described(&metadata::output())],
    })))
}

fn described(tensor: &TensorMetadata<'_>) -> Value {
    let kind = match tensor.datatype {
        Datatype::Bytes => "TYPE_STRING".to_owned(),
        datatype => format!("TYPE_{}", datatype.name()),
    };
    json!({"name": tensor.name, "data_type": kind, "dims": tensor.shape})
}

pub(super) async fn statistics(State(state): State<OipState>, named: Named) -> Answer {
    let model = loaded(&state.app, &named).await?;
    Ok(statistics_of(&state.app, &model))
}

pub(super) async fn all_statistics(State(state): State<OipState>) -> Answer {
    let model = state.app.loaded_model().await?;
    Ok(statistics_of(&state.app, &model))
}

fn statistics_of(app: &App, model: &Model) -> Json<Value> {
    let statistics = app.statistics().json(&app.model_id(model), app.model_version(model));
    Json(json!({"model_stats": [statistics]}))
}

/// Lists the models of the repository: the one that is served.
pub(super) async fn index(State(state): State<OipState>) -> Answer {
    let model = state.app.loaded_model().await?;
    let reason = unready(&state.app);
    Ok(Json(json!([{
        "name": state.app.model_id(&model),
        "version": state.app.model_version(&model),
        "state": if reason.is_none() { "READY" } else { "UNAVAILABLE" },
        "reason": reason.unwrap_or_default(),
    }])))
}

/// Answers that the model is loaded, which it is as long as the server runs.
pub(super) async fn load(State(state): State<OipState>, named: Named) -> Answer {
    loaded(&state.app, &named).await?;
    Ok(Json(json!({"name": named.model, "load": true})))
}

pub(super) async fn unload(State(state): State<OipState>, named: Named) -> Result<(), Failure> {
    loaded(&state.app, &named).await?;
    let message = "this server has one model, which stays loaded as long as the server runs";
    Err(Error::new(Kind::MalformedRequest, message).into())
}
