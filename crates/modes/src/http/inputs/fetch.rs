//! Inputs that a request gives as addresses: their content is put in their place, if the settings
//! let it be fetched, or they are refused.

pub(crate) mod address;
#[cfg(not(feature = "url-inputs"))]
#[path = "fetch/no_remote.rs"]
pub(crate) mod remote;
#[cfg(feature = "url-inputs")]
pub(crate) mod remote;

use ai_integration_contract::{
    Environment, Error, FieldError, InputsSchema, MAX_NAMED, RawInputs, RawValue, SettingError,
    Shape,
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
        let mut trial = raw.clone();
        for (_, value) in address::given(schema, &mut trial) {
            *value = RawValue::Bytes(Bytes::from_static(b"stands for the file"));
        }
        // A request that is wrong in any case is not worth a fetch.
        schema.for_unread_files().resolve(trial)?;
        let addresses = address::given(schema, raw);
        let wrong = match &self.0 {
            Some(remote) => remote.fetch(addresses, hold, id).await?,
            None => addresses.map(|(place, _)| not_here(place)).take(MAX_NAMED).collect(),
        };
        if wrong.is_empty() { Ok(()) } else { Err(Error::invalid_inputs(wrong).into()) }
    }
}

fn not_here(name: String) -> FieldError {
    FieldError { name, message: NOT_HERE.to_owned() }
}

/// Tells whether there is something to be fetched.
pub(crate) fn has_address(schema: &InputsSchema, raw: &RawInputs) -> bool {
    let mut files =
        schema.fields().iter().filter(|(_, field)| matches!(field.shape(), Shape::Blob { .. }));
    files.any(|(name, _)| raw.get(name).is_some_and(address::is_address))
}
