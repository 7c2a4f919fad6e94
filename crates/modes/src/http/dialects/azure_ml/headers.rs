//! The headers by which online endpoints of Azure Machine Learning trace requests.

use ai_integration_contract::{Error, Kind};
use ai_integration_engine::Timing;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::Response;

use crate::http::failure::Failure;
use crate::http::request_context::{REQUEST_ID, RequestId};

/// The maximum length of an id, in characters.
const MAX_ID: usize = 100;

const CLIENT_REQUEST_ID: HeaderName = HeaderName::from_static("x-ms-client-request-id");
/// The header with the client's id in requests of old clients.
const OLD_REQUEST_ID: HeaderName = HeaderName::from_static("x-ms-request-id");
const FAILED: HeaderName = HeaderName::from_static("x-ms-run-function-failed");
const DURATION: HeaderName = HeaderName::from_static("x-ms-run-fn-exec-ms");
const SERVER: HeaderName = HeaderName::from_static("x-ms-server-version");
const VERSION: HeaderValue =
    HeaderValue::from_static(concat!("ai-integration/", env!("CARGO_PKG_VERSION")));

/// The ids of a request that its response repeats. The id in `X-Request-Id` is repeated in the response
/// to any request.
pub(super) struct Ids {
    client: Option<HeaderValue>,
    old: Option<HeaderValue>,
}

impl Ids {
    /// Returns the ids of a request.
    ///
    /// # Errors
    /// An id is too long.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Failure> {
        for name in [REQUEST_ID, OLD_REQUEST_ID, CLIENT_REQUEST_ID] {
            if headers.get(&name).is_some_and(|id| id.len() > MAX_ID) {
                let message = format!("{name} has more than {MAX_ID} characters");
                return Err(Error::new(Kind::MalformedRequest, message).into());
            }
        }
        let given = |name| headers.get(name).filter(|id| !id.is_empty()).cloned();
        let (client, old) = (given(CLIENT_REQUEST_ID), given(OLD_REQUEST_ID));
        Ok(Ids { client: client.clone().or_else(|| old.clone()), old: old.or(client) })
    }

    /// Adds the ids to a response. An old client that sent none gets the id of the request.
    pub(super) fn add_to(self, headers: &mut HeaderMap, request: &RequestId) {
        headers.extend(self.client.map(|id| (CLIENT_REQUEST_ID, id)));
        headers.insert(OLD_REQUEST_ID, self.old.unwrap_or_else(|| request.0.clone()));
    }
}

/// Adds the version of this server, and whether the model failed.
pub(super) fn with_server(mut response: Response, has_model_failed: bool) -> Response {
    let failed = HeaderValue::from_static(if has_model_failed { "True" } else { "False" });
    response.headers_mut().extend([(FAILED, failed), (SERVER, VERSION)]);
    response
}

/// Adds the time that the model took, in milliseconds. It is not known before a stream ends.
pub(super) fn add_duration(headers: &mut HeaderMap, timing: &Timing) {
    if let (Some(begun), Some(ended)) = (timing.handed_out.get(), timing.ended.get())
        && let Ok(duration) = ended.duration_since(*begun)
        && let Ok(value) = HeaderValue::try_from(format!("{:.3}", duration.as_secs_f64() * 1e3))
    {
        headers.insert(DURATION, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the ids of the response as text: the client's, and that for old clients.
    fn repeated(given: &[(HeaderName, &'static str)]) -> [Option<String>; 2] {
        let given = given.iter().map(|(name, id)| (name.clone(), HeaderValue::from_static(id)));
        let mut headers = HeaderMap::new();
        let request = RequestId(HeaderValue::from_static("r"));
        Ids::of(&given.collect()).unwrap().add_to(&mut headers, &request);
        [CLIENT_REQUEST_ID, OLD_REQUEST_ID]
            .map(|name| headers.get(name).map(|id| id.to_str().unwrap().to_owned()))
    }

    #[test]
    fn an_old_client_gets_its_id_under_both_names() {
        let text = |id: &str| Some(id.to_owned());
        assert_eq!(repeated(&[]), [None, text("r")]);
        assert_eq!(repeated(&[(CLIENT_REQUEST_ID, "")]), [None, text("r")]);
        assert_eq!(repeated(&[(CLIENT_REQUEST_ID, "a|b")]), [text("a|b"), text("a|b")]);
        assert_eq!(repeated(&[(OLD_REQUEST_ID, "c")]), [text("c"), text("c")]);
        let both = [(CLIENT_REQUEST_ID, "a"), (OLD_REQUEST_ID, "c")];
        assert_eq!(repeated(&both), [text("a"), text("c")]);
    }

    #[test]
    fn a_duration_needs_the_end_of_the_job() {
        let timing = Timing::default();
        let begun = std::time::SystemTime::UNIX_EPOCH;
        let mut headers = HeaderMap::new();
        timing.handed_out.set(begun).unwrap();
        add_duration(&mut headers, &timing);
        assert!(headers.is_empty());
        timing.ended.set(begun + std::time::Duration::from_micros(1_234_567)).unwrap();
        add_duration(&mut headers, &timing);
        assert_eq!(headers[DURATION], "1234.567");
    }
}
