//! Checks the `Origin` of a request against the sites whose pages may use the API (CSRF, CORS).

use std::time::Duration;

use ai_integration_contract::setting::{Absent, List, Lowercase, SettingType};
use axum::http::header::ORIGIN;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Method};
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

use crate::http::failure::{Failure, Refusal};
use crate::http::wire::guard::forwarded::Forwarded;

/// The header in which browsers say which kind of site sent a request (W3C Fetch Metadata).
const FETCH_SITE: &str = "sec-fetch-site";
/// The time for which browsers may cache the response to a preflight.
const CORS_AGE: Duration = Duration::from_mins(10);

/// Sites whose pages may use the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origins {
    These(Vec<String>),
    All,
}

impl SettingType for Origins {
    type Value = Self;
    const VALUE_NAME: &'static str = "LIST";

    fn read(list: &str) -> Result<Self, String> {
        let origins = List::<Lowercase>::read(list)?;
        let is_origin = |origin: &String| {
            let (scheme, authority) = origin.split_once("://").unwrap_or_default();
            matches!(scheme, "http" | "https") && authority.parse::<Authority>().is_ok()
        };
        if origins == ["*"] {
            Ok(Origins::All)
        } else if origins.iter().all(is_origin) {
            Ok(Origins::These(origins))
        } else {
            Err("origins such as https://app.example.org, or *".to_owned())
        }
    }
}

impl Absent for Origins {
    fn absent() -> Self {
        Origins::These(Vec::new())
    }
}

impl Origins {
    /// Rejects a request from a page of a site that is not allowed. `host` is the host that the
    /// request names, and `forwarded` is the address in the headers of a trusted proxy.
    pub(crate) fn check(
        &self,
        headers: &HeaderMap,
        host: Option<&Authority>,
        forwarded: &Forwarded,
    ) -> Result<(), Failure> {
        // No page can forge this header, and proxies do not change it. It refers to the address
        // that the browser uses.
        let sites = || headers.get_all(FETCH_SITE).iter();
        if sites().eq(["same-origin"]) {
            return Ok(());
        }
        let mut origins = headers.get_all(ORIGIN).iter();
        let is_allowed = match (origins.next(), origins.next()) {
            (None, _) => {
                *self == Origins::All
                    || !sites().any(|site| site == "cross-site" || site == "same-site")
            }
            (Some(origin), None) => {
                let origin = origin.to_str().unwrap_or("null").to_ascii_lowercase();
                let is_own = |host| is_at(&origin, host, forwarded.is_https);
                self.has(&origin) || host.into_iter().chain(&forwarded.host).any(is_own)
            }
            (Some(_), Some(_)) => false,
        };
        if is_allowed {
            return Ok(());
        }
        let message = "a page of another site sent this request: its Origin does not match its Host. \
                       If the page is this server's own, behind a proxy, the proxy must pass Host on \
                       unchanged, or be listed in AI_INTEGRATION_TRUSTED_PROXIES and send \
                       X-Forwarded-Host with a name of AI_INTEGRATION_HOSTS. To allow another site, \
                       add its origin to AI_INTEGRATION_ORIGINS";
        Err(Failure::refused(Refusal::Forbidden, message))
    }

    fn has(&self, origin: &String) -> bool {
        match self {
            Origins::All => true,
            Origins::These(origins) => origins.contains(origin),
        }
    }

    /// Returns the CORS layer, or `None` if no other site's pages may use the API.
    pub(crate) fn cors(&self) -> Option<CorsLayer> {
        let origins = match self {
            Origins::All => AllowOrigin::any(),
            Origins::These(origins) if origins.is_empty() => return None,
            Origins::These(origins) => {
                AllowOrigin::list(origins.iter().filter_map(|origin| origin.parse().ok()))
            }
        };
        // The wildcard * would not include Authorization (Fetch, section 4.8).
        let headers = AllowHeaders::mirror_request();
        let layer = CorsLayer::new().allow_origin(origins).allow_headers(headers);
        Some(layer.allow_methods([Method::GET, Method::POST]).max_age(CORS_AGE))
    }
}

/// Returns true if the origin of a page has this host and its port.
fn is_at(origin: &str, host: &Authority, is_https: bool) -> bool {
    let (scheme, authority) = origin.split_once("://").unwrap_or(("", "null"));
    // A proxy may speak TLS without saying so, so an https origin is accepted in any case. The
    // scheme gives the default port.
    let port = if scheme == "https" { 443 } else { 80 };
    let is_secure_enough = scheme == "https" || !is_https;
    is_secure_enough
        && authority.parse::<Authority>().is_ok_and(|origin| {
            origin.host().eq_ignore_ascii_case(host.host())
                && origin.port_u16().unwrap_or(port) == host.port_u16().unwrap_or(port)
        })
}
