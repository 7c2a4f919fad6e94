//! The trace that a request belongs to (W3C Trace Context). The log contains its name, and
//! [`Tracer`] sends its spans to a collector.

#[cfg(feature = "otel")]
pub(crate) mod otlp;
#[cfg(not(feature = "otel"))]
#[path = "trace/no_otlp.rs"]
pub(crate) mod otlp;
pub(crate) mod request_end;

use std::sync::Arc;

use ai_integration_engine::Timing;
use axum::http::{HeaderMap, Method};

use self::otlp::{Recording, Tracer};
use self::request_end::RequestEnd;

/// The header that names a trace.
pub(crate) const TRACEPARENT: &str = "traceparent";

/// The trace that a request belongs to.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    /// The `traceparent` in the log: that of the request's span, or the one that the client sent.
    parent: Option<Arc<str>>,
    recording: Option<Box<Recording>>,
}

impl Trace {
    /// Begins the span of a request. Without a tracer, this only keeps the `traceparent` that the
    /// client sent.
    pub(crate) fn begin(
        tracer: Option<&Tracer>,
        method: &Method,
        route: &'static str,
        headers: &HeaderMap,
    ) -> Self {
        match tracer.and_then(|tracer| tracer.begin(method, route, headers)) {
            Some((parent, recording)) => {
                Trace { parent: Some(parent.into()), recording: recording.map(Box::new) }
            }
            None => Trace { parent: named(headers).map(Into::into), recording: None },
        }
    }

    /// Returns the trace's name, as in the header `traceparent`.
    pub(crate) fn parent(&self) -> Option<Arc<str>> {
        self.parent.clone()
    }

    /// Returns the times that the engine fills in, if spans are recorded.
    pub(crate) fn timing(&self) -> Option<Arc<Timing>> {
        self.recording.as_ref().map(|recording| recording.timing())
    }

    /// Ends the span of the request.
    pub(crate) fn end(&mut self, ended: &RequestEnd<'_>) {
        if let Some(recording) = self.recording.take() {
            recording.end(ended);
        }
    }
}

/// Returns the trace that a request names.
fn named(headers: &HeaderMap) -> Option<&str> {
    let parent = headers.get(TRACEPARENT).and_then(|value| value.to_str().ok());
    parent.filter(|value| is_traceparent(value))
}

/// Returns true if this is `version-trace-parent-flags` in lower-case hexadecimal.
fn is_traceparent(value: &str) -> bool {
    let lengths = [2, 32, 16, 2];
    let hexadecimal = |part: &str| part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let parts: Vec<&str> = value.split('-').collect();
    parts.len() == lengths.len()
        && parts.iter().zip(lengths).all(|(part, length)| part.len() == length && hexadecimal(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invalid_traceparent_is_recognised() {
        assert!(is_traceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"));
        for nonsense in ["", "00-0-0-0", "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01"]
        {
            assert!(!is_traceparent(nonsense), "{nonsense}");
        }
    }
}
