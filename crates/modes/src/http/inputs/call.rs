//! Reads from a request's head how the request must be handled, before its body arrives.

use std::time::Duration;

use ai_integration_contract::{Error, Kind};
use ai_integration_engine::Announcement;
use axum::extract::{FromRef, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};
use tokio::time::{Instant, timeout};

use crate::http::accept::{accepts, prefers};
use crate::http::failure::Failure;
use crate::http::inputs::intake::Intake;
use crate::http::request_context::{OTHER, RequestContext, RequestId};

/// The header in which a client limits the time until the result, in seconds. The server's own
/// limit applies as well.
pub(crate) const TIMEOUT: &str = "ai-integration-timeout";
/// The media type of a list that is sent as one body with a part for each item (RFC 2046, section
/// 5.1.3).
pub(crate) const MIXED: &str = "multipart/mixed";
/// The minimum value of [`TIMEOUT`], in seconds.
pub(crate) const SHORTEST: f64 = 0.001;
/// The maximum value of [`TIMEOUT`], in seconds.
pub(crate) const LONGEST: f64 = 86_400.0;

/// A request to the model, before its inputs are read.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) context: RequestContext,
    /// The client's limit for the time until the result.
    pub(crate) timeout: Option<Duration>,
    /// True if the client accepts the progress and the result as server-sent events.
    pub(crate) wants_events: bool,
    /// True if the client prefers the items of a list as parts of one body ([`MIXED`]).
    pub(crate) wants_parts: bool,
    /// True if the client gets the progress and log lines of the call's jobs. A dialect that sets
    /// this must read these events.
    pub(crate) is_followed: bool,
    /// Tells the scheduler that a request is about to be submitted, so that it keeps a batch open.
    pub(crate) announcement: Option<Announcement>,
}

impl<S: Sync> FromRequestParts<S> for Call
where
    Intake: FromRef<S>,
{
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let context = parts.extensions.get().cloned();
        Ok(Call {
            context: context.unwrap_or_else(|| RequestContext {
                id: RequestId(HeaderValue::from_static("-")),
                client: None,
                route: OTHER,
                traceparent: None,
                timing: None,
                is_logged_for_people: false,
            }),
            timeout: client_timeout(&parts.headers)?,
            wants_events: accepts(&parts.headers, "text/event-stream"),
            wants_parts: prefers(&parts.headers, MIXED, "application/json"),
            is_followed: false,
            announcement: Intake::from_ref(state).engine().announce(),
        })
    }
}

impl Call {
    /// Makes a call whose client waits for the result as a whole.
    pub(crate) fn plain(
        context: RequestContext,
        timeout: Option<Duration>,
        announcement: Option<Announcement>,
    ) -> Self {
        Call {
            context,
            timeout,
            wants_events: false,
            wants_parts: false,
            is_followed: false,
            announcement,
        }
    }

    /// Applies a further limit of the client for the time until the result.
    pub(crate) fn shorten(&mut self, timeout: Option<Duration>) {
        self.timeout = self.timeout.into_iter().chain(timeout).min();
    }

    /// Waits for a step before the job is submitted, and subtracts its time from the call's
    /// timeout.
    pub(crate) async fn wait_for<T>(&mut self, step: impl Future<Output = T>) -> Result<T, Error> {
        let Some(total) = self.timeout else { return Ok(step.await) };
        let begun = Instant::now();
        let done = timeout(total, step).await.ok();
        let rest = total.checked_sub(begun.elapsed()).filter(|rest| !rest.is_zero());
        self.timeout = rest;
        done.filter(|_| rest.is_some()).ok_or_else(|| {
            let message = "the request's timeout passed before the model could start on it";
            Error::new(Kind::Timeout, message)
        })
    }
}

fn client_timeout(headers: &HeaderMap) -> Result<Option<Duration>, Error> {
    let Some(value) = headers.get(TIMEOUT) else { return Ok(None) };
    let seconds = value.to_str().ok().and_then(|text| text.trim().parse::<f64>().ok());
    let seconds = seconds.filter(|seconds| (SHORTEST..=LONGEST).contains(seconds));
    let message =
        "the header AI-Integration-Timeout is not a number of seconds from 0.001 to 86400";
    let refusal = || Error::new(Kind::MalformedRequest, message);
    Ok(Some(Duration::from_secs_f64(seconds.ok_or_else(refusal)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name.parse().unwrap(), value.parse().unwrap())])
    }

    #[test]
    fn a_timeout_is_a_number_of_seconds() {
        assert_eq!(client_timeout(&HeaderMap::new()), Ok(None));
        assert_eq!(client_timeout(&headers(TIMEOUT, "2.5")), Ok(Some(Duration::from_millis(2500))));
        for nonsense in ["", "soon", "0", "-1", "NaN", "inf", "100000"] {
            assert!(client_timeout(&headers(TIMEOUT, nonsense)).is_err(), "{nonsense}");
        }
    }
}
