//! The server's listening socket.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use ai_integration_contract::setting::SettingType;
use ai_integration_contract::{Environment, Setting};
use tokio::net::{TcpListener, TcpSocket};

/// The number of connections that may wait to be accepted. The system may allow fewer.
const BACKLOG: u32 = 4096;

/// A TCP port.
#[derive(Debug)]
pub(crate) struct Port;

impl SettingType for Port {
    type Value = u16;
    const VALUE_NAME: &'static str = "PORT";

    fn read(text: &str) -> Result<u16, String> {
        text.parse().map_err(|_| "a port from 0 to 65535".to_owned())
    }
}

/// A port to listen on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ListenPort {
    pub(crate) port: u16,
    /// The setting that chose it.
    pub(crate) setting: &'static Setting,
}

/// Listens on the first of these addresses that is available.
pub(crate) fn listen(addresses: &[IpAddr], port: ListenPort) -> Result<TcpListener, String> {
    let ListenPort { port, setting } = port;
    let mut problem = String::new();
    for host in addresses {
        let address = SocketAddr::new(*host, port);
        match bind(address) {
            Ok(listener) => return Ok(listener),
            Err(error) => {
                problem = format!("cannot listen on {address}: {error}");
                // Without IPv6 the next address may work. A port in use is in use there too.
                if error.kind() == io::ErrorKind::AddrInUse {
                    break;
                }
            }
        }
    }
    let (name, flag) = (setting.name, setting.flag.unwrap_or_default());
    Err(format!("{problem}; choose another address with HOST or {name} (--host, --{flag})"))
}

/// Binds like `TcpListener::bind`, but with room for more clients that connect at the same time.
fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A restarted server gets its port back at once.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Lists the addresses to listen on, in the order of preference. The default is loopback, because
/// nothing else protects the model. In a container, which has a network of its own, the default is
/// every address.
pub(crate) fn addresses(host: Option<IpAddr>, environment: &Environment) -> Vec<IpAddr> {
    match host {
        Some(host) => vec![host],
        None if is_container(environment) => {
            vec![Ipv6Addr::UNSPECIFIED.into(), Ipv4Addr::UNSPECIFIED.into()]
        }
        None => vec![Ipv4Addr::LOCALHOST.into()],
    }
}

/// Returns true if this process runs in a container: as its first process, or with a mark of the usual
/// container engines.
fn is_container(environment: &Environment) -> bool {
    std::process::id() == 1
        || environment.variable("container").is_some()
        || environment.variable("KUBERNETES_SERVICE_HOST").is_some()
        || ["/.dockerenv", "/run/.containerenv"].iter().any(|mark| Path::new(mark).exists())
}

/// Returns an address that a browser on this machine can open: loopback instead of the unspecified
/// address.
pub(crate) fn readable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    address
}

/// Returns the note after the server's URL in the log. If the server listens on every address, the
/// note says so. If it listens on loopback by default, the note says how to listen on every
/// address, because some containers are not recognized.
pub(crate) fn address_note(address: SocketAddr, is_chosen: bool) -> String {
    if address.ip().is_unspecified() {
        format!(" (bound to {address}: every address of this machine)")
    } else if address.ip().is_loopback() && !is_chosen {
        " (only this machine can reach it; for a container or for other machines, set HOST=0.0.0.0)"
            .to_owned()
    } else {
        String::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_names_the_bound_address_and_the_setting_for_others() {
        let said = |address: &str, is_chosen| address_note(address.parse().unwrap(), is_chosen);
        assert!(said("0.0.0.0:5000", true).contains("bound to 0.0.0.0:5000"));
        assert!(said("[::]:5000", false).contains("bound to [::]:5000"));
        assert!(said("127.0.0.1:5000", false).contains("HOST=0.0.0.0"));
        assert_eq!(said("127.0.0.1:5000", true), "");
        assert_eq!(said("192.0.2.1:5000", true), "");
    }
}
