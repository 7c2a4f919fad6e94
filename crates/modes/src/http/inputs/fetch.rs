//! Replaces inputs that a request gives as URLs by the content at the URL. If the settings do not
//! allow this, the inputs are rejected.

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

const NOT_FETCHED: &str = "this server does not fetch files from URLs; send the file itself, or ask the \
                           server's operator to set AI_INTEGRATION_URL_HOSTS";

/// Fetches the files that requests give as URLs, or rejects these requests.
pub(crate) struct Fetcher(Option<Remote>);

impl Fetcher {
    /// Reads the settings. The files of one request may have at most `most` bytes together.
    pub(crate) fn read(environment: &Environment, most: usize) -> Result<Self, SettingError> {
        Remote::read(environment, most).map(Fetcher)
    }

    /// Replaces each URL that is given for a file by the content at the URL.
    pub(crate) async fn fetch(
        &self,
        schema: &InputsSchema,
        raw: &mut RawInputs,
        reservation: &mut Reservation,
        id: &RequestId,
    ) -> Result<(), Failure> {
        let mut trial = raw.clone();
        for (_, value) in address::given(schema, &mut trial) {
            *value = RawValue::Bytes(Bytes::from_static(b"stands for the file"));
        }
        // All other mistakes of the request are found before anything is fetched.
        schema.for_unread_files().resolve(trial)?;
        let addresses = address::given(schema, raw);
        let wrong = match &self.0 {
            Some(remote) => remote.fetch(addresses, reservation, id).await?,
            None => addresses.map(|(place, _)| not_fetched(place)).take(MAX_NAMED).collect(),
        };
        if wrong.is_empty() { Ok(()) } else { Err(Error::invalid_inputs(wrong).into()) }
    }
}

fn not_fetched(name: String) -> FieldError {
    FieldError { name, message: NOT_FETCHED.to_owned() }
}

/// Returns true if an input that must be a file is given as a URL.
pub(crate) fn has_address(schema: &InputsSchema, raw: &RawInputs) -> bool {
    let mut files =
        schema.fields().iter().filter(|(_, field)| matches!(field.shape(), Shape::Blob { .. }));
    files.any(|(name, _)| raw.get(name).is_some_and(address::is_address))
}
