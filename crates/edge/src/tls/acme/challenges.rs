//! Answers to open challenges, on any node that shares the store.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use rcgen::{CertificateParams, CustomExtension, KeyPair};
use rustls::sign::CertifiedKey;
use rustls_pki_types::{PrivateKeyDer, pem::PemObject};
use sha2::{Digest, Sha256};

use super::store::Store;
use crate::tls::{handshake::provider, settings::ChallengeKind};

/// Reads the store when asked: a challenge may have been written by another node a moment ago.
#[derive(Debug)]
pub(in crate::tls) struct Challenges {
    store: Store,
    hosts: Vec<String>,
    /// Certificates made for a key authorization, by host: the authority looks from several places.
    made: Mutex<HashMap<String, (String, Arc<CertifiedKey>)>>,
}

impl Challenges {
    pub(super) fn new(store: Store, hosts: Vec<String>) -> Self {
        Self { store, hosts, made: Mutex::default() }
    }

    /// HTTP-01: what to answer for this token.
    pub fn key_authorization(&self, token: &str) -> Option<String> {
        if !is_token(token) {
            return None;
        }
        self.store.challenge(ChallengeKind::Http01, token).ok()?
    }

    /// TLS-ALPN-01: the certificate that proves the host (RFC 8737, 3).
    pub fn certificate(&self, host: &str) -> Option<Arc<CertifiedKey>> {
        if !self.hosts.iter().any(|known| known == host) {
            return None;
        }
        let key_authorization = self.store.challenge(ChallengeKind::TlsAlpn01, host).ok()??;
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        match made.get(host) {
            Some((of, certificate)) if *of == key_authorization => Some(certificate.clone()),
            _ => {
                let certificate = proof(host, &key_authorization)?;
                made.insert(host.into(), (key_authorization, certificate.clone()));
                Some(certificate)
            }
        }
    }
}

/// Base64url of the authority's choice (RFC 8555, 8.1): so it is never a path.
pub(super) fn is_token(text: &str) -> bool {
    (1..=200).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

fn proof(host: &str, key_authorization: &str) -> Option<Arc<CertifiedKey>> {
    let mut parameters = CertificateParams::new(vec![host.to_owned()]).ok()?;
    let digest = Sha256::digest(key_authorization);
    parameters.custom_extensions = vec![CustomExtension::new_acme_identifier(&digest)];
    let key = KeyPair::generate().ok()?;
    let certificate = parameters.self_signed(&key).ok()?;
    // Not through `Certificate`: it refuses critical extensions that it does not know, and this one is.
    let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).ok()?;
    let key = provider().key_provider.load_private_key(key).ok()?;
    Some(Arc::new(CertifiedKey::new(vec![certificate.der().clone()], key)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_what_any_node_wrote_and_reads_no_other_file() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::open(root.path(), "https://ca.example/directory").unwrap();
        let challenges = Challenges::new(store.clone(), vec!["a.example".into()]);
        assert_eq!(challenges.key_authorization("t0ken-_"), None);
        store.put_challenge(ChallengeKind::Http01, "t0ken-_", "t0ken-_.thumb").unwrap();
        assert_eq!(challenges.key_authorization("t0ken-_").as_deref(), Some("t0ken-_.thumb"));
        store.put_account("secret").unwrap();
        for path in ["", "../account.json", "x/../../account.json", "%2e%2e", "a.b", &"a".repeat(201)] {
            assert_eq!(challenges.key_authorization(path), None, "{path}");
        }
    }

    #[test]
    fn the_proof_is_bound_to_host_and_key_authorization_and_made_once() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::open(root.path(), "https://ca.example/directory").unwrap();
        let challenges = Challenges::new(store.clone(), vec!["a.example".into()]);
        assert!(challenges.certificate("a.example").is_none());
        store.put_challenge(ChallengeKind::TlsAlpn01, "a.example", "token.thumb").unwrap();
        store.put_challenge(ChallengeKind::TlsAlpn01, "b.example", "token.thumb").unwrap();
        assert!(challenges.certificate("b.example").is_none(), "not a host of ours");
        let first = challenges.certificate("a.example").unwrap();
        assert!(Arc::ptr_eq(&first, &challenges.certificate("a.example").unwrap()));
        let (_, parsed) = x509_parser::parse_x509_certificate(&first.cert[0]).unwrap();
        let extension =
            parsed.extensions().iter().find(|each| each.oid.to_id_string() == "1.3.6.1.5.5.7.1.31").unwrap();
        assert!(extension.critical);
        assert!(extension.value.ends_with(&Sha256::digest("token.thumb")));
        store.put_challenge(ChallengeKind::TlsAlpn01, "a.example", "other.thumb").unwrap();
        assert!(!Arc::ptr_eq(&first, &challenges.certificate("a.example").unwrap()));
    }
}
