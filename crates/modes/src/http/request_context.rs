//! The context of a request, which the edge makes for its handler and for the log.

use std::net::IpAddr;
use std::sync::Arc;

use ai_integration_engine::Timing;
use axum::http::{HeaderMap, HeaderName, HeaderValue};

/// The header that names a request, in logs and answers; a client or proxy may choose it.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The greatest length of a request's id.
const MAX_ID: usize = 64;

/// The label of requests for addresses that are not declared.
pub(crate) const OTHER: &str = "other";

/// The name of a request.
#[derive(Clone, Debug)]
pub(crate) struct RequestId(pub(crate) HeaderValue);

/// The context of a request. Handlers find it among the request's extensions.
#[derive(Clone, Debug)]
pub(crate) struct RequestContext {
    pub(crate) id: RequestId,
    /// The client's address, or of IPv6 its network; trusted proxies are no clients.
    pub(crate) client: Option<IpAddr>,
    /// The address as it was declared, for logs and statistics.
    pub(crate) route: &'static str,
    /// The trace that the request belongs to, as in the header `traceparent`.
    pub(crate) traceparent: Option<Arc<str>>,
    /// The place where the job's times are written down, if the request's trace is recorded.
    pub(crate) timing: Option<Arc<Timing>>,
    /// True where the log is in lines for people, between those that the program prints.
    pub(crate) is_logged_for_people: bool,
}

impl RequestId {
    /// The id that the client chose, if that is a plain word, or a new one.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let is_plain = |id: &&HeaderValue| {
            let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
            (1..=MAX_ID).contains(&id.len()) && id.as_bytes().iter().all(plain)
        };
        let given = headers.get(REQUEST_ID).filter(is_plain).cloned();
        let fresh = || HeaderValue::try_from(format!("{:016x}", fastrand::u64(..)));
        RequestId(given.or_else(|| fresh().ok()).unwrap_or(HeaderValue::from_static("-")))
    }

    pub(crate) fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }
}
