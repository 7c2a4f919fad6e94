//! The client's address, which trusted proxies tell.

use std::net::IpAddr;

use ai_integration_contract::setting::SettingType;
use axum::http::HeaderMap;
use ipnet::IpNet;

/// Proxies whose word is taken.
pub(crate) struct Proxies(pub(crate) Vec<IpNet>);

impl Proxies {
    /// The client's address: the last one in `X-Forwarded-For` that is no trusted proxy's.
    pub(crate) fn client(&self, headers: &HeaderMap, peer: IpAddr) -> IpAddr {
        let is_trusted = |address: &IpAddr| {
            self.0.iter().any(|network| network.contains(&address.to_canonical()))
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
            Proxies(["10.0.0.0/8", "192.0.2.1"].map(|x| Network::read(x).unwrap()).into());
        let client = |peer: &str, forwarded: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("x-forwarded-for", forwarded.parse().unwrap());
            proxies.client(&headers, peer.parse().unwrap()).to_string()
        };
        assert_eq!(client("203.0.113.9", "198.51.100.1"), "203.0.113.9");
        assert_eq!(client("10.1.1.1", "1.1.1.1, 198.51.100.1, 192.0.2.1"), "198.51.100.1");
        assert_eq!(client("10.1.1.1", "1.1.1.1, nonsense"), "10.1.1.1");
    }
}
