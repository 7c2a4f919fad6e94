//! Finds the client's address, which trusted proxies pass on in `X-Forwarded-For`.

use std::net::{IpAddr, SocketAddr};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use ai_integration_contract::setting::SettingType;
use axum::http::HeaderMap;
use ipnet::IpNet;

/// The minimum time between two warnings about an invalid `X-Forwarded-For`.
const WARNING_PAUSE: Duration = Duration::from_mins(1);
/// The maximum number of characters of the invalid entry in a warning.
const QUOTED: usize = 64;

/// The trusted proxies.
pub(crate) struct Proxies {
    networks: Vec<IpNet>,
    /// The time of the last warning about an invalid `X-Forwarded-For`.
    warned: Mutex<Option<Instant>>,
}

impl Proxies {
    pub(crate) fn new(networks: Vec<IpNet>) -> Self {
        Proxies { networks, warned: Mutex::default() }
    }

    /// Returns the client's address: the last entry of `X-Forwarded-For` that is not a trusted
    /// proxy, or the first entry if all are trusted proxies. Entries before an invalid one are
    /// ignored, because no trusted proxy wrote them.
    pub(crate) fn client(&self, headers: &HeaderMap, peer: IpAddr) -> IpAddr {
        if self.networks.is_empty() {
            return peer;
        }
        let mut client = peer;
        let forwarded = headers.get_all("x-forwarded-for").iter().rev();
        let entries = forwarded.flat_map(|value| value.as_bytes().rsplit(|byte| *byte == b','));
        for entry in entries.map(<[u8]>::trim_ascii).filter(|entry| !entry.is_empty()) {
            if !self.trusts(client) {
                break;
            }
            let Some(address) = address(entry) else {
                self.warn(entry, client);
                break;
            };
            client = address;
        }
        client
    }

    /// Returns true if this is the address of a trusted proxy.
    pub(crate) fn trusts(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(&address.to_canonical()))
    }

    /// Logs a warning about an invalid entry, at most once per [`WARNING_PAUSE`].
    fn warn(&self, entry: &[u8], proxy: IpAddr) {
        let Ok(mut warned) = self.warned.try_lock() else { return };
        if warned.is_some_and(|at| at.elapsed() < WARNING_PAUSE) {
            return;
        }
        *warned = Some(Instant::now());
        let entry: String = String::from_utf8_lossy(entry).chars().take(QUOTED).collect();
        tracing::warn!(
            "X-Forwarded-For from the trusted proxy {proxy} contains {entry:?} instead of a \
             client's address; such clients share the rate limit of {proxy}"
        );
    }
}

/// Reads an entry: an address. Some gateways add the client's port, and brackets around an IPv6
/// address.
fn address(entry: &[u8]) -> Option<IpAddr> {
    let entry = str::from_utf8(entry).ok()?;
    let bare = entry.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(entry);
    let with_port = || entry.parse().ok().map(|address: SocketAddr| address.ip());
    bare.parse().ok().or_else(with_port)
}

/// Returns an IPv4 address as it is, and the /64 network of an IPv6 address, since one client
/// usually has a whole network.
pub(crate) fn grouped(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = u128::from(address) & !u128::from(u64::MAX);
            IpAddr::V6(network.into())
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// A network, or a single address.
pub(crate) struct Network;

impl SettingType for Network {
    type Value = IpNet;
    const VALUE_NAME: &'static str = "NETWORK";

    fn read(item: &str) -> Result<IpNet, String> {
        let network = item.parse().or_else(|_| item.parse::<IpAddr>().map(IpNet::from));
        network.map_err(|_| "addresses or networks, such as 10.0.0.0/8".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_behind_proxies() {
        let proxies =
            Proxies::new(["10.0.0.0/8", "192.0.2.1"].map(|x| Network::read(x).unwrap()).into());
        let client = |peer: &str, forwarded: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("x-forwarded-for", forwarded.parse().unwrap());
            proxies.client(&headers, peer.parse().unwrap()).to_string()
        };
        assert_eq!(client("203.0.113.9", "198.51.100.1"), "203.0.113.9");
        assert_eq!(client("10.1.1.1", "1.1.1.1, 198.51.100.1, 192.0.2.1"), "198.51.100.1");
        assert_eq!(client("10.1.1.1", "1.1.1.1, nonsense"), "10.1.1.1");
        assert_eq!(client("10.1.1.1", "nonsense, 10.1.1.2"), "10.1.1.2");
        assert_eq!(client("10.1.1.1", "1.1.1.1, 198.51.100.1:50123,"), "198.51.100.1");
        assert_eq!(client("10.1.1.1", "[2001:db8::1]:443, 10.0.0.1:80"), "2001:db8::1");
        assert_eq!(client("10.1.1.1", "[2001:db8::1]"), "2001:db8::1");
        assert_eq!(client("10.1.1.1", "2001:db8::1"), "2001:db8::1");
        assert_eq!(client("::ffff:10.1.1.1", "::ffff:198.51.100.1"), "::ffff:198.51.100.1");
        for nonsense in ["198.51.100.1:x", "198.51.100.1:99999", "[198.51.100.1", "é", "[]", ":80"]
        {
            assert_eq!(client("10.1.1.1", nonsense), "10.1.1.1", "{nonsense}");
        }
    }
}
