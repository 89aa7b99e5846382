//! Where the edge listens: plain HTTP, and HTTPS when the config has it.

use std::net::SocketAddr;

use seaworthy_edge::{Doors, Listeners, tls::Tls};

use crate::{config::Config, failure::Failure};

/// Where the edge really listens.
#[derive(Debug, Clone)]
pub struct EdgeAddresses {
    /// Plain HTTP.
    pub plain: SocketAddr,
    /// HTTPS.
    pub https: Option<SocketAddr>,
    /// Whether plain HTTP only leads to HTTPS.
    pub redirects: bool,
    /// The first name that the app is served under.
    host: Option<String>,
}

impl EdgeAddresses {
    /// Where people should go.
    pub fn url(&self) -> String {
        let (scheme, address, usual) = match self.https {
            Some(address) => ("https", address, 443),
            None => ("http", self.plain, 80),
        };
        let host = match &self.host {
            Some(host) => host.clone(),
            None if address.ip().is_unspecified() => "localhost".into(),
            None if address.is_ipv6() => format!("[{}]", address.ip()),
            None => address.ip().to_string(),
        };
        if address.port() == usual {
            format!("{scheme}://{host}")
        } else {
            format!("{scheme}://{host}:{}", address.port())
        }
    }
}

/// Binds what the config names.
pub fn open(config: &Config) -> Result<(Doors, EdgeAddresses), Failure> {
    let cores = match config.edge.workers {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        count => count,
    };
    let listen = |address: &str| {
        // Validation has seen that it parses.
        let address = address.parse().map_err(|error| Failure::new("SEA_RUN_LISTEN", &error))?;
        Listeners::bind(address, cores).map_err(|error| Failure::new("SEA_RUN_LISTEN", &error))
    };
    let plain = listen(config.edge.plain_address())?;
    let tls = match config.edge.https_address() {
        Some(address) => Some((listen(address)?, certificates(config)?)),
        None => None,
    };
    let https = tls.as_ref().map(|(listeners, _)| listeners.address());
    let host = config.edge.hosts.iter().find(|host| !host.contains('*')).cloned();
    let addresses = EdgeAddresses { plain: plain.address(), https, redirects: config.edge.redirect, host };
    Ok((Doors { plain, tls }, addresses))
}

/// The certificates of a config, read and checked; nothing is ordered yet. What is wrong with them is wrong with the config.
pub fn certificates(config: &Config) -> Result<Tls, Failure> {
    let (edge, acme) = (&config.edge, config.edge.acme());
    let tls = Tls::build(&edge.hosts, &edge.tls, acme.as_ref(), config.profile.is_production());
    tls.map_err(|error| Failure::text(error.code(), error.to_string()).with_status(2))
}
