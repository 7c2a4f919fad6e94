//! Answers about the server and its one model: metadata, readiness, configuration, statistics, and
//! the repository.

use std::sync::Arc;

use ai_integration_contract::{Error, Kind};
use ai_integration_engine::Model;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::http::app::App;
use crate::http::dialects::oip::served::Named;
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

pub(super) async fn ready(State(app): State<App>) -> Response {
    match app.unready() {
        None => Json(json!({"live": true, "ready": true})).into_response(),
        Some(reason) => not_ready(json!({"live": true, "ready": false, "error": reason})),
    }
}

pub(super) async fn model_ready(State(app): State<App>, named: Named) -> Result<Response, Failure> {
    let reason = app.unready();
    // The id may be known only when the model is loaded.
    if let Some(model) = app.engine().model_now() {
        named.check(&app, &model)?;
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

pub(super) async fn list(State(app): State<App>) -> Answer {
    let model = app.loaded_model().await?;
    Ok(Json(json!({"models": [app.model_id(&model)]})))
}

/// Waits for the model that an address names.
async fn loaded(app: &App, named: &Named) -> Result<Arc<Model>, Failure> {
    let model = app.loaded_model().await?;
    named.check(app, &model)?;
    Ok(model)
}

pub(super) async fn model(State(app): State<App>, named: Named) -> Answer {
    let model = loaded(&app, &named).await?;
    Ok(Json(json!({
        "name": named.model,
        "versions": [app.model_version(&model)],
        "platform": PLATFORM,
        "inputs": metadata::inputs(&model.schema).collect::<Vec<_>>(),
        "outputs": [metadata::output()],
    })))
}

/// Answers with the configuration that Triton would have for the model.
pub(super) async fn config(State(app): State<App>, named: Named) -> Answer {
    let model = loaded(&app, &named).await?;
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

pub(super) async fn statistics(State(app): State<App>, named: Named) -> Answer {
    let model = loaded(&app, &named).await?;
    Ok(statistics_of(&app, &model))
}

pub(super) async fn all_statistics(State(app): State<App>) -> Answer {
    let model = app.loaded_model().await?;
    Ok(statistics_of(&app, &model))
}

fn statistics_of(app: &App, model: &Model) -> Json<Value> {
    let statistics = app.statistics().json(&app.model_id(model), app.model_version(model));
    Json(json!({"model_stats": [statistics]}))
}

/// Lists the models of the repository: the one that is served.
pub(super) async fn index(State(app): State<App>) -> Answer {
    let model = app.loaded_model().await?;
    let reason = app.unready();
    Ok(Json(json!([{
        "name": app.model_id(&model),
        "version": app.model_version(&model),
        "state": if reason.is_none() { "READY" } else { "UNAVAILABLE" },
        "reason": reason.unwrap_or_default(),
    }])))
}

/// Answers that the model is loaded, which it is as long as the server runs.
pub(super) async fn load(State(app): State<App>, named: Named) -> Answer {
    loaded(&app, &named).await?;
    Ok(Json(json!({"name": named.model, "load": true})))
}

pub(super) async fn unload(State(app): State<App>, named: Named) -> Result<(), Failure> {
    loaded(&app, &named).await?;
    let message = "this server has one model, which stays loaded as long as the server runs";
    Err(Error::new(Kind::MalformedRequest, message).into())
}
