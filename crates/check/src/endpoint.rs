//! Where a probe sends its requests: plain or encrypted HTTP, or a Unix socket.

use std::{fmt, path::PathBuf, str::FromStr};

use seaworthy_core::{AddressError, UpstreamAddress};

/// One place that answers HTTP, as the client of a check sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// Plain HTTP.
    Http {
        /// A DNS name, an IPv4 address, or an IPv6 address without brackets.
        host: String,
        /// The port.
        port: u16,
    },
    /// HTTP over TLS.
    Https {
        /// As for plain HTTP; the certificate must be valid for it.
        host: String,
        /// The port.
        port: u16,
    },
    /// Plain HTTP over a Unix socket.
    Unix(PathBuf),
}

impl Endpoint {
    /// The name or address, unless it is a socket.
    pub fn host(&self) -> Option<&str> {
        match self {
            Self::Http { host, .. } | Self::Https { host, .. } => Some(host),
            Self::Unix(_) => None,
        }
    }

    /// The port, unless it is a socket.
    pub fn port(&self) -> Option<u16> {
        match self {
            Self::Http { port, .. } | Self::Https { port, .. } => Some(*port),
            Self::Unix(_) => None,
        }
    }

    /// What a client names in `Host`: without the port when it is the scheme's own (RFC 9110, 7.2).
    pub fn authority(&self) -> String {
        let bracketed = |host: &str| if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        match self {
            Self::Http { host, port: 80 } | Self::Https { host, port: 443 } => bracketed(host),
            Self::Http { host, port } | Self::Https { host, port } => format!("{}:{port}", bracketed(host)),
            Self::Unix(_) => "localhost".into(),
        }
    }

    /// What a browser takes for one site (RFC 6454): scheme, host, and the port when it is not the scheme's own.
    pub fn origin(&self) -> String {
        let scheme = if matches!(self, Self::Https { .. }) { "https" } else { "http" };
        format!("{scheme}://{}", self.authority())
    }
}

impl From<UpstreamAddress> for Endpoint {
    fn from(address: UpstreamAddress) -> Self {
        match address {
            UpstreamAddress::Tcp { host, port } | UpstreamAddress::H2c { host, port } => Self::Http { host, port },
            UpstreamAddress::Unix(path) => Self::Unix(path),
        }
    }
}

impl FromStr for Endpoint {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let Some(rest) = text.strip_prefix("https://") else { return text.parse::<UpstreamAddress>().map(Self::from) };
        // The same rules as for plain HTTP, with another port when none is named; errors show what was written.
        let plain = format!("http://{rest}").parse::<UpstreamAddress>().map_err(|error| match error {
            AddressError::Path(_) => AddressError::Path(text.into()),
            _ => AddressError::Host(text.into()),
        })?;
        match Self::from(plain) {
            Self::Http { host, port } => {
                let named = rest.trim_end_matches('/').ends_with(&format!(":{port}"));
                Ok(Self::Https { host, port: if named { port } else { 443 } })
            }
            _ => Err(AddressError::Host(text.into())),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, host, port) = match self {
            Self::Http { host, port } => ("http", host, port),
            Self::Https { host, port } => ("https", host, port),
            Self::Unix(path) => return write!(f, "unix:{}", path.display()),
        };
        if host.contains(':') { write!(f, "{scheme}://[{host}]:{port}") } else { write!(f, "{scheme}://{host}:{port}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_both_schemes_and_sockets() {
        let shown = |text: &str| text.parse::<Endpoint>().unwrap().to_string();
        assert_eq!(shown("https://example.test"), "https://example.test:443");
        assert_eq!(shown("https://example.test/"), "https://example.test:443");
        assert_eq!(shown("https://example.test:80"), "https://example.test:80");
        assert_eq!(shown("https://[::1]:8443"), "https://[::1]:8443");
        assert_eq!(shown("https://[fe80::80]"), "https://[fe80::80]:443");
        assert_eq!(shown("http://example.test"), "http://example.test:80");
        assert_eq!(shown("unix:/run/app.sock"), "unix:/run/app.sock");
        let path = "https://example.test/app".parse::<Endpoint>().unwrap_err();
        assert!(path.to_string().contains("https://example.test/app"), "{path}");
    }

    #[test]
    fn the_host_header_leaves_out_the_port_of_the_scheme() {
        let authority = |text: &str| text.parse::<Endpoint>().unwrap().authority();
        assert_eq!(authority("https://example.test"), "example.test");
        assert_eq!(authority("https://example.test:80"), "example.test:80");
        assert_eq!(authority("http://[::1]:8000"), "[::1]:8000");
    }
}
