//! The dialect of OpenAI's API, for its SDKs and the many programs that use them. An address serves
//! the models that have its task; for another model it answers with status 404.
//!
//! Clients may name any model: there is only one. Members of a request that the model's inputs schema
//! does not have are ignored, as OpenAI's own members are many. Failures are `{"error": {"message",
//! "type", "param", "code"}}`.

pub(crate) mod chat;
mod chunk;
pub(crate) mod completions;
mod description;
mod embeddings;
pub(crate) mod error;
mod fields;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod images;
mod operations;
pub(crate) mod responses;
mod speech;
mod transcriptions;

use ai_integration_contract::{Environment, SettingError};
use ai_integration_engine::Model;
use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use self::description::{CHAT, COMPLETIONS, RESPONSES};
use self::operations::{
    EDITS, EMBEDDINGS, GENERATIONS, SPEECH, TRANSCRIPTIONS, TRANSLATIONS, VARIATIONS,
};
use crate::http::app::App;
use crate::http::description::Description;
use crate::http::dialect::Dialect;
use crate::http::failure::{Failure, Wording};
use crate::http::models::{MODEL, MODELS, Models, NotReady};
use crate::http::request_context::RequestId;
use crate::http::routes::{Mounted, Routes};

pub(crate) struct OpenAi;

impl Dialect for OpenAi {
    fn name(&self) -> &'static str {
        "openai"
    }

    fn mount(&self, _environment: &Environment, app: &App) -> Result<Mounted, SettingError> {
        let mut routes = Routes::new()
            .at(CHAT, post(chat::chat))
            .at(COMPLETIONS, post(completions::completions))
            .at(RESPONSES, post(responses::responses))
            .at(EMBEDDINGS, post(embeddings::embeddings))
            .at(TRANSCRIPTIONS, post(transcriptions::transcriptions))
            .at(TRANSLATIONS, post(transcriptions::translations))
            .at(SPEECH, post(speech::speech))
            .at(GENERATIONS, post(images::generations))
            .at(EDITS, post(images::edits))
            .at(VARIATIONS, post(images::edits));
        if !app.serves("kserve") {
            // The answers of `kserve` at these addresses are also for clients of OpenAI.
            routes = routes.at(MODELS, get(models)).at(MODEL, get(model));
        }
        Ok(routes.with_state(Models::new(app)))
    }

    fn describe(&self, model: &Model) -> Description {
        let mut all = description::describe(model);
        all.merge(operations::describe(model));
        all
    }

    fn refuse(&self, failure: &Failure, wording: Wording, _id: &RequestId) -> Response {
        (failure.reason.status_without_422(), Json(error::body(failure, wording))).into_response()
    }
}

async fn models(State(models): State<Models>) -> Response {
    models.list().map_or_else(|reason| not_ready(&reason), |list| Json(list).into_response())
}

async fn model(
    State(models): State<Models>,
    name: Result<Path<String>, PathRejection>,
) -> Result<Response, Failure> {
    let Path(name) = name.map_err(|_| Failure::not_found())?;
    let card = models.named(&name)?;
    Ok(card.map_or_else(|reason| not_ready(&reason), |card| Json(card).into_response()))
}

/// Makes the response of a probe. Unlike a failure, it is not logged as one.
fn not_ready(reason: &NotReady) -> Response {
    error::not_ready(&reason.0)
}
