//! Stands in for `remote` in a build without the feature `url-inputs`: nothing is fetched.

use std::future::Ready;

use ai_integration_contract::{Environment, Error, FieldError, RawValue, SettingError};
use ai_integration_engine::Reservation;

use crate::http::request_context::RequestId;

/// A client of other servers, which this build does not have.
pub(crate) enum Remote {}

impl Remote {
    #[expect(clippy::unnecessary_wraps, reason = "called like the one that reads something")]
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
