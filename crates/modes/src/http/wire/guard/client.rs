//! The client's address, which trusted proxies tell.

use std::net::{IpAddr, SocketAddr};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use ai_integration_contract::setting::SettingType;
use axum::http::HeaderMap;
use ipnet::IpNet;

/// How often the log says that a proxy's word cannot be understood.
const REMINDER: Duration = Duration::from_mins(1);
/// The most characters of such a word that the log has.
const QUOTED: usize = 64;

/// Proxies whose word is taken.
pub(crate) struct Proxies {
    networks: Vec<IpNet>,
    /// When the log last said that a proxy's word is not understood.
    reminded: Mutex<Option<Instant>>,
}

impl Proxies {
    pub(crate) fn new(networks: Vec<IpNet>) -> Self {
        Proxies { networks, reminded: Mutex::default() }
    }

    /// The client's address: the last one in `X-Forwarded-For` that is no trusted proxy's, or else
    /// the one that is farthest from here. What stands before an entry that is no address is not
    /// looked at: nobody trusted vouches for it.
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
                self.remind(entry, client);
                break;
            };
            client = address;
        }
        client
    }

    /// Tells whether the address is a trusted proxy's.
    pub(crate) fn trusts(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(&address.to_canonical()))
    }

    /// Leaves in the log, now and then, that the clients behind a proxy cannot be told apart.
    fn remind(&self, entry: &[u8], proxy: IpAddr) {
        let Ok(mut reminded) = self.reminded.try_lock() else { return };
        if reminded.is_some_and(|at| at.elapsed() < REMINDER) {
            return;
        }
        *reminded = Some(Instant::now());
        let entry: String = String::from_utf8_lossy(entry).chars().take(QUOTED).collect();
        tracing::warn!(
            "X-Forwarded-For of the trusted proxy {proxy} has {entry:?} where a client's address \
             was expected: such clients share one rate, that of {proxy}"
        );
    }
}

/// Reads an entry: an address, which some gateways write with the client's port, and with brackets
/// where it is of IPv6.
fn address(entry: &[u8]) -> Option<IpAddr> {
    let entry = str::from_utf8(entry).ok()?;
    let bare = entry.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(entry);
    let with_port = || entry.parse().ok().map(|address: SocketAddr| address.ip());
    bare.parse().ok().or_else(with_port)
}

/// Clients of IPv6 have a whole network each.
pub(crate) fn grouped(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = u128::from(address) & !u128::from(u64::MAX);
            IpAddr::V6(network.into())
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// A network, or an address alone.
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
