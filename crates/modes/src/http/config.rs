//! The server's settings, and the parts of the server that are made from them.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, LazyLock};

use ai_integration_contract::setting::{Seconds, SettingType};
use ai_integration_contract::{Environment, Setting, SettingError, settings};

use crate::http::about::{self, Operator};
use crate::http::dialect::Dialect;
use crate::http::dialects::{self, DIALECTS};
use crate::http::failure::{self, Wording};
use crate::http::inputs::fetch::Fetcher;
use crate::http::inputs::images;
use crate::http::limits::ClientLimits;
use crate::http::listen::{ListenPort, Port, addresses};
use crate::http::probes::Probes;
use crate::http::trace::otlp::Tracer;
use crate::http::wire::guard::{self, Guard};
use crate::http::wire::tls::Tls;
use crate::platforms;

settings! {
    /// The address of the server, and the time that it has to stop.
    #[derive(Clone, Debug)]
    pub(crate) struct HttpSettings under "Server" {
        /// Address to listen on. By default 127.0.0.1, which only this machine can reach; inside a
        /// container every address (::, 0.0.0.0). A port after the address is ignored. Other programs
        /// use this variable too, so a value in it that is neither an address nor localhost is ignored
        /// with a warning.
        host: Option<HostAddress> { name: "HOST" },
        /// Port to listen on; 0 chooses a free port.
        port: Port = 5000 { name: "PORT" },
        /// Further port, for platforms that ask for the health at a port of its own. The server answers
        /// the same requests there.
        health_port: Option<Port>,
        /// Time that accepted requests have to finish after SIGTERM or SIGINT. Requests that take
        /// longer are answered with an error.
        stop_timeout: Seconds = 30,
    }
}

impl HttpSettings {
    /// Returns the address that the operator chose.
    pub(crate) fn address(&self) -> Option<IpAddr> {
        self.host.as_ref().and_then(|host| host.as_ref().ok()).map(|host| host.ip)
    }

    /// Returns a warning if something in `HOST` is ignored.
    pub(crate) fn warning(&self) -> Option<String> {
        match self.host.as_ref()? {
            Ok(Host { port: Some(port), .. }) if *port != self.port.to_string() => Some(format!(
                "HOST names the port {port:?}, which is ignored: the port is PORT={} (--port)",
                self.port
            )),
            Ok(_) => None,
            Err(text) => {
                let text: String = text.chars().take(60).collect();
                Some(format!(
                    "HOST={text:?} is neither an address nor localhost, and is ignored; \
                     set HOST=0.0.0.0 (--host) to listen on every address"
                ))
            }
        }
    }

    /// Refuses a value of the flag `--host` that is neither an address nor localhost. Such a value
    /// in the variable `HOST` is ignored, because it may be meant for another program.
    fn check(&self, environment: &Environment) -> Result<(), SettingError> {
        match &self.host {
            Some(Err(text)) if environment.is_set_by_flag(Self::host()) => {
                Err(Self::host().invalid(text, "expected an IP address, or localhost"))
            }
            _ => Ok(()),
        }
    }
}

/// The server's own settings, and those of its dialects.
pub(crate) static SETTINGS: LazyLock<Vec<&'static [&'static Setting]>> = LazyLock::new(|| {
    let own = [
        HttpSettings::SETTINGS,
        dialects::Settings::SETTINGS,
        about::Settings::SETTINGS,
        guard::Settings::SETTINGS,
        ClientLimits::SETTINGS,
        images::Settings::SETTINGS,
        #[cfg(feature = "url-inputs")]
        crate::http::inputs::egress::Settings::SETTINGS,
        #[cfg(feature = "url-inputs")]
        crate::http::inputs::fetch::remote::Settings::SETTINGS,
        #[cfg(feature = "tls")]
        crate::http::wire::tls::Settings::SETTINGS,
        failure::Settings::SETTINGS,
        #[cfg(feature = "otel")]
        crate::http::trace::otlp::Settings::SETTINGS,
    ];
    own.into_iter().chain(DIALECTS.iter().map(|dialect| dialect.settings())).collect()
});

/// An address to listen on, or the text that is not an address. Compilers, for example, keep the name
/// of their target in a variable `HOST`.
#[derive(Debug)]
pub(crate) struct HostAddress;

/// An address as the operator wrote it, perhaps with a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Host {
    ip: IpAddr,
    port: Option<String>,
}

impl SettingType for HostAddress {
    type Value = Result<Host, String>;
    const VALUE_NAME: &'static str = "ADDRESS";

    fn read(text: &str) -> Result<Self::Value, String> {
        Ok(host(text).ok_or_else(|| text.to_owned()))
    }
}

/// Reads an address in the spellings that people and other programs use. A spelling of loopback must
/// never be ignored: without an address, the server in a container listens on every address.
fn host(text: &str) -> Option<Host> {
    let text = text.split_once("://").map_or(text, |(_, rest)| rest).trim_end_matches('/');
    if let Some(ip) = address(text) {
        return Some(Host { ip, port: None });
    }
    let (name, port) = text.rsplit_once(':')?;
    Some(Host { ip: address(name)?, port: Some(port.to_owned()) })
}

fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    if let Ok(ip) = bare.parse() {
        return Some(ip);
    }
    let name = bare.strip_suffix('.').unwrap_or(bare).to_ascii_lowercase();
    if name == "localhost" || name == "localhost.localdomain" || name.ends_with(".localhost") {
        return Some(Ipv4Addr::LOCALHOST.into());
    }
    loopback(&name).map(IpAddr::from)
}

/// Reads a loopback address in the short form of old programs, in which the last number fills the
/// rest: `127.1` is 127.0.0.1.
fn loopback(text: &str) -> Option<Ipv4Addr> {
    let rest = text.strip_prefix("127.")?;
    let mut numbers = rest.split('.').map(|number| number.parse::<u32>().ok());
    let last = numbers.next_back()??;
    let mut bits = 127;
    let mut free = 24;
    for number in numbers {
        free -= 8;
        bits = (bits << 8) | number.filter(|number| *number < 256 && free > 0)?;
    }
    (last < 1 << free).then(|| Ipv4Addr::from_bits((bits << free) | last))
}

/// The parts of the server that are made from the settings.
pub(crate) struct ServerConfig {
    pub(crate) server: HttpSettings,
    /// The addresses to listen on, in the order of preference.
    pub(crate) addresses: Vec<IpAddr>,
    /// The dialects that are served, in the order of the table.
    pub(crate) dialects: Vec<&'static dyn Dialect>,
    /// The ports to listen on: the server's own, and those of dialects.
    pub(crate) ports: Vec<ListenPort>,
    /// The addresses at which the platform asks for the health of the model, and their statuses.
    pub(crate) probed: Probes,
    pub(crate) operator: Operator,
    pub(crate) limits: ClientLimits,
    pub(crate) images: images::ImageRules,
    pub(crate) fetcher: Fetcher,
    pub(crate) wording: Wording,
    pub(crate) guard: Guard,
    pub(crate) tls: Option<Arc<Tls>>,
    pub(crate) tracer: Option<Tracer>,
}

impl ServerConfig {
    pub(crate) fn read(environment: &Environment) -> Result<Self, SettingError> {
        let server = HttpSettings::read(environment)?;
        server.check(environment)?;
        let addresses = addresses(server.address(), environment);
        let is_local = addresses.iter().all(IpAddr::is_loopback);
        let limits = ClientLimits::read(environment)?;
        let own = ListenPort { port: server.port, setting: HttpSettings::port() };
        let mut ports = vec![own];
        if let Some(port) = server.health_port.filter(|port| *port != server.port) {
            ports.push(ListenPort { port, setting: HttpSettings::health_port() });
        }
        let platform = platforms::chosen(environment);
        let name = platform.map(|platform| platform.name);
        let dialects = dialects::Settings::read(environment)?.served(name);
        for dialect in &dialects {
            ports.extend(dialect.port(environment)?);
        }
        let probed = Probes::read(platform, environment)?;
        Ok(ServerConfig {
            server,
            addresses,
            dialects,
            ports,
            operator: Operator::read(environment)?,
            fetcher: Fetcher::read(environment, limits.max_body)?,
            limits,
            images: images::ImageRules::read(environment)?,
            wording: failure::Settings::read(environment)?.errors,
            guard: Guard::read(environment, is_local)?.with_open(probed.addresses()),
            probed,
            tls: Tls::read(environment)?,
            tracer: Tracer::read(environment)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_in_every_spelling() {
        for (text, ip, port) in [
            ("127.0.0.1", "127.0.0.1", None),
            ("::1", "::1", None),
            ("[::]", "::", None),
            ("127.1", "127.0.0.1", None),
            ("127.0.1", "127.0.0.1", None),
            ("127.1.2:80", "127.1.0.2", Some("80")),
            ("127.0.0.1.", "127.0.0.1", None),
            ("Localhost", "127.0.0.1", None),
            ("localhost.", "127.0.0.1", None),
            ("app.localhost:5917", "127.0.0.1", Some("5917")),
            ("http://localhost:5917/", "127.0.0.1", Some("5917")),
            ("0.0.0.0:5000", "0.0.0.0", Some("5000")),
            ("localhost:x", "127.0.0.1", Some("x")),
            ("[::1]:5000", "::1", Some("5000")),
        ] {
            let port = port.map(str::to_owned);
            assert_eq!(host(text), Some(Host { ip: ip.parse().unwrap(), port }), "{text}");
        }
        for text in ["x86_64-conda-linux-gnu", "0.0.0", "127.", "127.256.1", "127.0.0.0.1", "a:1"] {
            assert_eq!(host(text), None, "{text}");
        }
    }
}
