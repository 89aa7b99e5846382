//! What holds for every connection, whatever its route; swapped whole on reload.

use std::{net::IpAddr, time::Duration};

use ipnet::IpNet;

use crate::{
    connection::{HeadLimits, MAX_HEADERS},
    settings::{MethodOverride, Settings, Timeouts, TracePolicy},
};

/// The settings of `[edge]` in the form in which connections use them.
#[derive(Debug)]
pub(crate) struct Policy {
    pub head: HeadLimits,
    pub timeouts: Timeouts,
    pub streams: u32,
    pub trace: TracePolicy,
    pub method_override: MethodOverride,
    pub proxy_protocol: bool,
    /// Where plain HTTP redirects to: the port of HTTPS, when it does.
    pub redirect: Option<u16>,
    trusted: Vec<IpNet>,
    hosts: Vec<String>,
}

impl Policy {
    /// `https_port` is where HTTPS is really served.
    pub(crate) fn new(settings: &Settings, https_port: Option<u16>) -> Self {
        let limits = &settings.limits;
        let bytes = |size: u64| usize::try_from(size).unwrap_or(usize::MAX);
        Self {
            head: HeadLimits {
                bytes: bytes(limits.head.0),
                target: bytes(limits.target.0),
                headers: limits.headers.min(MAX_HEADERS),
            },
            timeouts: settings.timeouts,
            streams: limits.streams,
            trace: settings.trace,
            method_override: settings.method_override,
            proxy_protocol: settings.proxy_protocol,
            redirect: https_port.filter(|_| settings.redirect),
            trusted: settings.trusted_networks(),
            hosts: settings.hosts.iter().map(|host| host.to_ascii_lowercase()).collect(),
        }
    }

    /// Whether this address may speak for its clients.
    pub(crate) fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        !self.trusted.is_empty() && self.trusted.iter().any(|network| network.contains(&address))
    }

    /// Whether a connection from there must begin with a PROXY protocol header.
    pub(crate) fn expects_proxy_header(&self, address: IpAddr) -> bool {
        self.proxy_protocol && (self.trusted.is_empty() || self.trusts(address))
    }

    /// Whether the app is served under this name (without port); any is, when none is configured.
    pub(crate) fn serves(&self, host: &str) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host);
        let covers = |known: &String| match known.strip_prefix("*.") {
            Some(parent) => {
                host.split_once('.').is_some_and(|(label, rest)| !label.is_empty() && rest.eq_ignore_ascii_case(parent))
            }
            // An address of IPv6 has several spellings (RFC 5952).
            None if host.contains(':') => host.parse::<IpAddr>().is_ok_and(|host| known.parse() == Ok(host)),
            None => known.eq_ignore_ascii_case(host),
        };
        self.hosts.is_empty() || self.hosts.iter().any(covers)
    }

    /// How often a connection's driver looks whether it still moves.
    pub(crate) fn look_every(&self) -> Duration {
        let shortest = [self.timeouts.request_head, self.timeouts.keep_alive, self.timeouts.response_write];
        let shortest = shortest.iter().map(|timeout| timeout.0).min().unwrap_or_default();
        (shortest / 4).clamp(Duration::from_millis(25), Duration::from_secs(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_served_as_it_is_written_or_under_its_wildcard() {
        let hosts = ["shop.test", "*.shop.test", "2001:db8::1"].map(String::from).to_vec();
        let policy = Policy::new(&Settings { hosts, ..Settings::default() }, None);
        for host in ["shop.test", "SHOP.test", "shop.test.", "a.shop.test", "2001:db8::1", "2001:DB8:0:0::1"] {
            assert!(policy.serves(host), "{host}");
        }
        for host in [
            "",
            ".",
            "evil.test",
            "a.b.shop.test",
            "evilshop.test",
            "shop.test.evil.test",
            ".shop.test",
            "2001:db8::2",
            "::",
        ] {
            assert!(!policy.serves(host), "{host}");
        }
        assert!(Policy::new(&Settings::default(), None).serves("anything"), "no names are configured");
    }
}
