//! Checks whether a client may send a request: its `Host`, its `Origin`, its token and its rate.
//!
//! Every page that a browser on this machine shows can send requests to a server on this machine.
//! The check of `Host` rejects names of other people's domains that resolve to this machine (DNS
//! rebinding). It applies to every request. The check of `Origin` and `Sec-Fetch-Site` rejects
//! requests from pages of other sites (CSRF). It applies to every method that is not known to be
//! safe, so that no method is forgotten.

pub(crate) mod client;
pub(crate) mod forwarded;
pub(crate) mod frames;
pub(crate) mod host;
pub(crate) mod origin;
pub(crate) mod rate;
pub(crate) mod token;

use std::net::IpAddr;
use std::path::Path;

use ai_integration_contract::setting::{FilePath, List, Secret};
use ai_integration_contract::{Environment, SettingError, settings};
use axum::http::header::ACCESS_CONTROL_REQUEST_METHOD;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};
use tower_http::cors::CorsLayer;

use self::client::{Network, Proxies};
use self::forwarded::Forwarded;
use self::frames::FrameAncestors;
use self::host::{HostNames, Hosts};
use self::origin::Origins;
use self::rate::Rate;
use self::token::Token;
use crate::http::failure::{Failure, Refusal};

settings! {
    /// The operator's rules on which requests are allowed.
    pub(crate) struct Settings under "Security" {
        /// Host names that the server accepts in the Host header, separated by commas;
        /// *.example.org for all names below example.org. IP addresses and localhost are always
        /// accepted. By default other names are accepted only if other machines can reach the
        /// server's address.
        hosts: HostNames { refuses_empty: true },
        /// Origins of other sites whose pages may use the API (CORS), separated by commas, such as
        /// https://app.example.org; * for all. By default none.
        origins: Origins,
        /// Sites whose pages may show the model's page in a frame, separated by commas, such as
        /// https://huggingface.co or https://*.example.org; 'self' for this server's own pages, *
        /// for all. By default none.
        frame_ancestors: FrameAncestors,
        /// A secret that every request must contain: in the header Authorization: Bearer SECRET, in
        /// x-api-key: SECRET, or as the password when a browser asks for one. It is removed from the
        /// model's environment. The health checks (/healthz, /readyz, /ping, /health, those below
        /// /v2/health, those of a hosting platform, and that of gRPC) need no token. There is no flag for it, because other users can read the
        /// arguments of a process.
        token: Option<Secret<Token>> { flag: None, refuses_empty: true },
        /// A file that contains the token.
        token_file: Option<FilePath> { refuses_empty: true },
        /// Maximum rate of requests from one client address, such as 10/s; further requests get
        /// status 429. With 10/s, up to 10 requests may come at once. By default there is no
        /// limit.
        rate_limit: Option<Rate> { refuses_empty: true },
        /// Addresses or networks (10.0.0.0/8) of trusted proxies, separated by commas. Only their
        /// headers are used: X-Forwarded-For for the client's address, with or without a port;
        /// X-Forwarded-Host and X-Forwarded-Proto, or Forwarded, for the address in the browser.
        trusted_proxies: List<Network>,
    }
}

/// The addresses that need no token: platforms request them, and they reveal nothing of the model.
const OPEN: &[&str] = &[
    "/healthz",
    "/readyz",
    "/ping",
    "/health",
    "/v2/health/live",
    "/v2/health/ready",
    "/grpc.health.v1.Health/Check",
];

/// The path of the page's files.
const FILES: &str = "/assets/";

/// The checks that a request must pass before it reaches a handler.
pub(crate) struct Guard {
    hosts: Hosts,
    origins: Origins,
    token: Option<Token>,
    rate: Option<Rate>,
    proxies: Proxies,
    frames: FrameAncestors,
    /// Further addresses that need no token, for methods that are safe.
    open: Vec<&'static str>,
}

impl Guard {
    /// Reads the settings. `is_local` is true if only this machine can connect to the server.
    pub(crate) fn read(environment: &Environment, is_local: bool) -> Result<Self, SettingError> {
        let settings = Settings::read(environment)?;
        Ok(Guard {
            hosts: Hosts::new(settings.hosts, is_local),
            origins: settings.origins,
            token: token(settings.token, settings.token_file.as_deref())?,
            rate: settings.rate_limit,
            proxies: Proxies::new(settings.trusted_proxies),
            frames: settings.frame_ancestors,
            open: Vec::new(),
        })
    }

    /// Lets requests without a token read these addresses.
    pub(crate) fn with_open(self, open: Vec<&'static str>) -> Self {
        Guard { open, ..self }
    }

    /// Returns true if requests must contain a token.
    pub(crate) fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// Rejects a request that is not allowed. `peer` is the address of the other end of the
    /// connection.
    pub(crate) fn check(&self, request: &Parts, peer: IpAddr) -> Result<(), Failure> {
        let host = self.hosts.check(request)?;
        if !request.method.is_safe() {
            let forwarded = self.forwarded(&request.headers, peer);
            self.origins.check(&request.headers, host.as_ref(), &forwarded)?;
        }
        // Browsers send a preflight without the token, and it reveals nothing (Fetch, section
        // 3.2.2).
        let is_preflight = request.method == Method::OPTIONS && is_preflight(&request.headers);
        let path = request.uri.path();
        let is_probe = request.method.is_safe() && self.open.contains(&path);
        if is_preflight || is_probe || OPEN.contains(&path) {
            return Ok(());
        }
        let is_trusted = self.token.as_ref().is_none_or(|token| token.is_in(&request.headers));
        // A page loads many files, which cost little, so they do not count towards the rate.
        // Requests with a wrong token do count, so that nobody can try many tokens.
        let is_free = is_trusted && request.uri.path().starts_with(FILES);
        if let Some(rate) = &self.rate
            && !is_free
        {
            rate.check(self.client(&request.headers, peer))?;
        }
        if !is_trusted {
            let message = "send the server's token: Authorization: Bearer TOKEN";
            return Err(Failure::refused(Refusal::Unauthorized, message));
        }
        Ok(())
    }

    /// Reads the address of the page in the browser, if a trusted proxy passes it on.
    fn forwarded(&self, headers: &HeaderMap, peer: IpAddr) -> Forwarded {
        if !self.proxies.trusts(peer) {
            return Forwarded::default();
        }
        let forwarded = Forwarded::read(headers);
        let host = forwarded.host.filter(|host| self.hosts.may_be_forwarded(host));
        Forwarded { host, ..forwarded }
    }

    /// Returns the sites that may show this server's pages in a frame.
    pub(crate) fn frames(&self) -> &FrameAncestors {
        &self.frames
    }

    /// Returns the client's address, or its network if the address is IPv6. `peer` is the address
    /// of the other end of the connection.
    pub(crate) fn client(&self, headers: &HeaderMap, peer: IpAddr) -> IpAddr {
        client::grouped(self.proxies.client(headers, peer))
    }

    /// Returns the CORS layer, or `None` if no other site's pages may use the API.
    pub(crate) fn cors(&self) -> Option<CorsLayer> {
        self.origins.cors()
    }

    /// Removes the state of clients that sent no request for a while.
    pub(crate) fn tidy(&self) {
        if let Some(rate) = &self.rate {
            rate.tidy();
        }
    }
}

/// Returns true if a request with the method `OPTIONS` is a preflight. With it a browser checks
/// whether a page of another site may send a request.
pub(crate) fn is_preflight(headers: &HeaderMap) -> bool {
    headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// Returns the token from the setting itself or from the file that the other setting names.
fn token(given: Option<Secret<Token>>, file: Option<&Path>) -> Result<Option<Token>, SettingError> {
    match (given, file) {
        (given, None) => Ok(given.map(Secret::expose)),
        (None, Some(file)) => Token::from_file(file)
            .map(Some)
            .map_err(|reason| Settings::token_file().invalid(&file.display().to_string(), reason)),
        (Some(_), Some(_)) => {
            let both = format!("{} is set too; set only one", Settings::token_file().name);
            Err(Settings::token().invalid("", both))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ai_integration_contract::Setting;
    use axum::http::Request;

    fn guard(settings: &[(&Setting, &str)], is_local: bool) -> Guard {
        let mut environment = Environment::default();
        for (setting, value) in settings {
            environment.set(setting, *value);
        }
        Guard::read(&environment, is_local).unwrap()
    }

    fn check(guard: &Guard, method: &str, headers: &[(&str, &str)]) -> Result<(), &'static str> {
        let mut request = Request::builder().method(method).uri("/infer");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        guard.check(&parts, "127.0.0.1".parse().unwrap()).map_err(|failure| failure.code())
    }

    #[test]
    fn only_known_hosts_are_accepted() {
        let local = guard(&[(Settings::hosts(), "model.example.org, *.example.net")], true);
        for (host, expected) in [
            ("localhost:5000", Ok(())),
            ("app.localhost", Ok(())),
            ("127.0.0.1:5000", Ok(())),
            ("[::1]:5000", Ok(())),
            ("MODEL.example.org.", Ok(())),
            ("a.example.net", Ok(())),
            (".example.net", Err("misdirected")),
            ("example.net", Err("misdirected")),
            ("evil.test", Err("misdirected")),
            ("localhost.evil.test", Err("misdirected")),
            ("evil.test@localhost", Err("malformed_request")),
            ("a b", Err("malformed_request")),
            ("", Err("malformed_request")),
        ] {
            assert_eq!(check(&local, "GET", &[("host", host)]), expected, "{host}");
        }
        assert_eq!(check(&local, "GET", &[]), Err("malformed_request"));
        let twice = [("host", "localhost"), ("host", "localhost")];
        assert_eq!(check(&local, "GET", &twice), Err("malformed_request"));
        assert_eq!(check(&guard(&[], false), "GET", &[("host", "anything.test")]), Ok(()));
    }

    #[test]
    fn pages_of_other_sites_are_refused() {
        let listed = guard(&[(Settings::origins(), "https://app.example.org")], false);
        let host = ("host", "model.test:5000");
        for (method, header, expected) in [
            ("POST", ("origin", "http://model.test:5000"), Ok(())),
            ("POST", ("origin", "https://app.example.org"), Ok(())),
            ("POST", ("origin", "http://app.example.org"), Err("forbidden")),
            ("POST", ("origin", "http://model.test"), Err("forbidden")),
            ("POST", ("origin", "http://evil.test"), Err("forbidden")),
            ("POST", ("origin", "null"), Err("forbidden")),
            ("DELETE", ("origin", "http://evil.test"), Err("forbidden")),
            ("INVENTED", ("origin", "http://evil.test"), Err("forbidden")),
            ("POST", ("sec-fetch-site", "cross-site"), Err("forbidden")),
            ("POST", ("sec-fetch-site", "same-site"), Err("forbidden")),
            ("POST", ("sec-fetch-site", "same-origin"), Ok(())),
            ("POST", ("sec-fetch-site", "none"), Ok(())),
            ("GET", ("origin", "http://evil.test"), Ok(())),
        ] {
            assert_eq!(check(&listed, method, &[host, header]), expected, "{method} {header:?}");
        }
        // Behind a proxy that speaks TLS, the port is the scheme's default.
        let proxied = [("host", "model.test"), ("origin", "https://model.test")];
        assert_eq!(check(&listed, "POST", &proxied), Ok(()));
    }

    #[test]
    fn sec_fetch_site_same_origin_is_accepted() {
        let host = ("host", "127.0.0.1:5000");
        let origin = ("origin", "https://model.example.org");
        let local = guard(&[], true);
        for (site, expected) in [
            ("same-origin", Ok(())),
            ("same-site", Err("forbidden")),
            ("cross-site", Err("forbidden")),
            ("none", Err("forbidden")),
            ("Same-Origin", Err("forbidden")),
            ("same-origin, same-origin", Err("forbidden")),
        ] {
            let headers = [host, origin, ("sec-fetch-site", site)];
            assert_eq!(check(&local, "POST", &headers), expected, "{site}");
        }
        let twice =
            [host, origin, ("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")];
        assert_eq!(check(&local, "POST", &twice), Err("forbidden"));
        // This does not apply to a foreign name that resolves to this machine.
        let rebound = [("host", "evil.test"), ("sec-fetch-site", "same-origin")];
        assert_eq!(check(&local, "POST", &rebound), Err("misdirected"));
    }

    #[test]
    fn the_host_is_read_from_trusted_proxies() {
        let trusted = (Settings::trusted_proxies(), "127.0.0.1");
        let any = guard(&[trusted], false);
        let local = guard(&[trusted], true);
        let listed = guard(&[trusted, (Settings::hosts(), "model.example.org")], true);
        let untrusted = guard(&[(Settings::trusted_proxies(), "10.0.0.1")], true);
        let (host, other) = (("host", "127.0.0.1:5000"), ("x-forwarded-host", "evil.test"));
        let origin = |origin| ("origin", origin);
        let named = ("x-forwarded-host", "model.example.org");
        let secure = ("x-forwarded-proto", "https");
        let page = origin("https://model.example.org");
        for (guard, headers, expected) in [
            (&any, &[host, page, named][..], Ok(())),
            (&any, &[host, page, named, secure], Ok(())),
            (&any, &[host, origin("http://model.example.org"), named, secure], Err("forbidden")),
            (&any, &[host, origin("http://model.example.org"), named], Ok(())),
            (&any, &[host, origin("https://model.example.org:8443"), named], Err("forbidden")),
            (&any, &[host, page, other], Err("forbidden")),
            (&any, &[host, page, ("forwarded", "host=model.example.org;proto=https")], Ok(())),
            (
                &local,
                &[("host", "evil.test"), origin("http://evil.test"), other],
                Err("misdirected"),
            ),
            (&local, &[host, origin("http://evil.test"), other], Err("forbidden")),
            (&local, &[host, page, named], Err("forbidden")),
            (&local, &[host, page, ("forwarded", "host=model.example.org")], Err("forbidden")),
            (&local, &[host, page, named, ("sec-fetch-site", "same-origin")], Ok(())),
            (
                &local,
                &[host, origin("http://localhost"), ("x-forwarded-host", "localhost")],
                Ok(()),
            ),
            (&listed, &[host, page, named], Ok(())),
            (&listed, &[host, origin("http://evil.test"), other], Err("forbidden")),
            (&untrusted, &[host, page, named], Err("forbidden")),
            (&untrusted, &[host, page, ("forwarded", "host=model.example.org")], Err("forbidden")),
        ] {
            assert_eq!(check(guard, "POST", headers), expected, "{headers:?}");
        }
    }

    #[test]
    fn only_the_right_token_is_accepted() {
        let secret = guard(&[(Settings::token(), "s3cret")], true);
        let host = ("host", "localhost");
        for (value, expected) in [
            ("Bearer s3cret", Ok(())),
            ("bearer  s3cret ", Ok(())),
            ("Basic dTpzM2NyZXQ=", Ok(())),
            ("Bearer s3cre", Err("unauthorized")),
            ("Bearer s3cret1", Err("unauthorized")),
            ("Bearer", Err("unauthorized")),
            ("Basic czNjcmV0", Err("unauthorized")),
            ("s3cret", Err("unauthorized")),
        ] {
            let headers = [host, ("authorization", value)];
            assert_eq!(check(&secret, "GET", &headers), expected, "{value}");
        }
        let (right, wrong) = (("x-api-key", "s3cret"), ("x-api-key", "Bearer s3cret"));
        for (headers, expected) in [
            (&[host, right][..], Ok(())),
            (&[host, right, ("authorization", "Bearer other")], Ok(())),
            (&[host, wrong, ("authorization", "Bearer s3cret")], Ok(())),
            (&[host, wrong], Err("unauthorized")),
            (&[host, ("x-api-key", "")], Err("unauthorized")),
            (&[host, ("x-api-key", "s3cre")], Err("unauthorized")),
        ] {
            assert_eq!(check(&secret, "GET", headers), expected, "{headers:?}");
        }
        let mut environment = Environment::default();
        environment.set(Settings::token(), "two words");
        let error = Guard::read(&environment, true).err().unwrap().to_string();
        assert!(!error.contains("words\""), "{error}");
    }
}
