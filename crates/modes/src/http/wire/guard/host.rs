//! Checks the `Host` of a request against the names of this server.

use std::net::IpAddr;

use ai_integration_contract::setting::{Absent, List, Lowercase, SettingType};
use ai_integration_contract::{Error, Kind};
use axum::http::Version;
use axum::http::header::HOST;
use axum::http::request::Parts;
use axum::http::uri::Authority;

use crate::http::failure::{Failure, Refusal};

/// The host names that the operator lists. A list without any name, such as a single comma, is an
/// error, since it would accept every name.
pub(crate) struct HostNames;

impl SettingType for HostNames {
    type Value = Vec<String>;
    const VALUE_NAME: &'static str = "LIST";

    fn read(list: &str) -> Result<Vec<String>, String> {
        let names = List::<Lowercase>::read(list)?;
        if names.is_empty() { Err("at least one name".to_owned()) } else { Ok(names) }
    }
}

impl Absent for HostNames {
    fn absent() -> Vec<String> {
        Vec::new()
    }
}

/// The host names that the server accepts.
pub(crate) struct Hosts {
    names: Vec<String>,
    /// True if every name is accepted.
    takes_any: bool,
}

impl Hosts {
    /// Accepts these names. `is_local` is true if only this machine can connect to the server.
    pub(crate) fn new(names: Vec<String>, is_local: bool) -> Self {
        Hosts { takes_any: names.is_empty() && !is_local, names }
    }

    /// Returns the host that a request names, or rejects the request if the host is not accepted.
    pub(crate) fn check(&self, request: &Parts) -> Result<Option<Authority>, Failure> {
        let host = named(request)?;
        if let Some(host) = &host
            && !self.has(host.host())
        {
            let message = "this server does not accept the name in the Host header; its operator \
                           can add the name to AI_INTEGRATION_HOSTS";
            return Err(Failure::refused(Refusal::Misdirected, message));
        }
        Ok(host)
    }

    /// Returns true if a host in a proxy's header is accepted. Many proxies pass the client's own
    /// header on, so the same names are accepted as in `Host`.
    pub(crate) fn may_be_forwarded(&self, host: &Authority) -> bool {
        self.has(host.host())
    }

    /// Returns true if the server accepts this name. IP addresses are always accepted, because no
    /// DNS is involved.
    fn has(&self, host: &str) -> bool {
        let is_address = host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
        let is_local = |host| is_listed(&["localhost", "*.localhost"], host);
        self.takes_any || is_address || is_local(host) || is_listed(&self.names, host)
    }
}

/// Returns true if the list contains this name, `*`, or a pattern such as `*.example.org` that
/// matches the name.
pub(crate) fn is_listed(names: &[impl AsRef<str>], host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    names.iter().any(|name| match name.as_ref().strip_prefix('*') {
        Some(parent) => host.len() > parent.len() && host.ends_with(parent),
        None => host == name.as_ref(),
    })
}

/// Returns the host that a request names (RFC 9112, section 3.2). HTTP/1.1 requires exactly one.
fn named(request: &Parts) -> Result<Option<Authority>, Failure> {
    let malformed = |message| Err(Error::new(Kind::MalformedRequest, message).into());
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
