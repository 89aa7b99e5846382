//! Where a store of Redis' kind is: `redis://user:password@host:port/0`, `rediss://` over TLS, `unix:///path`.

use std::{fmt, path::PathBuf};

use percent_encoding::percent_decode_str;
use seaworthy_core::Secret;

/// Schemes of plain connections, and of those over TLS.
const PLAIN: [&str; 2] = ["redis", "valkey"];
const ENCRYPTED: [&str; 2] = ["rediss", "valkeys"];
const PORT: u16 = 6379;

/// An address. Shown, it holds no password.
#[derive(Debug, Clone)]
pub(crate) struct Address {
    pub place: Place,
    /// User and password.
    pub login: Option<(Option<String>, Secret)>,
}

/// Where it listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// A host and a port, with or without TLS.
    Tcp { host: String, port: u16, encrypted: bool },
    /// A socket of this machine.
    Unix(PathBuf),
}

/// Whether a text is such an address.
pub(crate) fn is_address(text: &str) -> bool {
    text.split_once("://").is_some_and(|(scheme, _)| PLAIN.contains(&scheme) || ENCRYPTED.contains(&scheme))
}

impl Address {
    /// Reads an address; nothing for what is none.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let (scheme, rest) = text.trim().split_once("://")?;
        if scheme == "unix" {
            let path = rest.split('?').next().filter(|path| path.starts_with('/'))?;
            return Some(Self { place: Place::Unix(path.into()), login: None });
        }
        let encrypted = ENCRYPTED.contains(&scheme);
        if !encrypted && !PLAIN.contains(&scheme) {
            return None;
        }
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let (login, server) = match authority.rsplit_once('@') {
            Some((login, server)) => (Some(login), server),
            None => (None, authority),
        };
        let (host, port) = match server.rsplit_once(':') {
            // The last colon of an IPv6 address in brackets may be one of its own.
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
            _ => (server, PORT),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let login = login.and_then(|login| {
            let (user, password) = login.split_once(':').unwrap_or((login, ""));
            let user = Some(percent_decode_str(user).decode_utf8_lossy().into_owned()).filter(|user| !user.is_empty());
            (!password.is_empty())
                .then(|| (user, Secret::new(percent_decode_str(password).decode_utf8_lossy().into_owned())))
        });
        let host = if host.is_empty() { "localhost" } else { host }.to_owned();
        Some(Self { place: Place::Tcp { host, port, encrypted }, login })
    }

    /// The same login at another port of a host.
    pub(crate) fn at(&self, host: &str, port: u16) -> Self {
        let encrypted = matches!(self.place, Place::Tcp { encrypted: true, .. });
        Self { place: Place::Tcp { host: host.to_owned(), port, encrypted }, login: self.login.clone() }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Tcp { host, port, .. } => write!(f, "{host}:{port}"),
            Place::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_shown_without_their_password() {
        let tcp = |host: &str, port, encrypted| Place::Tcp { host: host.into(), port, encrypted };
        for (text, place, login) in [
            ("redis://cache", tcp("cache", 6379, false), None),
            ("rediss://u%40a:p%2Fw@h.test:6380/1?x=y", tcp("h.test", 6380, true), Some((Some("u@a"), "p/w"))),
            ("valkey://:secret@[::1]:7000", tcp("::1", 7000, false), Some((None, "secret"))),
            ("redis://[::1]/0", tcp("::1", 6379, false), None),
            ("unix:///run/redis.sock?db=1", Place::Unix("/run/redis.sock".into()), None),
        ] {
            let address = Address::read(text).unwrap();
            assert_eq!(address.place, place, "{text}");
            let seen = address.login.as_ref().map(|(user, password)| (user.as_deref(), password.expose()));
            assert_eq!(seen, login, "{text}");
            assert!(!format!("{address} {address:?}").contains("secret\""), "{address:?}");
        }
        for text in ["postgres://h", "redis", "redis://h:port", "unix://x", ""] {
            assert!(Address::read(text).is_none(), "{text}");
        }
        assert!(is_address("rediss://h") && !is_address("http://h"));
    }
}
