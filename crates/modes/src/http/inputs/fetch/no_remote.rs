//! Replaces `remote` in a build without the feature `url-inputs`. Nothing is fetched.

use std::future::Ready;

use ai_integration_contract::{Environment, Error, FieldError, RawValue, SettingError};
use ai_integration_engine::Reservation;

use crate::http::request_context::RequestId;

/// A type without values, since this build cannot fetch files.
pub(crate) enum Remote {}

impl Remote {
    #[expect(
        clippy::unnecessary_wraps,
        reason = "it has the signature of the function that it replaces"
    )]
    pub(crate) fn read(_: &Environment, _: usize) -> Result<Option<Self>, SettingError> {
        Ok(None)
    }

    pub(crate) fn fetch<'a>(
        &self,
        _: impl Iterator<Item = (String, &'a mut RawValue)>,
        _: &mut Reservation,
        _: &RequestId,
    ) -> Ready<Result<Vec<FieldError>, Error>> {
        match *self {}
    }
}
