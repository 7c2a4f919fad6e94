//! Dialects: the addresses of a platform or a kind of client, with their own settings, state,
//! description and words for every refusal. Health, metrics and the page are none: they are
//! the same whatever the clients speak.

use ai_integration_contract::{Environment, InputsSchema, Setting, SettingError};
use axum::response::Response;

use crate::http::app::App;
use crate::http::description::Description;
use crate::http::failure::{Failure, Wording, problem};
use crate::http::request_context::RequestId;
use crate::http::routes::Mounted;

/// A dialect.
pub(crate) trait Dialect: Sync {
    /// The name, for the log.
    fn name(&self) -> &'static str;

    /// The settings that steer it.
    fn settings(&self) -> &'static [&'static Setting] {
        &[]
    }

    /// Tells whether bodies may come compressed, in gzip or deflate.
    fn takes_compressed(&self) -> bool {
        false
    }

    /// Makes the addresses, and the state that their handlers share.
    ///
    /// # Errors
    /// A setting that cannot be used.
    fn mount(&self, environment: &Environment, app: &App) -> Result<Mounted, SettingError>;

    /// Describes the addresses for a model with this schema, in OpenAPI 3.1.
    fn describe(&self, schema: &InputsSchema) -> Description {
        let _ = schema;
        Description::default()
    }

    /// Words a failure that no handler has told: one that a handler returned as it is, or one of the
    /// edge, which refuses requests before any handler sees them.
    fn refuse(&self, failure: &Failure, wording: Wording, id: &RequestId) -> Response {
        problem(failure, wording, id)
    }
}
