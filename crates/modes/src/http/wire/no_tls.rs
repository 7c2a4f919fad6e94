//! Replaces `tls` in a build without the feature `tls`. The server speaks plain HTTP only.

use std::future::Ready;
use std::io::{self, Read, Write};
use std::sync::Arc;

use ai_integration_contract::{Environment, SettingError};

/// A type without values, since this build has no TLS.
pub(crate) enum Tls {}

#[expect(
    clippy::unnecessary_wraps,
    reason = "it has the signature of the function that it replaces"
)]
pub(crate) fn is_set(_: &Environment) -> Result<bool, SettingError> {
    Ok(false)
}

pub(crate) fn connect<S: Read + Write>(_: S) -> io::Result<S> {
    Err(io::ErrorKind::Unsupported.into())
}

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
