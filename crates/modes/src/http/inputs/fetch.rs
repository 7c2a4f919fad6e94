//! Inputs that a request gives as addresses: their content is put in their place, if the settings
//! let it be fetched, or they are refused.

pub(crate) mod address;
#[cfg(not(feature = "url-inputs"))]
#[path = "fetch/no_remote.rs"]
pub(crate) mod remote;
#[cfg(feature = "url-inputs")]
pub(crate) mod remote;

use ai_integration_contract::{
    Environment, Error, FieldError, InputsSchema, RawInputs, RawValue, SettingError,
};
use ai_integration_engine::Reservation;
use bytes::Bytes;

use self::remote::Remote;
use crate::http::failure::Failure;
use crate::http::request_context::RequestId;

const NOT_HERE: &str = "addresses are not fetched here; send the file itself, or ask the server's \
                        operator for AI_INTEGRATION_URL_HOSTS";

/// Fetches what requests name, or refuses it.
pub(crate) struct Fetcher(Option<Remote>);

impl Fetcher {
    /// As the settings have it, for files of at most `most` bytes.
    pub(crate) fn read(environment: &Environment, most: usize) -> Result<Self, SettingError> {
        Remote::read(environment, most).map(Fetcher)
    }

    /// Puts the content in the place of each address that is given for a file.
    pub(crate) async fn fetch(
        &self,
        schema: &InputsSchema,
        raw: &mut RawInputs,
        hold: &mut Reservation,
        id: &RequestId,
    ) -> Result<(), Failure> {
        let is_given =
            |(name, value): &(&String, &mut RawValue)| address::is_given(schema, name, value);
        let mut trial = raw.clone();
        for (_, value) in trial.iter_mut().filter(is_given) {
            *value = RawValue::Bytes(Bytes::from_static(b"stands for the file"));
        }
        // What is wrong in any case is not worth a fetch.
        schema.resolve(trial)?;
        let addresses = raw.iter_mut().filter(is_given);
        let wrong = match &self.0 {
            Some(remote) => remote.fetch(addresses, hold, id).await?,
            None => addresses.map(|(name, _)| not_here(name)).collect(),
        };
        if wrong.is_empty() { Ok(()) } else { Err(Error::invalid_inputs(wrong).into()) }
    }
}

fn not_here(name: &str) -> FieldError {
    FieldError { name: name.to_owned(), message: NOT_HERE.to_owned() }
}

/// Tells whether there is something to be fetched.
pub(crate) fn has_address(schema: &InputsSchema, raw: &RawInputs) -> bool {
    raw.iter().any(|(name, value)| address::is_given(schema, name, value))
}
