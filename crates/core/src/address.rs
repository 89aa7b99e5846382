//! Where the app listens.

use std::{fmt, path::PathBuf, str::FromStr};

use thiserror::Error;

/// One place that accepts HTTP connections.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum UpstreamAddress {
    /// A host (name or address) and a port that speak HTTP/1.1.
    Tcp {
        /// A DNS name, an IPv4 address, or an IPv6 address without brackets.
        host: String,
        /// The port.
        port: u16,
    },
    /// A host and a port that speak HTTP/2 without TLS, from the first byte on (RFC 9113, 3.3).
    H2c {
        /// A DNS name, an IPv4 address, or an IPv6 address without brackets.
        host: String,
        /// The port.
        port: u16,
    },
    /// A Unix socket, HTTP/1.1.
    Unix(PathBuf),
}

/// An upstream that could not be understood.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum AddressError {
    /// None of `http://`, `h2c://`, `unix:`.
    #[error("`{0}` is not an upstream; write http://HOST:PORT, h2c://HOST:PORT or unix:/path/to.sock")]
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
        Self::read(text).map_err(AddressError::without_password)
    }
}

impl AddressError {
    /// An error is read by more people than a password.
    fn without_password(self) -> Self {
        let masked = |text: String| match (text.find("//"), text.rfind('@')) {
            (Some(start), Some(end)) if start < end => format!("{}//…{}", &text[..start], &text[end..]),
            _ => text,
        };
        match self {
            Self::Scheme(text) => Self::Scheme(masked(text)),
            Self::Encrypted(text) => Self::Encrypted(masked(text)),
            Self::Path(text) => Self::Path(masked(text)),
            Self::Host(text) => Self::Host(masked(text)),
        }
    }
}

impl UpstreamAddress {
    fn read(text: &str) -> Result<Self, AddressError> {
        if let Some(path) = text.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return if path.is_empty() { Err(AddressError::Host(text.into())) } else { Ok(Self::Unix(path.into())) };
        }
        if text.starts_with("https://") {
            return Err(AddressError::Encrypted(text.into()));
        }
        let http2 = text.starts_with("h2c://");
        let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("h2c://"));
        let rest = rest.ok_or_else(|| AddressError::Scheme(text.into()))?;
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
        let (host, port) = (host.to_owned(), authority.port_u16().unwrap_or(80));
        Ok(if http2 { Self::H2c { host, port } } else { Self::Tcp { host, port } })
    }
}

impl UpstreamAddress {
    /// True when requests go there in HTTP/2.
    pub fn is_http2(&self) -> bool {
        matches!(self, Self::H2c { .. })
    }

    /// Host and port as a `Host` header has them; `localhost` for a Unix socket.
    pub fn authority(&self) -> String {
        match self {
            Self::Tcp { host, port } | Self::H2c { host, port } if host.contains(':') => format!("[{host}]:{port}"),
            Self::Tcp { host, port } | Self::H2c { host, port } => format!("{host}:{port}"),
            Self::Unix(_) => "localhost".into(),
        }
    }
}

impl fmt::Display for UpstreamAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { .. } => write!(f, "http://{}", self.authority()),
            Self::H2c { .. } => write!(f, "h2c://{}", self.authority()),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_in_an_address_is_not_shown() {
        for text in
            ["http://ann:hunter2@host:80", "ftp://ann:hunter2@host", "https://ann:hunter2@host", "http://a:hunter2@h/p"]
        {
            let error = text.parse::<UpstreamAddress>().unwrap_err().to_string();
            assert!(!error.contains("hunter2") && error.contains("…@h"), "{error}");
        }
    }

    #[test]
    fn reads_what_people_write() {
        let shown = |text: &str| text.parse::<UpstreamAddress>().unwrap().to_string();
        assert_eq!(shown("http://localhost:8000/"), "http://localhost:8000");
        assert_eq!(shown("http://example.test"), "http://example.test:80");
        assert_eq!(shown("http://[::1]:8000"), "http://[::1]:8000");
        assert_eq!(shown("unix:/run/app.sock"), "unix:/run/app.sock");
        assert_eq!(shown("unix:app.sock"), "unix:app.sock");
        assert_eq!(shown("h2c://localhost:50051/"), "h2c://localhost:50051");
        assert_eq!(shown("h2c://[::1]:8000"), "h2c://[::1]:8000");
    }

    #[test]
    fn knows_its_protocol_and_its_name() {
        let read = |text: &str| text.parse::<UpstreamAddress>().unwrap();
        assert!(read("h2c://a:1").is_http2() && !read("http://a:1").is_http2() && !read("unix:/a").is_http2());
        assert_ne!(read("h2c://a:1"), read("http://a:1"));
        assert_eq!(read("h2c://[::1]:1").authority(), "[::1]:1");
        assert_eq!(read("unix:/a").authority(), "localhost");
    }

    #[test]
    fn says_what_is_wrong() {
        let error = |text: &str| text.parse::<UpstreamAddress>().unwrap_err();
        assert!(matches!(error("localhost:8000"), AddressError::Scheme(_)));
        assert!(matches!(error("https://localhost"), AddressError::Encrypted(_)));
        assert!(matches!(error("http://localhost:8000/app"), AddressError::Path(_)));
        assert!(matches!(error("h2c://localhost:8000/app"), AddressError::Path(_)));
        assert!(matches!(error("http://"), AddressError::Host(_)));
        assert!(matches!(error("http://a:99999"), AddressError::Host(_)));
        assert!(matches!(error("unix:"), AddressError::Host(_)));
    }
}
