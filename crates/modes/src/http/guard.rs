//! Who may ask: the `Host` and `Origin` of a request, its token, and how often it comes.
//!
//! A server on this machine is reached by every page that a browser here shows. `Host` keeps names
//! out that somebody else's DNS points here (DNS rebinding), `Origin` and `Sec-Fetch-Site` keep out
//! what other sites' pages send (CSRF). Both are checked for whatever method is not known to be
//! safe, so that a new one is never forgotten.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use ai_integration_contract::{Environment, Error, Kind, Setting, SettingError};
use axum::http::header::{ACCESS_CONTROL_REQUEST_METHOD, AUTHORIZATION, HOST, ORIGIN};
use axum::http::request::Parts;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, Method, Version};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota};
use ipnet::IpNet;
use subtle::ConstantTimeEq;
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

/// Names of this server.
pub(super) static HOSTS: Setting = Setting {
    name: "AI_INTEGRATION_HOSTS",
    flag: Some("hosts"),
    value_name: "LIST",
    default: "",
    help: "Host names under which requests may come, separated by commas; *.example.org for all \
           below one. Addresses and localhost always may; other names by default only where the \
           server listens beyond this machine.",
};

/// Sites whose pages may ask.
pub(super) static ORIGINS: Setting = Setting {
    name: "AI_INTEGRATION_ORIGINS",
    flag: Some("origins"),
    value_name: "LIST",
    default: "",
    help: "Origins of other sites whose pages may use the API (CORS), separated by commas, such as \
           https://app.example.org; * for all. By default none.",
};

/// The secret. No flag, since others can read a process's arguments.
pub(super) static TOKEN: Setting = Setting {
    name: "AI_INTEGRATION_TOKEN",
    flag: None,
    value_name: "SECRET",
    default: "",
    help: "A secret that requests have to carry: Authorization: Bearer SECRET, or as the password \
           that a browser asks for. The model's program does not get to see it. /healthz and \
           /readyz need none.",
};

/// The secret in a file.
pub(super) static TOKEN_FILE: Setting = Setting {
    name: "AI_INTEGRATION_TOKEN_FILE",
    flag: Some("token-file"),
    value_name: "FILE",
    default: "",
    help: "A file whose content is the token.",
};

/// How often one client may ask.
pub(super) static RATE: Setting = Setting {
    name: "AI_INTEGRATION_RATE_LIMIT",
    flag: Some("rate-limit"),
    value_name: "N/s|N/min|N/h",
    default: "",
    help: "Requests of one client, by its address; more are answered with status 429. As many as \
           N may come at once. By default there is no limit.",
};

/// Who may speak for others.
pub(super) static PROXIES: Setting = Setting {
    name: "AI_INTEGRATION_TRUSTED_PROXIES",
    flag: Some("trusted-proxies"),
    value_name: "LIST",
    default: "",
    help: "Addresses or networks (10.0.0.0/8) of proxies, separated by commas, whose \
           X-Forwarded-For tells a client's address.",
};

/// All of them.
pub(super) const SETTINGS: &[&Setting] = &[&HOSTS, &ORIGINS, &TOKEN, &TOKEN_FILE, &RATE, &PROXIES];

/// How long browsers may keep what they were told of other sites.
const CORS_AGE: Duration = Duration::from_mins(10);
/// The greatest length of a token, which a file by mistake would be over.
const MAX_TOKEN: usize = 4096;
/// The addresses that need no token: platforms ask them, and they tell nothing of the model.
const OPEN: &[&str] = &["/healthz", "/readyz"];

/// Where the page's files are.
const FILES: &str = "/assets/";

/// The checks that a request passes before anything else looks at it.
pub(super) struct Guard {
    hosts: Vec<String>,
    /// Whether names are taken that are not in `hosts`.
    takes_any_host: bool,
    origins: Origins,
    token: Option<Box<[u8]>>,
    rate: Option<DefaultKeyedRateLimiter<IpAddr>>,
    proxies: Vec<IpNet>,
}

/// Sites whose pages may ask.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Origins {
    These(Vec<String>),
    All,
}

impl Guard {
    /// Reads the settings; `is_local` tells that only this machine reaches the server.
    pub(super) fn read(environment: &Environment, is_local: bool) -> Result<Self, SettingError> {
        let hosts = environment.list(&HOSTS);
        let origins = environment.list(&ORIGINS);
        let is_origin = |origin: &String| {
            let (scheme, authority) = origin.split_once("://").unwrap_or_default();
            matches!(scheme, "http" | "https") && authority.parse::<Authority>().is_ok()
        };
        let origins = if origins == ["*"] {
            Origins::All
        } else if let Some(other) = origins.iter().find(|origin| !is_origin(origin)) {
            let expected = "expected origins such as https://app.example.org, or *".to_owned();
            return Err(SettingError::Invalid {
                name: ORIGINS.name,
                value: other.clone(),
                expected,
            });
        } else {
            Origins::These(origins)
        };
        let rate = environment.get(&RATE).map(quota).transpose()?;
        Ok(Guard {
            takes_any_host: hosts.is_empty() && !is_local,
            hosts,
            origins,
            token: token(environment)?,
            rate: rate.map(DefaultKeyedRateLimiter::keyed),
            proxies: networks(environment, &PROXIES)?,
        })
    }

    /// Whether requests have to carry a secret.
    pub(super) fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// Why a request is refused, if it is. `peer` is the address that it came from.
    pub(super) fn check(&self, request: &Parts, peer: IpAddr) -> Result<(), Error> {
        let host = host(request)?;
        if let Some(host) = &host
            && !self.answers_to(host.host())
        {
            let message = "this server does not answer to the name in Host; its operator can add \
                           it to AI_INTEGRATION_HOSTS";
            return Err(Error::new(Kind::Misdirected, message));
        }
        if !request.method.is_safe() {
            self.check_origin(&request.headers, host.as_ref())?;
        }
        // A preflight carries no token, and asks for nothing (Fetch, section 3.2.2).
        let is_preflight = request.method == Method::OPTIONS
            && request.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        if is_preflight || OPEN.contains(&request.uri.path()) {
            return Ok(());
        }
        let is_trusted = self.token.as_ref().is_none_or(|token| carries(&request.headers, token));
        // A page brings many files along, which cost nothing; secrets are not to be guessed by them.
        let is_free = is_trusted && request.uri.path().starts_with(FILES);
        if let Some(rate) = &self.rate
            && !is_free
        {
            rate.check_key(&grouped(self.client(&request.headers, peer))).map_err(|early| {
                let wait = early.wait_time_from(DefaultClock::default().now());
                let message = "this client asks more often than it may; try again later";
                Error::new(Kind::RateLimited, message)
                    .with_retry_after(wait.as_secs().saturating_add(1))
            })?;
        }
        if !is_trusted {
            let message = "send the server's token: Authorization: Bearer TOKEN";
            return Err(Error::new(Kind::Unauthorized, message));
        }
        Ok(())
    }

    /// What browsers are told of other sites' pages; nothing where none may ask.
    pub(super) fn cors(&self) -> Option<CorsLayer> {
        let origins = match &self.origins {
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

    /// Forgets clients that have not asked for a while.
    pub(super) fn tidy(&self) {
        if let Some(rate) = &self.rate {
            rate.retain_recent();
            rate.shrink_to_fit();
        }
    }

    /// Whether a name means this server. Nobody's DNS decides where an address leads.
    fn answers_to(&self, host: &str) -> bool {
        let is_address = host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
        let is_local = |host| is_listed(&["localhost", "*.localhost"], host);
        self.takes_any_host || is_address || is_local(host) || is_listed(&self.hosts, host)
    }

    fn check_origin(&self, headers: &HeaderMap, host: Option<&Authority>) -> Result<(), Error> {
        let refused = || {
            let message = "a page of another site sent this request; the server's operator can \
                           add the site to AI_INTEGRATION_ORIGINS";
            Err(Error::new(Kind::Forbidden, message))
        };
        let mut origins = headers.get_all(ORIGIN).iter();
        let origin = match (origins.next(), origins.next()) {
            (None, _) => {
                let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
                let is_foreign = matches!(site, Some(b"cross-site" | b"same-site"));
                return if is_foreign && self.origins != Origins::All { refused() } else { Ok(()) };
            }
            (Some(origin), None) => origin.to_str().unwrap_or("null").to_ascii_lowercase(),
            (Some(_), Some(_)) => return refused(),
        };
        if match &self.origins {
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

    /// The client's address: the last one in `X-Forwarded-For` that is no trusted proxy's.
    fn client(&self, headers: &HeaderMap, peer: IpAddr) -> IpAddr {
        let is_trusted = |address: &IpAddr| {
            self.proxies.iter().any(|network| network.contains(&address.to_canonical()))
        };
        if !is_trusted(&peer) {
            return peer;
        }
        let forwarded = headers.get_all("x-forwarded-for").iter().rev();
        let mut addresses = forwarded
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.rsplit(','))
            .map_while(|address| address.trim().parse::<IpAddr>().ok());
        addresses.find(|address| !is_trusted(address)).unwrap_or(peer)
    }
}

/// Whether a list of names has this one: as it is, or as one below `*.example.org`; `*` is all.
pub(super) fn is_listed(names: &[impl AsRef<str>], host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    names.iter().any(|name| match name.as_ref().strip_prefix('*') {
        Some(parent) => host.len() > parent.len() && host.ends_with(parent),
        None => host == name.as_ref(),
    })
}

/// The networks and addresses that a setting lists.
pub(super) fn networks(
    environment: &Environment,
    setting: &'static Setting,
) -> Result<Vec<IpNet>, SettingError> {
    let network = |item: &String| {
        let network = item.parse().or_else(|_| item.parse::<IpAddr>().map(IpNet::from));
        network.map_err(|_| SettingError::Invalid {
            name: setting.name,
            value: item.clone(),
            expected: "expected addresses or networks, such as 10.0.0.0/8".to_owned(),
        })
    };
    environment.list(setting).iter().map(network).collect()
}

/// The host that a request names (RFC 9112, section 3.2): exactly one in HTTP/1.1.
fn host(request: &Parts) -> Result<Option<Authority>, Error> {
    let malformed = |message| Err(Error::new(Kind::MalformedRequest, message));
    let mut named = request.headers.get_all(HOST).iter();
    let (first, second) = (named.next(), named.next());
    if second.is_some() {
        return malformed("the request has more than one Host header");
    }
    let header = match first.map(|value| value.to_str().unwrap_or_default().parse::<Authority>()) {
        Some(Ok(authority)) if !authority.as_str().contains('@') => Some(authority),
        None => None,
        Some(_) => return malformed("the Host header is not a host"),
    };
    let target = request.uri.authority().cloned();
    match (target, header) {
        (Some(target), Some(header)) if target != header => {
            malformed("the request's address and its Host header name different hosts")
        }
        (Some(target), _) => Ok(Some(target)),
        (None, Some(header)) => Ok(Some(header)),
        (None, None) if request.version == Version::HTTP_10 => Ok(None),
        (None, None) => malformed("the request has no Host header"),
    }
}

/// Clients of IPv6 have a whole network each.
fn grouped(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = u128::from(address) & !u128::from(u64::MAX);
            IpAddr::V6(network.into())
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

fn carries(headers: &HeaderMap, token: &[u8]) -> bool {
    let Some(value) = headers.get(AUTHORIZATION) else { return false };
    let Ok((scheme, credentials)) = value.to_str().map(|v| v.split_once(' ').unwrap_or((v, "")))
    else {
        return false;
    };
    let credentials = credentials.trim();
    let given = match scheme.to_ascii_lowercase().as_str() {
        "bearer" => credentials.as_bytes().to_vec(),
        "basic" => {
            let decoded = BASE64_STANDARD.decode(credentials).unwrap_or_default();
            let colon = decoded.iter().position(|byte| *byte == b':');
            decoded[colon.map_or(decoded.len(), |colon| colon + 1)..].to_vec()
        }
        _ => return false,
    };
    given.ct_eq(token).into()
}

/// The token that the settings name.
fn token(environment: &Environment) -> Result<Option<Box<[u8]>>, SettingError> {
    let invalid = |name, expected: &str| SettingError::Invalid {
        name,
        // Whatever it is, it is not for the log.
        value: "…".to_owned(),
        expected: expected.to_owned(),
    };
    let given = environment.variable(TOKEN.name).map(str::trim).filter(|token| !token.is_empty());
    let (name, token) = match (given, environment.get(&TOKEN_FILE)) {
        (None, None) => return Ok(None),
        (Some(_), Some(_)) => {
            return Err(invalid(TOKEN.name, "there is AI_INTEGRATION_TOKEN_FILE too; use one"));
        }
        (Some(token), None) => (TOKEN.name, token.to_owned()),
        (None, Some(file)) => {
            let read = std::fs::read_to_string(file).map_err(|error| SettingError::Invalid {
                name: TOKEN_FILE.name,
                value: file.to_owned(),
                expected: format!("it cannot be read: {error}"),
            })?;
            (TOKEN_FILE.name, read.trim().to_owned())
        }
    };
    let is_token = !token.is_empty()
        && token.len() <= MAX_TOKEN
        && token.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_token {
        return Err(invalid(name, "a token is one word of printable ASCII characters"));
    }
    Ok(Some(token.into_bytes().into()))
}

fn quota(text: &str) -> Result<Quota, SettingError> {
    let invalid = || SettingError::Invalid {
        name: RATE.name,
        value: text.to_owned(),
        expected: "expected a number for a time, such as 10/s, 100/min or 1000/h".to_owned(),
    };
    let (number, unit) = text.split_once('/').ok_or_else(invalid)?;
    let number: NonZeroU32 = number.trim().parse().map_err(|_| invalid())?;
    let unit = match unit.trim() {
        "s" => Duration::from_secs(1),
        "min" => Duration::from_mins(1),
        "h" => Duration::from_hours(1),
        _ => return Err(invalid()),
    };
    let quota = Quota::with_period(unit / number.get()).ok_or_else(invalid)?;
    Ok(quota.allow_burst(number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::Request;

    fn guard(settings: &[(&Setting, &str)], is_local: bool) -> Guard {
        let mut environment = Environment::default();
        for (setting, value) in settings {
            environment.set(setting, *value);
        }
        Guard::read(&environment, is_local).unwrap()
    }

    fn check(guard: &Guard, method: &str, headers: &[(&str, &str)]) -> Result<(), Kind> {
        let mut request = Request::builder().method(method).uri("/infer");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        guard.check(&parts, "127.0.0.1".parse().unwrap()).map_err(|error| error.kind)
    }

    #[test]
    fn hosts() {
        let local = guard(&[(&HOSTS, "model.example.org, *.example.net")], true);
        for (host, expected) in [
            ("localhost:5000", Ok(())),
            ("app.localhost", Ok(())),
            ("127.0.0.1:5000", Ok(())),
            ("[::1]:5000", Ok(())),
            ("MODEL.example.org.", Ok(())),
            ("a.example.net", Ok(())),
            (".example.net", Err(Kind::Misdirected)),
            ("example.net", Err(Kind::Misdirected)),
            ("evil.test", Err(Kind::Misdirected)),
            ("localhost.evil.test", Err(Kind::Misdirected)),
            ("evil.test@localhost", Err(Kind::MalformedRequest)),
            ("a b", Err(Kind::MalformedRequest)),
            ("", Err(Kind::MalformedRequest)),
        ] {
            assert_eq!(check(&local, "GET", &[("host", host)]), expected, "{host}");
        }
        assert_eq!(check(&local, "GET", &[]), Err(Kind::MalformedRequest));
        let twice = [("host", "localhost"), ("host", "localhost")];
        assert_eq!(check(&local, "GET", &twice), Err(Kind::MalformedRequest));
        assert_eq!(check(&guard(&[], false), "GET", &[("host", "anything.test")]), Ok(()));
    }

    #[test]
    fn origins() {
        let listed = guard(&[(&ORIGINS, "https://app.example.org")], false);
        let host = ("host", "model.test:5000");
        for (method, header, expected) in [
            ("POST", ("origin", "http://model.test:5000"), Ok(())),
            ("POST", ("origin", "https://app.example.org"), Ok(())),
            ("POST", ("origin", "http://app.example.org"), Err(Kind::Forbidden)),
            ("POST", ("origin", "http://model.test"), Err(Kind::Forbidden)),
            ("POST", ("origin", "http://evil.test"), Err(Kind::Forbidden)),
            ("POST", ("origin", "null"), Err(Kind::Forbidden)),
            ("DELETE", ("origin", "http://evil.test"), Err(Kind::Forbidden)),
            ("INVENTED", ("origin", "http://evil.test"), Err(Kind::Forbidden)),
            ("POST", ("sec-fetch-site", "cross-site"), Err(Kind::Forbidden)),
            ("POST", ("sec-fetch-site", "same-site"), Err(Kind::Forbidden)),
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
    fn tokens() {
        let secret = guard(&[(&TOKEN, "s3cret")], true);
        let host = ("host", "localhost");
        for (value, expected) in [
            ("Bearer s3cret", Ok(())),
            ("bearer  s3cret ", Ok(())),
            ("Basic dTpzM2NyZXQ=", Ok(())),
            ("Bearer s3cre", Err(Kind::Unauthorized)),
            ("Bearer s3cret1", Err(Kind::Unauthorized)),
            ("Bearer", Err(Kind::Unauthorized)),
            ("Basic czNjcmV0", Err(Kind::Unauthorized)),
            ("s3cret", Err(Kind::Unauthorized)),
        ] {
            let headers = [host, ("authorization", value)];
            assert_eq!(check(&secret, "GET", &headers), expected, "{value}");
        }
        let mut environment = Environment::default();
        environment.set(&TOKEN, "two words");
        let error = Guard::read(&environment, true).err().unwrap().to_string();
        assert!(!error.contains("words\""), "{error}");
    }

    #[test]
    fn clients_behind_proxies() {
        let guard = guard(&[(&PROXIES, "10.0.0.0/8, 192.0.2.1")], true);
        let client = |peer: &str, forwarded: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("x-forwarded-for", forwarded.parse().unwrap());
            guard.client(&headers, peer.parse().unwrap()).to_string()
        };
        assert_eq!(client("203.0.113.9", "198.51.100.1"), "203.0.113.9");
        assert_eq!(client("10.1.1.1", "1.1.1.1, 198.51.100.1, 192.0.2.1"), "198.51.100.1");
        assert_eq!(client("10.1.1.1", "1.1.1.1, nonsense"), "10.1.1.1");
    }

    #[test]
    fn rates() {
        assert!(quota("10/s").is_ok() && quota("1 / min").is_ok());
        for nonsense in ["10", "0/s", "10/day", "x/s"] {
            assert!(quota(nonsense).is_err(), "{nonsense}");
        }
        let limited = guard(&[(&RATE, "2/h")], true);
        let ask = || check(&limited, "GET", &[("host", "localhost")]);
        assert_eq!([ask(), ask(), ask()], [Ok(()), Ok(()), Err(Kind::RateLimited)]);
        limited.tidy();
        assert_eq!(ask(), Err(Kind::RateLimited));
    }
}
