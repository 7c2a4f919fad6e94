//! The trace that a request belongs to (W3C Trace Context).

use axum::http::HeaderMap;

/// The header that names a trace.
const TRACEPARENT: &str = "traceparent";

/// The trace that a request belongs to, if it names one.
#[derive(Clone, Debug, Default)]
pub(super) struct Trace(Option<Box<str>>);

impl Trace {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let parent = headers.get(TRACEPARENT).and_then(|value| value.to_str().ok());
        Trace(parent.filter(|value| is_traceparent(value)).map(Into::into))
    }

    /// As it came.
    pub(super) fn parent(&self) -> Option<&str> {
        self.0.as_deref()
    }
}

/// Whether this is `version-trace-parent-flags` in lower-case hexadecimal.
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
    fn only_a_traceparent_is_one() {
        assert!(is_traceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"));
        for nonsense in ["", "00-0-0-0", "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01"]
        {
            assert!(!is_traceparent(nonsense), "{nonsense}");
        }
    }
}
