//! Answers about the one model, for clients of KServe and of OpenAI.

use std::sync::Arc;

use ai_integration_engine::Model;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::http::dialects::kserve::served::{KserveState, check_name};

pub(super) async fn list(State(state): State<KserveState>) -> Response {
    match ready(&state) {
        Ok(model) => {
            let id = state.app.model_id(&model);
            let card = card(&state, &id);
            Json(json!({"object": "list", "data": [card], "models": [id]})).into_response()
        }
        Err(reason) => not_ready(&reason),
    }
}

pub(super) fn model(state: &KserveState, name: &str) -> Response {
    // The id may be known only when the model is loaded.
    if let Some(model) = state.app.engine().model_now()
        && let Err(failure) = check_name(&state.app, &model, name)
    {
        return failure.into_response();
    }
    match ready(state) {
        Ok(model) => {
            let id = state.app.model_id(&model);
            let mut card = card(state, &id);
            card["name"] = id.into();
            card["ready"] = true.into();
            Json(card).into_response()
        }
        Err(reason) => not_ready(&reason),
    }
}

/// Describes the model for clients of OpenAI.
fn card(state: &KserveState, id: &str) -> Value {
    json!({"id": id, "object": "model", "created": state.created, "owned_by": "ai_integration"})
}

/// Returns the model if a worker is ready, and otherwise the reason why none is.
fn ready(state: &KserveState) -> Result<Arc<Model>, String> {
    match (state.app.unready(), state.app.engine().model_now()) {
        (None, Some(model)) => Ok(model),
        (reason, _) => Err(reason.unwrap_or_else(|| "the model is being loaded".to_owned())),
    }
}

/// Makes the response of a probe. Unlike a failure, it is not logged as one.
fn not_ready(reason: &str) -> Response {
    let body = Json(json!({"error": reason}));
    (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "1")], body).into_response()
}
