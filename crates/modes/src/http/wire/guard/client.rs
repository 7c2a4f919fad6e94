//! The client's address, which trusted proxies tell.

use std::net::IpAddr;

use ai_integration_contract::{Environment, Setting, SettingError};
use axum::http::HeaderMap;
use ipnet::IpNet;

/// Who may speak for others.
pub(crate) static PROXIES: Setting = Setting {
    name: "AI_INTEGRATION_TRUSTED_PROXIES",
    flag: Some("trusted-proxies"),
    value_name: "LIST",
    default: "",
    help: "Addresses or networks (10.0.0.0/8) of proxies, separated by commas, whose \
           X-Forwarded-For tells a client's address.",
};

/// Proxies whose word is taken.
pub(crate) struct Proxies(Vec<IpNet>);

impl Proxies {
    pub(crate) fn read(environment: &Environment) -> Result<Self, SettingError> {
        networks(environment, &PROXIES).map(Proxies)
    }

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

/// The networks and addresses that a setting lists.
pub(crate) fn networks(
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_behind_proxies() {
        let mut environment = Environment::default();
        environment.set(&PROXIES, "10.0.0.0/8, 192.0.2.1");
        let proxies = Proxies::read(&environment).unwrap();
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
