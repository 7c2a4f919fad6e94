//! Replaces `tls` in a build without the feature `tls`. The server speaks plain HTTP only.

use std::future::Ready;
use std::io;
use std::sync::Arc;

use ai_integration_contract::{Environment, SettingError};

/// A type without values, since this build has no TLS.
pub(crate) enum Tls {}

impl Tls {
    #[expect(
        clippy::unnecessary_wraps,
        reason = "it has the signature of the function that it replaces"
    )]
    pub(crate) fn read(_: &Environment) -> Result<Option<Arc<Self>>, SettingError> {
        Ok(None)
    }

    pub(crate) fn accept<S>(&self, _: S) -> Ready<io::Result<(S, bool)>> {
        match *self {}
    }

    pub(crate) fn reload(&self) {
        match *self {}
    }
}
