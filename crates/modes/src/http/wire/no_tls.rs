//! Stands in for `tls` in a build without the feature `tls`: there is none.

use std::future::Ready;
use std::io;
use std::sync::Arc;

use ai_integration_contract::{Environment, SettingError};

/// TLS, which this build does not have.
pub(crate) enum Tls {}

impl Tls {
    #[expect(clippy::unnecessary_wraps, reason = "called like the one that reads something")]
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
