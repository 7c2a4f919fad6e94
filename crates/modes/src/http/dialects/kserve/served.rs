//! The state of the handlers, and the check that a request is for the model that is served.

use ai_integration_engine::Model;
use axum::extract::FromRef;

use crate::http::app::App;
use crate::http::failure::{Failure, Refusal};

/// The state of the handlers.
#[derive(Clone)]
pub(super) struct KserveState {
    pub(super) app: App,
    /// The time at which the server started, in seconds since 1970.
    pub(super) created: u64,
}

impl FromRef<KserveState> for App {
    fn from_ref(state: &KserveState) -> App {
        state.app.clone()
    }
}

/// Refuses a request for another model than the one that is served.
pub(super) fn check_name(app: &App, model: &Model, name: &str) -> Result<(), Failure> {
    let id = app.model_id(model);
    if name == id {
        return Ok(());
    }
    let message = format!("there is no such model; this server has the model {id:?}");
    Err(Failure::refused(Refusal::NotFound, message))
}
