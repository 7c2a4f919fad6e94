//! The check that a request is for the model that is served.

use ai_integration_engine::Model;
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use serde::Deserialize;

use crate::http::app::App;
use crate::http::failure::{Failure, Refusal};

/// The model that an address names.
#[derive(Debug, Deserialize)]
pub(super) struct Named {
    pub(super) model: String,
    #[serde(default)]
    version: Option<String>,
}

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let named = Path::<Named>::from_request_parts(parts, state).await;
        named.map(|Path(named)| named).map_err(|_| Failure::not_found())
    }
}

impl Named {
    /// Refuses a request for another model than the one that is served.
    pub(super) fn check(&self, app: &App, model: &Model) -> Result<(), Failure> {
        let (id, version) = (app.model_id(model), app.model_version(model));
        if self.model == id && self.version.as_deref().is_none_or(|given| given == version) {
            return Ok(());
        }
        let message = format!(
            "there is no such model; this server has the model {id:?} in version {version:?}"
        );
        Err(Failure::refused(Refusal::NotFound, message))
    }
}
