//! The context of a request. The edge makes it for the handler and for the log.

use std::net::IpAddr;
use std::sync::Arc;

use ai_integration_engine::Timing;
use axum::http::{HeaderMap, HeaderName, HeaderValue};

/// The header with the id of a request, for logs and responses. A client or proxy may choose the id.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The maximum length of a request's id, in bytes.
const MAX_ID: usize = 100;

/// The label of requests for addresses that no part of the server declares.
pub(crate) const OTHER: &str = "other";

/// The id of a request.
#[derive(Clone, Debug)]
pub(crate) struct RequestId(pub(crate) HeaderValue);

/// The context of a request, among the request's extensions.
#[derive(Clone, Debug)]
pub(crate) struct RequestContext {
    pub(crate) id: RequestId,
    /// The client's address; for IPv6 the address of its network. A trusted proxy is not the client.
    pub(crate) client: Option<IpAddr>,
    /// The requested address as it was declared, for logs and metrics.
    pub(crate) route: &'static str,
    /// The trace that the request belongs to, as in the header `traceparent`.
    pub(crate) traceparent: Option<Arc<str>>,
    /// Receives the times of the job, if the request's trace is recorded.
    pub(crate) timing: Option<Arc<Timing>>,
    /// True if log lines are written for people, among the lines that the program prints.
    pub(crate) is_logged_for_people: bool,
}

impl RequestId {
    /// Returns the id that the client chose, if it is a plain word, or a new id.
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
