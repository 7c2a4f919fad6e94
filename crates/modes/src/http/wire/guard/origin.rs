//! The `Origin` of a request: which sites' pages may use the API (CSRF, CORS).

use std::time::Duration;

use ai_integration_contract::setting::{Absent, List, Lowercase, SettingType};
use axum::http::header::ORIGIN;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, Method};
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

use crate::http::failure::{Failure, Refusal};

/// The time for which browsers may keep what they were told of other sites.
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
    /// Refuses a request that a page of a site sent which may not. `host` is the host that the
    /// request names.
    pub(crate) fn check(
        &self,
        headers: &HeaderMap,
        host: Option<&Authority>,
    ) -> Result<(), Failure> {
        let refused = || {
            let message = "a page of another site sent this request; the server's operator can \
                           add the site to AI_INTEGRATION_ORIGINS";
            Err(Failure::refused(Refusal::Forbidden, message))
        };
        let mut origins = headers.get_all(ORIGIN).iter();
        let origin = match (origins.next(), origins.next()) {
            (None, _) => {
                let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
                let is_foreign = matches!(site, Some(b"cross-site" | b"same-site"));
                return if is_foreign && *self != Origins::All { refused() } else { Ok(()) };
            }
            (Some(origin), None) => origin.to_str().unwrap_or("null").to_ascii_lowercase(),
            (Some(_), Some(_)) => return refused(),
        };
        if match self {
            Origins::All => true,
            Origins::These(origins) => origins.contains(&origin),
        } {
            return Ok(());
        }
        let (scheme, authority) = origin.split_once("://").unwrap_or(("", "null"));
        let own = host.is_some_and(|host| {
            // A proxy in front may speak TLS, so only the scheme's port is of interest.
            let port = if scheme == "https" { 443 } else { 80 };
            authority.parse::<Authority>().is_ok_and(|origin| {
                origin.host().eq_ignore_ascii_case(host.host())
                    && origin.port_u16().unwrap_or(port) == host.port_u16().unwrap_or(port)
            })
        });
        if own { Ok(()) } else { refused() }
    }

    /// The layer that tells browsers of other sites' pages; `None` where none may ask.
    pub(crate) fn cors(&self) -> Option<CorsLayer> {
        let origins = match self {
            Origins::All => AllowOrigin::any(),
            Origins::These(origins) if origins.is_empty() => return None,
            Origins::These(origins) => {
                AllowOrigin::list(origins.iter().filter_map(|origin| origin.parse().ok()))
            }
        };
        // A wildcard would not cover Authorization (Fetch, section 4.8).
        let headers = AllowHeaders::mirror_request();
        let layer = CorsLayer::new().allow_origin(origins).allow_headers(headers);
        Some(layer.allow_methods([Method::GET, Method::POST]).max_age(CORS_AGE))
    }
}
