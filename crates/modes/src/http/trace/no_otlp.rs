//! Replaces `otlp` in a build without the feature `otel`. No spans are recorded.

use std::future::Ready;
use std::sync::Arc;

use ai_integration_contract::{Environment, SettingError};
use ai_integration_engine::Timing;
use axum::http::{HeaderMap, Method};

use crate::http::trace::request_end::RequestEnd;

/// A type without values, since this build has no tracer.
#[derive(Clone)]
pub(crate) enum Tracer {}

/// A type without values, since this build records no spans.
#[derive(Debug)]
pub(crate) enum Recording {}

impl Tracer {
    #[expect(
        clippy::unnecessary_wraps,
        reason = "it has the signature of the function that it replaces"
    )]
    pub(crate) fn read(_: &Environment) -> Result<Option<Self>, SettingError> {
        Ok(None)
    }

    pub(crate) fn begin(
        &self,
        _: &Method,
        _: &'static str,
        _: &HeaderMap,
    ) -> Option<(String, Option<Recording>)> {
        match *self {}
    }

    pub(crate) fn stop(self) -> Ready<()> {
        match self {}
    }
}

impl Recording {
    pub(crate) fn timing(&self) -> Arc<Timing> {
        match *self {}
    }

    pub(crate) fn end(self, _: &RequestEnd<'_>) {
        match self {}
    }
}
