//! Who may ask: the `Host` and `Origin` of a request, its token, and how often it comes.
//!
//! A server on this machine is reached by every page that a browser here shows. `Host` keeps names
//! out that somebody else's DNS points here (DNS rebinding), `Origin` and `Sec-Fetch-Site` keep out
//! what other sites' pages send (CSRF). Both are checked for whatever method is not known to be
//! safe, so that a new one is never forgotten.

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
    /// The operator's rules on who may ask.
    pub(crate) struct Settings under "Security" {
        /// Host names under which requests may come, separated by commas; *.example.org for all
        /// below one. Addresses and localhost always may; other names by default only where the
        /// server listens beyond this machine.
        hosts: HostNames { refuses_empty: true },
        /// Origins of other sites whose pages may use the API (CORS), separated by commas, such as
        /// https://app.example.org; * for all. By default none.
        origins: Origins,
        /// Sites whose pages may show the model's in a frame, separated by commas, such as
        /// https://huggingface.co or https://*.example.org; 'self' for this server's own, * for all.
        /// By default none.
        frame_ancestors: FrameAncestors,
        /// A secret that requests have to carry: Authorization: Bearer SECRET, or as the password
        /// that a browser asks for. The model's program does not get to see it. /healthz and /readyz
        /// need none. There is no flag for it, since others can read a process's arguments.
        token: Option<Secret<Token>> { flag: None, refuses_empty: true },
        /// A file whose content is the token.
        token_file: Option<FilePath> { refuses_empty: true },
        /// Requests of one client, by its address; more are answered with status 429. As many as N
        /// may come at once. By default there is no limit.
        rate_limit: Option<Rate> { refuses_empty: true },
        /// Addresses or networks (10.0.0.0/8) of proxies, separated by commas, whose word is taken:
        /// X-Forwarded-For tells a client's address, with or without its port; X-Forwarded-Host and
        /// X-Forwarded-Proto, or Forwarded, tell the address under which a browser sees the page.
        trusted_proxies: List<Network>,
    }
}

/// The addresses that need no token: platforms ask them, and they tell nothing of the model.
const OPEN: &[&str] = &["/healthz", "/readyz"];

/// The folder of the page's files.
const FILES: &str = "/assets/";

/// The checks that a request passes before anything else looks at it.
pub(crate) struct Guard {
    hosts: Hosts,
    origins: Origins,
    token: Option<Token>,
    rate: Option<Rate>,
    proxies: Proxies,
    frames: FrameAncestors,
}

impl Guard {
    /// Reads the settings; `is_local` tells that only this machine reaches the server.
    pub(crate) fn read(environment: &Environment, is_local: bool) -> Result<Self, SettingError> {
        let settings = Settings::read(environment)?;
        Ok(Guard {
            hosts: Hosts::new(settings.hosts, is_local),
            origins: settings.origins,
            token: token(settings.token, settings.token_file.as_deref())?,
            rate: settings.rate_limit,
            proxies: Proxies::new(settings.trusted_proxies),
            frames: settings.frame_ancestors,
        })
    }

    /// Tells whether requests have to carry a secret.
    pub(crate) fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// Refuses a request that may not be answered. `peer` is the address that it came from.
    pub(crate) fn check(&self, request: &Parts, peer: IpAddr) -> Result<(), Failure> {
        let host = self.hosts.check(request)?;
        if !request.method.is_safe() {
            let forwarded = self.forwarded(&request.headers, peer);
            self.origins.check(&request.headers, host.as_ref(), &forwarded)?;
        }
        // A preflight carries no token, and asks for nothing (Fetch, section 3.2.2).
        let asks_first = request.method == Method::OPTIONS && is_preflight(&request.headers);
        if asks_first || OPEN.contains(&request.uri.path()) {
            return Ok(());
        }
        let is_trusted = self.token.as_ref().is_none_or(|token| token.is_carried(&request.headers));
        // A page brings many files along, which cost nothing; secrets are not to be guessed by them.
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

    /// Reads the address that a trusted proxy says the browser asked for.
    fn forwarded(&self, headers: &HeaderMap, peer: IpAddr) -> Forwarded {
        if !self.proxies.trusts(peer) {
            return Forwarded::default();
        }
        let told = Forwarded::read(headers);
        let host = told.host.filter(|host| self.hosts.may_be_forwarded(host));
        Forwarded { host, ..told }
    }

    /// The sites that may show this server's pages in a frame.
    pub(crate) fn frames(&self) -> &FrameAncestors {
        &self.frames
    }

    /// Finds the client's address, or of IPv6 its network. `peer` is the address that the request came from.
    pub(crate) fn client(&self, headers: &HeaderMap, peer: IpAddr) -> IpAddr {
        client::grouped(self.proxies.client(headers, peer))
    }

    /// The layer that tells browsers of other sites' pages; `None` where none may ask.
    pub(crate) fn cors(&self) -> Option<CorsLayer> {
        self.origins.cors()
    }

    /// Forgets clients that have not asked for a while.
    pub(crate) fn tidy(&self) {
        if let Some(rate) = &self.rate {
            rate.tidy();
        }
    }
}

/// Tells whether a request with the method `OPTIONS` is a preflight: a browser's question whether a page of
/// another site may send a request.
pub(crate) fn is_preflight(headers: &HeaderMap) -> bool {
    headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// The token that the settings name, or that is in the file that they name.
fn token(given: Option<Secret<Token>>, file: Option<&Path>) -> Result<Option<Token>, SettingError> {
    match (given, file) {
        (given, None) => Ok(given.map(Secret::expose)),
        (None, Some(file)) => Token::from_file(file)
            .map(Some)
            .map_err(|reason| Settings::token_file().invalid(&file.display().to_string(), reason)),
        (Some(_), Some(_)) => {
            let both = format!("there is {} too; use one", Settings::token_file().name);
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
    fn hosts() {
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
    fn origins() {
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
        // Behind a proxy that speaks TLS the ports are the scheme's.
        let proxied = [("host", "model.test"), ("origin", "https://model.test")];
        assert_eq!(check(&listed, "POST", &proxied), Ok(()));
    }

    #[test]
    fn a_browser_that_says_same_origin_is_believed() {
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
        // Not for a name that somebody else's DNS points here.
        let rebound = [("host", "evil.test"), ("sec-fetch-site", "same-origin")];
        assert_eq!(check(&local, "POST", &rebound), Err("misdirected"));
    }

    #[test]
    fn trusted_proxies_tell_the_host() {
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
    fn tokens() {
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
        let mut environment = Environment::default();
        environment.set(Settings::token(), "two words");
        let error = Guard::read(&environment, true).err().unwrap().to_string();
        assert!(!error.contains("words\""), "{error}");
    }
}
