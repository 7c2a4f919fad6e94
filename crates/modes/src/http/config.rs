//! The server's settings, and what they make.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, LazyLock};

use ai_integration_contract::setting::{Seconds, SettingType};
use ai_integration_contract::{Environment, Setting, SettingError, settings};
use ai_integration_engine::About;

use crate::http::about;
use crate::http::dialects::DIALECTS;
use crate::http::failure::{self, Wording};
use crate::http::inputs::fetch::Fetcher;
use crate::http::inputs::images;
use crate::http::limits::ClientLimits;
use crate::http::listen::addresses;
use crate::http::trace::otlp::Tracer;
use crate::http::wire::guard::{self, Guard};
use crate::http::wire::tls::Tls;

settings! {
    /// The address of the server, and the time that it has to stop.
    #[derive(Clone, Debug)]
    pub(crate) struct HttpSettings under "Server" {
        /// Address to listen on. By default only this machine reaches the server; inside a container
        /// it is every address (::, 0.0.0.0). Other programs use the name too: a value that is
        /// neither an address nor localhost counts as none, with a warning.
        host: Option<HostAddress> { name: "HOST" },
        /// Port to listen on; 0 takes a free one.
        port: Port = 5000 { name: "PORT" },
        /// Time for accepted requests to end after SIGTERM or SIGINT; then they are answered with an
        /// error.
        stop_timeout: Seconds = 30,
    }
}

impl HttpSettings {
    /// The address that the operator chose.
    pub(crate) fn address(&self) -> Option<IpAddr> {
        self.host.as_ref().and_then(|host| host.as_ref().ok().copied())
    }
}

/// The server's own settings, and those of its dialects.
pub(crate) static SETTINGS: LazyLock<Vec<&'static [&'static Setting]>> = LazyLock::new(|| {
    let own = [
        HttpSettings::SETTINGS,
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

/// An address of this machine, or else the text that is none: compilers, for one, keep the name of
/// their target in a variable `HOST`.
#[derive(Debug)]
pub(crate) struct HostAddress;

impl SettingType for HostAddress {
    type Value = Result<IpAddr, String>;
    const VALUE_NAME: &'static str = "ADDRESS";

    fn read(text: &str) -> Result<Self::Value, String> {
        if text.eq_ignore_ascii_case("localhost") {
            return Ok(Ok(Ipv4Addr::LOCALHOST.into()));
        }
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
        Ok(bare.parse().map_err(|_| text.to_owned()))
    }
}

/// A port of TCP.
#[derive(Debug)]
pub(crate) struct Port;

impl SettingType for Port {
    type Value = u16;
    const VALUE_NAME: &'static str = "PORT";

    fn read(text: &str) -> Result<u16, String> {
        text.parse().map_err(|_| "a port from 0 to 65535".to_owned())
    }
}

/// The parts of the server that its settings make.
pub(crate) struct ServerConfig {
    pub(crate) server: HttpSettings,
    /// Addresses to listen on, the first choice first.
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) about: About,
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
        let addresses = addresses(server.address(), environment);
        let is_local = addresses.iter().all(IpAddr::is_loopback);
        let limits = ClientLimits::read(environment)?;
        Ok(ServerConfig {
            server,
            addresses,
            about: about::read(environment)?,
            fetcher: Fetcher::read(environment, limits.max_body)?,
            limits,
            images: images::ImageRules::read(environment)?,
            wording: failure::Settings::read(environment)?.errors,
            guard: Guard::read(environment, is_local)?,
            tls: Tls::read(environment)?,
            tracer: Tracer::read(environment)?,
        })
    }
}
