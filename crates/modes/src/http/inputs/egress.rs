//! Limits the servers from which files are fetched if a request gives a URL as an input.
//!
//! By default nothing is fetched. If the settings allow it, files are fetched only from the public
//! Internet and from the networks that the settings name. Through this server, clients must not
//! reach its own ports, other servers in its network, or a cloud's metadata. The IP address of each
//! connection is checked, never only the name. An address is public only if the IANA registries
//! list it as globally reachable; many other addresses are not private but must not be reached
//! either.

use std::net::IpAddr;

use ai_integration_contract::setting::{List, SettingType};
use ai_integration_contract::{Environment, SettingError, settings};
use ipnet::IpNet;
use reqwest::Url;

use crate::http::wire::guard::client::Network;
use crate::http::wire::guard::host::is_listed;

settings! {
    /// The operator's rules for URLs in requests.
    #[expect(clippy::struct_field_names, reason = "these are the names of the variables")]
    pub(crate) struct Settings under "Inputs" {
        /// Hosts from which the server fetches files that a request gives as http or https URLs,
        /// separated by commas; *.example.org for all hosts below example.org, * for every public
        /// host. By default nothing is fetched.
        url_hosts: List<UrlHost> { was: &["AI_INTEGRATION_URL_INPUTS"] },
        /// Networks outside the public Internet, such as 10.1.0.0/16, from which files may be
        /// fetched too, separated by commas.
        url_networks: List<Network>,
        /// Ports of the URLs that may be fetched, separated by commas.
        url_ports: List<Port> = "80,443",
    }
}

/// The IPv4 networks that are not globally reachable by the IANA Special-Purpose Address Registry,
/// multicast, and the address of Azure's host services.
const SPECIAL: &[&str] = &[
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/3",
    "168.63.129.16/32",
];

/// The IPv6 network that is assigned for global unicast (IANA IPv6 Global Unicast Address
/// Assignments).
const GLOBAL: &str = "2000::/3";
/// The parts of [`GLOBAL`] that the Special-Purpose registry excludes: protocols, documentation,
/// 6to4.
const SPECIAL_GLOBAL: &[&str] = &["2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"];

/// The rules on which URLs are fetched.
#[derive(Clone, Debug)]
pub(crate) struct Egress {
    hosts: Vec<String>,
    networks: Vec<IpNet>,
    ports: Vec<u16>,
    special: Vec<IpNet>,
    global: Vec<IpNet>,
}

impl Egress {
    /// Reads the rules from the settings. Returns `None` if nothing may be fetched.
    pub(crate) fn read(environment: &Environment) -> Result<Option<Self>, SettingError> {
        let Settings { url_hosts, url_networks, url_ports } = Settings::read(environment)?;
        let constant = |list: &[&str]| list.iter().filter_map(|net| net.parse().ok()).collect();
        let rules = Egress {
            networks: url_networks,
            ports: url_ports,
            special: constant(&[SPECIAL, SPECIAL_GLOBAL].concat()),
            global: constant(&["0.0.0.0/0", GLOBAL]),
            hosts: url_hosts,
        };
        Ok((!rules.hosts.is_empty()).then_some(rules))
    }

    /// Checks a URL before its host is resolved. The error says why it is not fetched.
    pub(crate) fn check(&self, url: &Url) -> Result<(), &'static str> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err("only http and https URLs are fetched");
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("URLs with a user name or a password are not fetched");
        }
        if !url.port_or_known_default().is_some_and(|port| self.ports.contains(&port)) {
            return Err("URLs with this port are not fetched");
        }
        let Some(host) = url.host_str() else { return Err("the URL names no host") };
        if !is_listed(&self.hosts, host) {
            return Err("URLs with this host are not fetched");
        }
        // A host that is a name is resolved first, and its addresses are checked then.
        match host.trim_matches(['[', ']']).parse() {
            Ok(address) if !self.allows(address) => Err("URLs with this host are not fetched"),
            _ => Ok(()),
        }
    }

    /// Returns true if the server may connect to this address.
    pub(crate) fn allows(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let is_in = |networks: &[IpNet]| networks.iter().any(|net| net.contains(&address));
        is_in(&self.networks) || (is_in(&self.global) && !is_in(&self.special))
    }
}

/// A host of the list, in the normal form that hosts have in URLs.
struct UrlHost;

impl SettingType for UrlHost {
    type Value = String;
    const VALUE_NAME: &'static str = "HOST";

    fn read(item: &str) -> Result<String, String> {
        let item = item.to_ascii_lowercase();
        let (prefix, name) = match item.strip_prefix('*') {
            Some("") => return Ok(item),
            Some(parent) => ("*.", parent.strip_prefix('.').unwrap_or_default()),
            None => ("", item.as_str()),
        };
        let is_v6 = name.starts_with('[') && name.ends_with(']');
        let is_host =
            !name.is_empty() && (is_v6 || !name.contains(['/', ':', '?', '#', '@', '\\']));
        let url = Url::parse(&format!("http://{name}/")).ok().filter(|_| is_host);
        let host = url.as_ref().and_then(Url::host_str);
        host.map(|host| format!("{prefix}{}", host.trim_end_matches('.')))
            .ok_or_else(|| "hosts such as files.example.org, *.example.org or *".to_owned())
    }
}

/// A port of the list.
struct Port;

impl SettingType for Port {
    type Value = u16;
    const VALUE_NAME: &'static str = "PORT";

    fn read(item: &str) -> Result<u16, String> {
        item.parse().map_err(|_| "ports, such as 80,443".to_owned())
    }
}

/// Runs a fuzz target: no URL that is accepted may have a special address as its host.
#[cfg(fuzzing)]
pub(crate) fn fuzz(text: &str) {
    let mut environment = Environment::default();
    environment.set(Settings::url_hosts(), "*");
    let rules = Egress::read(&environment).expect("the settings are right").expect("a host is set");
    let Ok(url) = Url::parse(text) else { return };
    if rules.check(&url).is_ok()
        && let Some(Ok(address)) = url.host_str().map(|host| host.trim_matches(['[', ']']).parse())
    {
        let is_special = match IpAddr::to_canonical(&address) {
            IpAddr::V4(v4) => {
                v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_unspecified()
            }
            IpAddr::V6(v6) => v6.is_loopback() || v6.segments()[0] >> 13 != 1,
        };
        assert!(!is_special, "{text:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn egress(hosts: &str, networks: &str) -> Egress {
        let mut environment = Environment::default();
        environment.set(Settings::url_hosts(), hosts);
        environment.set(Settings::url_networks(), networks);
        Egress::read(&environment).unwrap().unwrap()
    }

    #[test]
    fn every_network_in_the_tables_is_valid() {
        let rules = egress("*", "");
        assert_eq!(rules.special.len(), SPECIAL.len() + SPECIAL_GLOBAL.len());
        assert_eq!(rules.global.len(), 2);
        assert!(Egress::read(&Environment::default()).unwrap().is_none());
    }

    #[test]
    fn only_public_addresses_and_listed_networks_are_allowed() {
        let rules = egress("*", "10.1.0.0/16, ::1");
        for public in ["1.1.1.1", "8.8.8.8", "100.63.255.255", "100.128.0.0", "2606:4700::1111"] {
            assert!(rules.allows(public.parse().unwrap()), "{public}");
        }
        for named in ["10.1.2.3", "::ffff:10.1.2.3", "::1"] {
            assert!(rules.allows(named.parse().unwrap()), "{named}");
        }
        for special in [
            "0.0.0.0",
            "10.2.0.1",
            "100.64.0.1",
            "100.100.100.200",
            "127.0.0.1",
            "127.1.2.3",
            "168.63.129.16",
            "169.254.169.254",
            "172.31.255.255",
            "192.0.0.170",
            "192.168.0.1",
            "198.19.0.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd00::8",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!rules.allows(special.parse().unwrap()), "{special}");
        }
    }

    #[test]
    fn an_invalid_host_is_refused() {
        for nonsense in
            ["https://example.org", "example.org:80", "2606:4700::1", "*example.org", "a/b", "u@h"]
        {
            let mut environment = Environment::default();
            environment.set(Settings::url_hosts(), nonsense);
            assert!(Egress::read(&environment).is_err(), "{nonsense}");
        }
    }

    #[test]
    fn an_address_is_checked_in_every_spelling() {
        let check = |rules: &Egress, text: &str| rules.check(&Url::parse(text).unwrap()).is_ok();
        let any = egress("*", "");
        for fine in ["http://example.org/a", "https://1.1.1.1:443", "https://[2606:4700::1]/"] {
            assert!(check(&any, fine), "{fine}");
        }
        for refused in [
            "http://127.1/",
            "http://0/",
            "http://0x7f.1/",
            "http://2130706433/",
            "http://017700000001",
            "http://[::1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://[::ffff:7f00:1]/",
            "http://[64:ff9b::7f00:1]/",
            "http://\u{2460}\u{2461}7.0.0.1/",
            "http://127。0。0。1/",
            "http://user@example.org/",
            "http://:secret@example.org/",
            "http://example.org:22/",
            "ftp://example.org/",
            "file:///etc/passwd",
            "gopher://example.org:80/",
        ] {
            assert!(!check(&any, refused), "{refused}");
        }
        let some = egress("files.example.org., *.cdn.example, bücher.example, [2606:4700::1]", "");
        for (url, may) in [
            ("https://files.example.org/a", true),
            ("https://FILES.example.org./a", true),
            ("https://a.b.cdn.example/", true),
            ("https://cdn.example/", false),
            ("https://example.org/", false),
            ("https://bücher.example/", true),
            ("http://[2606:4700::1]/", true),
            ("https://files.example.org.evil.test/", false),
            ("https://1.1.1.1/", false),
        ] {
            assert_eq!(check(&some, url), may, "{url}");
        }
    }
}
