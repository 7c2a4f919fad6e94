//! The socket of the server.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use ai_integration_contract::Environment;
use tokio::net::{TcpListener, TcpSocket};

/// Connections that may wait to be accepted; the system may allow fewer.
const BACKLOG: u32 = 4096;

/// Listens at the first of these addresses that can be had.
pub(crate) fn listen(addresses: &[IpAddr], port: u16) -> Result<TcpListener, String> {
    let mut problem = String::new();
    for host in addresses {
        let address = SocketAddr::new(*host, port);
        match bind(address) {
            Ok(listener) => return Ok(listener),
            Err(error) => {
                problem = format!("cannot listen on {address}: {error}");
                // A machine without IPv6 has the next one; a port in use is in use there too.
                if error.kind() == io::ErrorKind::AddrInUse {
                    break;
                }
            }
        }
    }
    Err(format!("{problem}; choose another address with HOST or PORT (--host, --port)"))
}

/// As `TcpListener::bind`, with room for more clients that come at once.
fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A restarted server gets its port back at once.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Lists the addresses to listen at, the first choice first: on loopback by default, since nothing else protects the
/// model; on every address inside a container, which has walls of its own.
pub(crate) fn addresses(host: Option<IpAddr>, environment: &Environment) -> Vec<IpAddr> {
    match host {
        Some(host) => vec![host],
        None if is_container(environment) => {
            vec![Ipv6Addr::UNSPECIFIED.into(), Ipv4Addr::UNSPECIFIED.into()]
        }
        None => vec![Ipv4Addr::LOCALHOST.into()],
    }
}

/// Tells whether this process runs inside a container: as its first process, or where the usual engines
/// leave a mark.
fn is_container(environment: &Environment) -> bool {
    std::process::id() == 1
        || environment.variable("container").is_some()
        || environment.variable("KUBERNETES_SERVICE_HOST").is_some()
        || ["/.dockerenv", "/run/.containerenv"].iter().any(|mark| Path::new(mark).exists())
}

/// An address that can be opened: the unspecified one is this machine to a browser here.
pub(crate) fn readable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    address
}

/// Returns the words that follow the server's address in the log: the bound address where it is another one,
/// and on an address that nobody chose the way to listen on all, since a container may not look like one.
pub(crate) fn whereabouts(address: SocketAddr, is_chosen: bool) -> String {
    if address.ip().is_unspecified() {
        format!(" (bound to {address}: every address of this machine)")
    } else if address.ip().is_loopback() && !is_chosen {
        " (this machine only; in a container, or to be reached from other machines, set HOST=0.0.0.0)"
            .to_owned()
    } else {
        String::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_tells_the_bound_address_and_the_way_to_others() {
        let said = |address: &str, is_chosen| whereabouts(address.parse().unwrap(), is_chosen);
        assert!(said("0.0.0.0:5000", true).contains("bound to 0.0.0.0:5000"));
        assert!(said("[::]:5000", false).contains("bound to [::]:5000"));
        assert!(said("127.0.0.1:5000", false).contains("HOST=0.0.0.0"));
        assert_eq!(said("127.0.0.1:5000", true), "");
        assert_eq!(said("192.0.2.1:5000", true), "");
    }
}
