//! The list with the one model, and its card, for clients of OpenAI and of KServe's V1 protocol. The
//! dialect that answers writes the failures in its own words.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use ai_integration_engine::Model;
use axum::extract::FromRef;
use serde_json::{Value, json};

use crate::http::app::App;
use crate::http::failure::{Failure, Refusal};

pub(crate) const MODELS: &str = "/v1/models";
pub(crate) const MODEL: &str = "/v1/models/{model}";

/// The state of the handlers that name the one model.
#[derive(Clone)]
pub(crate) struct Models {
    pub(crate) app: App,
    /// The time at which the server started, in seconds since 1970.
    created: u64,
}

impl FromRef<Models> for App {
    fn from_ref(models: &Models) -> App {
        models.app.clone()
    }
}

/// The reason why the model cannot take requests now.
pub(crate) struct NotReady(pub(crate) String);

impl Models {
    pub(crate) fn new(app: &App) -> Self {
        Models { app: app.clone(), created: seconds_since_1970() }
    }

    /// Returns the list of models.
    pub(crate) fn list(&self) -> Result<Value, NotReady> {
        let id = self.app.model_id(&*self.ready()?);
        Ok(json!({"object": "list", "data": [self.card(&id)], "models": [id]}))
    }

    /// Describes the model of this name.
    pub(crate) fn named(&self, name: &str) -> Result<Result<Value, NotReady>, Failure> {
        // The id may be known only when the model is loaded.
        if let Some(model) = self.app.engine().model_now() {
            self.check_name(&model, name)?;
        }
        Ok(self.ready().map(|model| {
            let id = self.app.model_id(&model);
            let mut card = self.card(&id);
            card["name"] = id.into();
            card["ready"] = true.into();
            card
        }))
    }

    /// Refuses a request for another model than the one that is served.
    pub(crate) fn check_name(&self, model: &Model, name: &str) -> Result<(), Failure> {
        let id = self.app.model_id(model);
        if name == id {
            return Ok(());
        }
        let message = format!("there is no such model; this server has the model {id:?}");
        Err(Failure::refused(Refusal::NotFound, message))
    }

    /// Returns the members that clients of OpenAI read.
    fn card(&self, id: &str) -> Value {
        json!({"id": id, "object": "model", "created": self.created, "owned_by": "ai_integration"})
    }

    /// Returns the model if a worker is ready.
    fn ready(&self) -> Result<Arc<Model>, NotReady> {
        match (self.app.unready(), self.app.engine().model_now()) {
            (None, Some(model)) => Ok(model),
            (reason, _) => {
                let loading = || "the model is being loaded".to_owned();
                Err(NotReady(reason.unwrap_or_else(loading)))
            }
        }
    }
}

/// Returns the time in seconds since 1970.
pub(crate) fn seconds_since_1970() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
