//! Where the app listens.

use std::{fmt, path::PathBuf, str::FromStr};

use thiserror::Error;

/// One place that accepts HTTP/1.1 connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UpstreamAddress {
    /// A host (name or address) and a port.
    Tcp {
        /// A DNS name, an IPv4 address, or an IPv6 address without brackets.
        host: String,
        /// The port.
        port: u16,
    },
    /// A Unix socket.
    Unix(PathBuf),
}

/// An upstream that could not be understood.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum AddressError {
    /// Neither `http://` nor `unix:`.
    #[error("`{0}` is not an upstream; write http://HOST:PORT or unix:/path/to.sock")]
    Scheme(String),
    /// Encrypted upstreams are not supported.
    #[error("`{0}`: upstreams are reached over plain HTTP on the same host or network; write http://HOST:PORT")]
    Encrypted(String),
    /// A path or query after the host.
    #[error("`{0}` has a path; requests keep their own path, so write only http://HOST:PORT")]
    Path(String),
    /// Host or port are missing or wrong.
    #[error("`{0}` has no valid host and port; write for example http://127.0.0.1:8000")]
    Host(String),
}

impl FromStr for UpstreamAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if let Some(path) = text.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return if path.is_empty() { Err(AddressError::Host(text.into())) } else { Ok(Self::Unix(path.into())) };
        }
        if text.starts_with("https://") {
            return Err(AddressError::Encrypted(text.into()));
        }
        let rest = text.strip_prefix("http://").ok_or_else(|| AddressError::Scheme(text.into()))?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains(['/', '?', '#']) {
            return Err(AddressError::Path(text.into()));
        }
        let authority: http::uri::Authority = rest.parse().map_err(|_| AddressError::Host(text.into()))?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        // An authority with a colon but no readable port must not fall back to port 80 in silence.
        let names_port = rest.rsplit(']').next().unwrap_or(rest).contains(':');
        let port_is_wrong = names_port && authority.port_u16().is_none();
        if host.is_empty() || rest.contains('@') || port_is_wrong {
            return Err(AddressError::Host(text.into()));
        }
        Ok(Self::Tcp { host: host.into(), port: authority.port_u16().unwrap_or(80) })
    }
}

impl fmt::Display for UpstreamAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "http://[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "http://{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        let shown = |text: &str| text.parse::<UpstreamAddress>().unwrap().to_string();
        assert_eq!(shown("http://localhost:8000/"), "http://localhost:8000");
        assert_eq!(shown("http://example.test"), "http://example.test:80");
        assert_eq!(shown("http://[::1]:8000"), "http://[::1]:8000");
        assert_eq!(shown("unix:/run/app.sock"), "unix:/run/app.sock");
        assert_eq!(shown("unix:app.sock"), "unix:app.sock");
    }

    #[test]
    fn says_what_is_wrong() {
        let error = |text: &str| text.parse::<UpstreamAddress>().unwrap_err();
        assert!(matches!(error("localhost:8000"), AddressError::Scheme(_)));
        assert!(matches!(error("https://localhost"), AddressError::Encrypted(_)));
        assert!(matches!(error("http://localhost:8000/app"), AddressError::Path(_)));
        assert!(matches!(error("http://"), AddressError::Host(_)));
        assert!(matches!(error("http://a:99999"), AddressError::Host(_)));
        assert!(matches!(error("unix:"), AddressError::Host(_)));
    }
}
