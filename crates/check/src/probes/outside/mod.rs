//! Probes of what the internet sees: names, open ports, caches before the app.

mod cdn;
mod dns;
mod firewall;
mod message;

use std::net::{IpAddr, SocketAddr};

use crate::{http::Client, probe::Probe, redis::is_loopback, subject::Subject};

/// All of them.
pub(super) fn all() -> Vec<Box<dyn Probe>> {
    vec![Box::new(dns::Dns), Box::new(cdn::Cdn), Box::new(firewall::Firewall)]
}

/// What the internet should see of an app.
#[derive(Debug, Clone, Default)]
pub struct Outside {
    /// Its names, those with a wildcard left out.
    pub hosts: Vec<String>,
    /// DNS servers to ask.
    pub resolvers: Vec<SocketAddr>,
    /// Ports that may be reached beside those of HTTP.
    pub open_ports: Vec<u16>,
    /// For known subjects, which are on this machine and stand for one that is not.
    pub(crate) known: Option<Known>,
}

/// A stand-in for another machine.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    /// Where its names lead.
    pub at: IpAddr,
    /// The ports to try on it.
    pub ports: Vec<u16>,
}

/// A name that the internet may know: no address, and nothing of this machine or network alone.
fn is_public(host: &str) -> bool {
    let own = ["localhost", "local", "internal", "lan", "home", "localdomain"];
    let last = host.rsplit('.').next().unwrap_or_default();
    host.contains('.') && host.parse::<IpAddr>().is_err() && !is_loopback(host) && !own.contains(&last)
}

impl Subject {
    /// The public name of the target, when it has one.
    fn public_host(&self) -> Option<&str> {
        self.url.as_ref().and_then(|url| url.host()).filter(|host| is_public(host))
    }

    /// A client that goes the way that the world goes: by the name, and not to the address where this machine knows the app.
    fn public_client(&self) -> Option<Client> {
        self.public_host()?;
        Some(self.client()?.reached_at(self.outside.known.as_ref().map(|known| known.at)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_internet_are_told_apart() {
        assert!(is_public("app.example.com"));
        for host in ["localhost", "127.0.0.1", "::1", "app", "a.localhost", "db.internal", "10.0.0.7"] {
            assert!(!is_public(host), "{host}");
        }
    }
}
