//! Where the store is: `redis://user:password@host:port/database`, `rediss://` over TLS.

use std::{path::Path, sync::Arc};

use fred::types::config::{Config, TlsConnector};
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs::default_provider};
use rustls_pki_types::{CertificateDer, pem::PemObject};

use crate::StoreError;

/// Whether a text begins as an address does.
pub(crate) fn is_address(text: &str) -> bool {
    let schemes = ["redis", "rediss", "valkey", "valkeys"];
    text.split_once("://").is_some_and(|(scheme, _)| schemes.contains(&scheme))
}

/// How to reach it. `trust`: a file with certificates of authorities, besides the system's.
pub(crate) fn config(address: &str, trust: Option<&Path>) -> Result<Config, StoreError> {
    let (scheme, rest) = address.trim().split_once("://").ok_or(StoreError::Address)?;
    // The library would choose the provider of TLS by what is compiled in, and stop where that is more than one.
    let plain = scheme.replacen("rediss", "redis", 1).replacen("valkeys", "valkey", 1);
    // Its error could hold the address, and that a password.
    if !plain.starts_with("redis") && !plain.starts_with("valkey") {
        return Err(StoreError::Address);
    }
    let mut config = Config::from_url(&format!("{plain}://{rest}")).map_err(|_| StoreError::Address)?;
    if plain != scheme {
        config.tls = Some(TlsConnector::from(tls(trust)?).into());
    }
    Ok(config)
}

/// TLS 1.2 and 1.3; the certificate must be of the host in the address.
fn tls(trust: Option<&Path>) -> Result<ClientConfig, StoreError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = trust {
        let unusable = |reason: String| StoreError::Trust { path: path.display().to_string(), reason };
        let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let certificates = read.map_err(|error| unusable(error.to_string()))?;
        let (added, refused) = roots.add_parsable_certificates(certificates);
        if added == 0 || refused > 0 {
            return Err(unusable(format!("{added} usable certificates, {refused} others")));
        }
    }
    if roots.is_empty() {
        return Err(StoreError::NoAuthorities);
    }
    let builder =
        ClientConfig::builder_with_provider(Arc::new(default_provider())).with_safe_default_protocol_versions();
    let builder = builder.map_err(|_| StoreError::NoAuthorities)?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_every_kind_are_read() {
        let read = config("redis://ann:p%40ss@[::1]:7000/3", None).unwrap();
        assert_eq!(
            (read.username.as_deref(), read.password.as_deref(), read.database),
            (Some("ann"), Some("p@ss"), Some(3))
        );
        assert!(read.tls.is_none());
        let read = config("valkeys://:pass@cache.example", None).unwrap();
        assert_eq!((read.username, read.password.as_deref(), read.tls.is_some()), (None, Some("pass"), true));
        for wrong in ["redis", "http://a", "redis://", "redis://a/x", "redis://a/300", "unix:///a"] {
            let error = config(wrong, None).expect_err(wrong);
            assert!(matches!(error, StoreError::Address), "{wrong}: {error}");
        }
        let error = config("rediss://a", Some(Path::new("/nowhere.pem"))).unwrap_err();
        assert!(error.to_string().contains("/nowhere.pem"), "{error}");
    }
}
