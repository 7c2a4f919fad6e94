//! Reads the address of the page in the browser from the headers that a proxy adds:
//! `X-Forwarded-Host` and `X-Forwarded-Proto`, or `Forwarded` (RFC 7239). They are used only if
//! they come from a trusted proxy, because any client can send them.

use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue};

use crate::http::accept::unquoted;

/// The host and scheme that the browser uses. If several proxies added an entry, the first entry
/// counts, because the browser connected to that proxy.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Forwarded {
    /// The host that the browser uses.
    pub(crate) host: Option<Authority>,
    /// True if the browser uses TLS.
    pub(crate) is_https: bool,
}

impl Forwarded {
    /// Reads the headers of a trusted proxy.
    pub(crate) fn read(headers: &HeaderMap) -> Self {
        let standard = |name| parameter(first(headers, "forwarded"), name);
        let host = first(headers, "x-forwarded-host").or_else(|| standard("host"));
        let proto = first(headers, "x-forwarded-proto").or_else(|| standard("proto"));
        Forwarded {
            host: host.filter(|host| !host.contains('@')).and_then(|host| host.parse().ok()),
            is_https: proto.is_some_and(|proto| proto.eq_ignore_ascii_case("https")),
        }
    }
}

/// Returns the first entry of a list in the header of that name.
fn first<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let value = headers.get(name).map(HeaderValue::to_str)?.ok()?;
    unquoted(value, ',').next().map(str::trim).filter(|entry| !entry.is_empty())
}

/// Returns the value of a parameter, which may be in quotes: `for=192.0.2.1;host="a.test:8443"`.
fn parameter<'a>(entry: Option<&'a str>, name: &str) -> Option<&'a str> {
    let mut pairs = unquoted(entry?, ';').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.find(|(key, _)| key.trim().eq_ignore_ascii_case(name))?;
    Some(value.trim().trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderName;

    #[test]
    fn the_entry_of_the_first_proxy_counts() {
        for (headers, host, is_https) in [
            (&[("x-forwarded-host", "a.test")][..], Some("a.test"), false),
            (
                &[("x-forwarded-host", "a.test:8443, b.test"), ("x-forwarded-proto", "HTTPS,http")],
                Some("a.test:8443"),
                true,
            ),
            (&[("x-forwarded-proto", "http")], None, false),
            (&[("forwarded", "by=\"_a,b;host=c.test\";host=a.test")], Some("a.test"), false),
            (
                &[("forwarded", "for=192.0.2.1;Host=\"a.test:8443\"; proto=https, host=b.test")],
                Some("a.test:8443"),
                true,
            ),
            (
                &[("forwarded", "host=a.test"), ("x-forwarded-host", "b.test")],
                Some("b.test"),
                false,
            ),
            (&[("x-forwarded-host", "user@a.test")], None, false),
            (&[("x-forwarded-host", "a b")], None, false),
            (&[("x-forwarded-host", "")], None, false),
            (&[], None, false),
        ] {
            let map: HeaderMap = headers
                .iter()
                .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
                .collect();
            let host = host.map(|host: &str| host.parse().unwrap());
            assert_eq!(Forwarded::read(&map), Forwarded { host, is_https }, "{headers:?}");
        }
    }
}
