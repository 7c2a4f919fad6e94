//! An invocation of the function: an event with the headers of the Runtime API.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use bytes::Bytes;
use tokio::time::Instant;

/// The header with the time at which Lambda ends the invocation, in milliseconds since 1970.
const DEADLINE: &str = "lambda-runtime-deadline-ms";
const REQUEST_ID: &str = "lambda-runtime-aws-request-id";
const TRACE_ID: &str = "lambda-runtime-trace-id";
/// The header with the id of an attempt, which Lambda sends on Managed Instances.
pub(crate) const INVOCATION_ID: HeaderName =
    HeaderName::from_static("lambda-runtime-invocation-id");

/// The maximum length of an id in bytes.
const MAX_ID: usize = 128;
/// The maximum length of the name of a trace in bytes.
const MAX_TRACE: usize = 1024;
/// The longest time before the deadline at which the model's time ends. The answer must be sent
/// before the deadline, or Lambda ends the process.
const MARGIN: Duration = Duration::from_millis(500);

/// An invocation.
pub(crate) struct Invocation {
    /// The id of the request at Lambda.
    pub(crate) id: String,
    /// The time at which Lambda ends the invocation.
    deadline: Option<Instant>,
    /// The trace of X-Ray, as in `_X_AMZN_TRACE_ID`.
    pub(crate) trace: Option<String>,
    /// The id of this attempt, which the answer must have too.
    pub(crate) attempt: Option<HeaderValue>,
    /// The event; `None` if it could not be read.
    pub(crate) event: Option<Bytes>,
}

impl Invocation {
    pub(crate) fn new(headers: &HeaderMap, event: Option<Bytes>) -> Result<Self, String> {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let is_id = |id: &&str| (1..=MAX_ID).contains(&id.len()) && id.bytes().all(plain);
        let Some(id) = text(REQUEST_ID).filter(is_id) else {
            return Err("the Runtime API sends an event without a request id".to_owned());
        };
        let is_short = |trace: &&str| trace.len() <= MAX_TRACE;
        Ok(Invocation {
            id: id.to_owned(),
            deadline: text(DEADLINE).and_then(|text| text.parse().ok()).map(instant),
            trace: text(TRACE_ID).filter(is_short).map(str::to_owned),
            attempt: headers.get(INVOCATION_ID).cloned(),
            event,
        })
    }

    /// Returns the time that is left for the model; `None` if there is no deadline.
    pub(crate) fn time(&self) -> Option<Duration> {
        let left = self.left()?;
        Some(left.saturating_sub(MARGIN.min(left / 10)).max(Duration::from_millis(1)))
    }

    /// Returns the time that is left for an answer that is sent as a whole.
    pub(crate) fn time_to_answer(&self) -> Option<Duration> {
        let left = self.left()?;
        Some(left.saturating_sub(MARGIN.min(left / 10) / 2))
    }

    /// Returns the time until Lambda ends the invocation.
    pub(crate) fn left(&self) -> Option<Duration> {
        self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// Returns the trace as in the header `traceparent` (W3C Trace Context).
    pub(crate) fn traceparent(&self) -> Option<String> {
        traceparent(self.trace.as_deref()?)
    }
}

/// Returns the instant of a time in milliseconds since 1970. Lambda's longest time is 15 minutes, and
/// 90 on Managed Instances, so a time further away than a day is a day away.
fn instant(since_1970: u64) -> Instant {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let left = Duration::from_millis(since_1970).saturating_sub(now);
    Instant::now() + left.min(Duration::from_hours(24))
}

/// Converts `Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1`.
fn traceparent(trace: &str) -> Option<String> {
    let member = |name: &str| {
        trace.split(';').find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='))
    };
    let root = member("Root")?.strip_prefix("1-")?.replace('-', "");
    let (parent, flags) = (member("Parent")?, u8::from(member("Sampled") == Some("1")));
    let is_hexadecimal =
        |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let fits = root.len() == 32 && parent.len() == 16;
    (fits && is_hexadecimal(&root) && is_hexadecimal(parent))
        .then(|| format!("00-{root}-{parent}-{flags:02}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn an_id_that_is_no_plain_word_is_refused() {
        for id in ["", "a/b", "a b", &"a".repeat(129)] {
            assert!(Invocation::new(&headers(&[(REQUEST_ID, id)]), None).is_err(), "{id}");
        }
        assert!(Invocation::new(&HeaderMap::new(), None).is_err());
        assert_eq!(Invocation::new(&headers(&[(REQUEST_ID, "a-1")]), None).unwrap().id, "a-1");
    }

    #[test]
    fn the_model_has_less_time_than_lambda() {
        let time = |deadline: &str| {
            let headers = headers(&[(REQUEST_ID, "a"), (DEADLINE, deadline)]);
            Invocation::new(&headers, None).unwrap().time()
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let in_a_minute = (now + Duration::from_mins(1)).as_millis().to_string();
        let left = time(&in_a_minute).unwrap();
        assert!(left > Duration::from_secs(50) && left < Duration::from_millis(59_600), "{left:?}");
        assert_eq!(time("1"), Some(Duration::from_millis(1)));
        assert_eq!(time("soon"), None);
        assert!(time(&u64::MAX.to_string()).unwrap() <= Duration::from_hours(24));
    }

    #[test]
    fn a_trace_of_x_ray_has_the_form_of_w3c() {
        let trace = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1";
        let expected = "00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01";
        assert_eq!(traceparent(trace).as_deref(), Some(expected));
        for other in ["", "Root=1-x", "Root=1-5759e988-bd862e3fe1be46a994272793", "Root=;Parent="] {
            assert_eq!(traceparent(other), None, "{other}");
        }
    }
}
