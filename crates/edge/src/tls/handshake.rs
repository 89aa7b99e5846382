//! What is agreed in a handshake: versions, cipher suites, groups, protocols, resumption.

use std::sync::Arc;

use rustls::{
    ServerConfig, SupportedProtocolVersion,
    crypto::{
        CryptoProvider,
        aws_lc_rs::{cipher_suite, default_provider, kx_group},
    },
    server::{ProducesTickets, ResolvesServerCert},
    version,
};

use super::{
    error::TlsError,
    settings::{TlsSettings, TlsVersion},
};

/// The protocol of TLS-ALPN-01 (RFC 8737, 3). A connection that agreed on it carries nothing: close it.
pub const ACME_TLS_ALPN: &[u8] = b"acme-tls/1";

/// Mozilla's intermediate profile: TLS 1.3, and TLS 1.2 with forward secrecy and AEAD; the client's order counts.
pub(super) fn provider() -> CryptoProvider {
    CryptoProvider {
        cipher_suites: vec![
            cipher_suite::TLS13_AES_128_GCM_SHA256,
            cipher_suite::TLS13_AES_256_GCM_SHA384,
            cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
            cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
            cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
            cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
            cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
            cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
            cipher_suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        ],
        kx_groups: vec![kx_group::X25519MLKEM768, kx_group::X25519, kx_group::SECP256R1, kx_group::SECP384R1],
        ..default_provider()
    }
}

/// Keys for session tickets, changed every six hours; made once, so that tickets outlive a reload.
pub(super) fn ticketer() -> Result<Arc<dyn ProducesTickets>, TlsError> {
    rustls::crypto::aws_lc_rs::Ticketer::new().map_err(|error| TlsError::Refused(error.to_string()))
}

/// HTTP/2, HTTP/1.1, and the challenge's protocol when `challenges` are answered.
pub(super) fn server_config(
    settings: &TlsSettings,
    resolver: Arc<dyn ResolvesServerCert>,
    ticketer: Arc<dyn ProducesTickets>,
    challenges: bool,
) -> Result<ServerConfig, TlsError> {
    let versions: &[&SupportedProtocolVersion] = match settings.min_version {
        TlsVersion::Tls12 => &[&version::TLS13, &version::TLS12],
        TlsVersion::Tls13 => &[&version::TLS13],
    };
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider()))
        .with_protocol_versions(versions)
        .map_err(|error| TlsError::Refused(error.to_string()))?
        .with_no_client_auth()
        .with_cert_resolver(resolver);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    if challenges {
        config.alpn_protocols.push(ACME_TLS_ALPN.to_vec());
    }
    config.ticketer = ticketer;
    // Every suite that we speak is a good one, so whose order counts matters little; scanners want to see that it is ours.
    config.ignore_client_order = true;
    Ok(config)
}
