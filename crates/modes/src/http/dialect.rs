//! A dialect: the addresses and error texts of one kind of HTTP client or platform. A dialect may
//! have settings, state, a part of the OpenAPI document and error texts of its own. Health, metrics
//! and the page belong to no dialect, because they are the same for all clients.

use ai_integration_contract::{Environment, Setting, SettingError};
use ai_integration_engine::Model;
use axum::response::Response;

use crate::http::app::App;
use crate::http::description::Description;
use crate::http::failure::{Failure, Wording, problem};
use crate::http::listen::ListenPort;
use crate::http::request_context::RequestId;
use crate::http::routes::Mounted;

/// The addresses and error texts of one kind of HTTP client or platform.
///
/// A new dialect implements this trait in a file of its own in `http/dialects`, and gets one line in
/// the table `dialects!` of `http/dialects.rs`. It needs `name` and `mount`; the other methods have
/// defaults. The trait is private to this crate, and examples in documentation cannot use private
/// items, so `http/dialect/tests.rs` has a whole small dialect as an example.
pub(crate) trait Dialect: Sync {
    /// Returns the name of the dialect, for the log and for the setting that lists the dialects.
    fn name(&self) -> &'static str;

    /// Returns the name of the only platform on which the dialect is served, or `None` if it is always
    /// served. Without its platform it is served if the setting that lists the dialects names it.
    fn platform(&self) -> Option<&'static str> {
        None
    }

    /// Returns the settings of the dialect.
    fn settings(&self) -> &'static [&'static Setting] {
        &[]
    }

    /// Returns a further port that the operator set for clients of the dialect, and the setting. The
    /// server listens there too, and answers the same requests as on its own port.
    ///
    /// # Errors
    /// A setting that cannot be used.
    fn port(&self, environment: &Environment) -> Result<Option<ListenPort>, SettingError> {
        let _ = environment;
        Ok(None)
    }

    /// Returns true if the bodies of requests may be compressed with gzip or deflate.
    fn takes_compressed(&self) -> bool {
        false
    }

    /// Makes the addresses, and the state that their handlers share.
    ///
    /// # Errors
    /// A setting that cannot be used.
    fn mount(&self, environment: &Environment, app: &App) -> Result<Mounted, SettingError>;

    /// Describes the addresses in OpenAPI 3.1, for the inputs schema and the outputs of a model.
    fn describe(&self, model: &Model) -> Description {
        let _ = model;
        Description::default()
    }

    /// Returns a further address of the OpenAPI document, where clients of the dialect look for it.
    fn openapi_address(&self) -> Option<&'static str> {
        None
    }

    /// Makes the response to a failure. The failure comes from a handler that returned a
    /// [`Failure`], or from the edge, which refuses requests before any handler gets them.
    fn refuse(&self, failure: &Failure, wording: Wording, id: &RequestId) -> Response {
        problem(failure, wording, id)
    }
}

#[cfg(test)]
mod tests;
