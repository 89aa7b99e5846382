//! The seam between the HTTP side and whoever holds the certificates.

use std::sync::Arc;

/// Certificates for TLS, and answers to those who issue them.
pub trait Certificates: Send + Sync + 'static {
    /// What a new connection uses; another one after certificates have changed.
    fn server_config(&self) -> Arc<rustls::ServerConfig>;

    /// The answer to an HTTP-01 challenge (RFC 8555, 8.3), when the token is one of ours.
    fn challenge(&self, token: &str) -> Option<String>;
}
