//! The sites that may show this server's pages in a frame. A hostile site could show the model's
//! page invisibly over its own, and so make visitors click in the model's page (clickjacking).

use ai_integration_contract::setting::{Absent, SettingType};
use axum::http::HeaderValue;

/// The origins whose pages may show this server's pages in a frame, as a source list of CSP (level
/// 3, section 6.4.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FrameAncestors(String);

/// The source list that allows no page.
const NONE: &str = "'none'";
/// The source list that allows this server's own pages.
const OWN: &str = "'self'";

impl SettingType for FrameAncestors {
    type Value = Self;
    const VALUE_NAME: &'static str = "LIST";

    fn read(list: &str) -> Result<Self, String> {
        let items = list.split(',').map(str::trim).filter(|item| !item.is_empty());
        let sources = items.map(source).collect::<Result<Vec<_>, _>>()?;
        match sources.len() {
            0 => Ok(Self::absent()),
            2.. if sources.iter().any(|one| one == NONE) => {
                Err(format!("either {NONE} or a list of sites, not both"))
            }
            _ => Ok(FrameAncestors(sources.join(" "))),
        }
    }
}

impl Absent for FrameAncestors {
    fn absent() -> Self {
        FrameAncestors(NONE.to_owned())
    }
}

impl FrameAncestors {
    /// Returns the `Content-Security-Policy` of a response: the directives `contents`, and the one
    /// for frames.
    pub(crate) fn policy(&self, contents: &str) -> HeaderValue {
        let policy = format!("{contents}; frame-ancestors {}", self.0);
        HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
    }

    /// Returns the value of `X-Frame-Options` (RFC 7034) for browsers that do not support
    /// `frame-ancestors`, or `None` for a list of sites, which that header cannot express.
    pub(crate) fn options(&self) -> Option<HeaderValue> {
        match self.0.as_str() {
            NONE => Some(HeaderValue::from_static("DENY")),
            OWN => Some(HeaderValue::from_static("SAMEORIGIN")),
            _ => None,
        }
    }
}

/// Reads one site. The error suggests the origin that was probably meant, unless that is a
/// wildcard.
fn source(item: &str) -> Result<String, String> {
    let item = item.to_ascii_lowercase();
    match item.trim_matches('\'') {
        "*" => return Ok("*".to_owned()),
        "self" => return Ok(OWN.to_owned()),
        "none" => return Ok(NONE.to_owned()),
        _ if is_origin(&item) => return Ok(item),
        _ => {}
    }
    let bare = item.split_once("://").map_or(&*item, |(_, rest)| rest);
    let scheme = if item.starts_with("http://") { "http" } else { "https" };
    let host = bare.split(['/', '?', '#', ' ', '\t', ';']).next().unwrap_or_default();
    let nearest = format!("{scheme}://{host}");
    let hint = if item.contains([' ', '\t', ';']) {
        "; put commas between them".to_owned()
    } else if is_origin(&nearest) && !host.starts_with('*') {
        format!("; did you mean {nearest}?")
    } else {
        String::new()
    };
    Err(format!(
        "origins such as https://huggingface.co or https://*.example.org, separated by commas, \
         'self', or *; {item:?} is not one of these{hint}"
    ))
}

/// Returns true if this is an origin in the syntax of CSP: a scheme, a host whose first label may
/// be `*`, and an optional port.
fn is_origin(item: &str) -> bool {
    let Some((scheme, authority)) = item.split_once("://") else { return false };
    let (host, port) = match authority.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    };
    let is_label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    let is_port = |port: &str| port == "*" || port.parse::<u16>().is_ok_and(|port| port > 0);
    let below = host.strip_prefix("*.").unwrap_or(host);
    matches!(scheme, "http" | "https")
        && (host == "*" || below.split('.').all(is_label))
        && port.is_none_or(is_port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_sites() {
        for (list, sources) in [
            ("https://huggingface.co", "https://huggingface.co"),
            ("HTTPS://A.test:8443 , http://127.0.0.1:*", "https://a.test:8443 http://127.0.0.1:*"),
            ("https://*.example.org,'self'", "https://*.example.org 'self'"),
            ("self", "'self'"),
            ("*", "*"),
            ("none", "'none'"),
            (",", "'none'"),
        ] {
            assert_eq!(
                FrameAncestors::read(list),
                Ok(FrameAncestors(sources.to_owned())),
                "{list}"
            );
        }
    }

    #[test]
    fn an_invalid_site_is_refused_with_a_suggestion() {
        for (list, nearest) in [
            ("huggingface.co", "did you mean https://huggingface.co?"),
            ("https://a.test/wiki/", "did you mean https://a.test?"),
            ("http://a.test/", "did you mean http://a.test?"),
            ("https://a.test https://b.test", "commas"),
            ("https://a.test; script-src *", "commas"),
            ("ftp://a.test", "did you mean https://a.test?"),
            ("https://a.test:0", ""),
            ("https://a..test", ""),
            ("https://a.*.test", ""),
            ("https://", ""),
            ("'none', https://a.test", "either"),
        ] {
            let error = FrameAncestors::read(list).unwrap_err();
            assert!(error.contains(nearest), "{list}: {error}");
        }
    }

    #[test]
    fn x_frame_options_is_set_if_it_can_express_the_list() {
        let options = |list| FrameAncestors::read(list).unwrap().options();
        assert_eq!(options("none").unwrap(), "DENY");
        assert_eq!(options("'self'").unwrap(), "SAMEORIGIN");
        assert_eq!(options("'self', https://a.test"), None);
        assert_eq!(options("*"), None);
    }
}
