//! A certificate with its key, read from PEM and looked at: does the pair match, whom does it name, how long does it last.

use std::{
    fs, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::Arc,
};

use rustls::{Error as RustlsError, InconsistentKeys, sign::CertifiedKey};
use rustls_pki_types::{
    CertificateDer, PrivateKeyDer,
    pem::{Error as PemError, PemObject},
};
use x509_parser::{extensions::GeneralName, prelude::X509Certificate};

use super::{error::TlsError, handshake::provider};

/// A pair that can be served.
#[derive(Debug)]
pub(super) struct Certificate {
    /// For handshakes.
    pub certified: Arc<CertifiedKey>,
    /// DNS names in lower case (wildcards as `*.example.com`) and IP addresses that it was issued for.
    pub names: Vec<String>,
    /// Valid from, in Unix seconds.
    pub not_before: i64,
    /// Valid until, in Unix seconds.
    pub not_after: i64,
    /// What an operator should know, in words.
    pub warnings: Vec<String>,
}

impl Certificate {
    /// Reads a pair of files; both may be the same.
    pub fn load(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let read = |path: &Path| {
            fs::read(path).map_err(|source: io::Error| TlsError::Unreadable { path: path.into(), source })
        };
        let mut loaded = Self::parse(&read(certificate)?, &read(key)?, certificate, key)?;
        let mode = fs::metadata(key).map_or(0, |metadata| metadata.permissions().mode());
        if mode & 0o007 != 0 {
            loaded.warnings.push(format!("other users of this machine can reach the key {}: chmod 600", key.display()));
        }
        Ok(loaded)
    }

    /// Reads a pair from memory; the paths are for the words of errors.
    pub fn parse(chain: &[u8], key: &[u8], chain_path: &Path, key_path: &Path) -> Result<Self, TlsError> {
        let malformed = |path: &Path, reason: String| TlsError::Malformed { path: path.into(), reason };
        let chain = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<Vec<_>, PemError>>()
            .map_err(|error| malformed(chain_path, format!("the PEM is damaged or half written ({error})")))?;
        if chain.is_empty() {
            return Err(malformed(chain_path, "it holds no `BEGIN CERTIFICATE`; a PEM certificate is expected".into()));
        }
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| {
            let reason = "it holds no private key that we can read; a PEM key without password is expected";
            malformed(key_path, format!("{reason} ({})", pem_reason(&error)))
        })?;
        let facts = facts(&chain).map_err(|reason| malformed(chain_path, reason))?;
        let certified = CertifiedKey::from_der(chain, key, &provider()).map_err(|error| match error {
            RustlsError::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                TlsError::Mismatch { certificate: chain_path.into(), key: key_path.into() }
            }
            other => malformed(key_path, format!("the key is of a kind that we do not serve ({other})")),
        })?;
        let Facts { names, not_before, not_after, warnings } = facts;
        Ok(Self { certified: Arc::new(certified), names, not_before, not_after, warnings })
    }

    /// True when a client that asks for `host` (lower case) accepts the name. A wildcard stands for one label (RFC 6125,
    /// 6.4.3), and covers the host `*.example.com` itself.
    pub fn covers(&self, host: &str) -> bool {
        let wildcard = host.split_once('.').map(|(_, rest)| format!("*.{rest}"));
        self.names.iter().any(|name| name == host || wildcard.as_ref() == Some(name))
    }

    /// True once it is over.
    pub fn has_expired(&self, now: i64) -> bool {
        now >= self.not_after
    }

    /// A sentence when the certificate is not valid now.
    pub fn validity_warning(&self, now: i64) -> Option<String> {
        match now {
            now if now >= self.not_after => Some("it has expired: clients refuse it, renew it".into()),
            now if now < self.not_before => Some("it is not valid yet: check the clock of this machine".into()),
            _ => None,
        }
    }

    /// The host's own certificate in DER.
    pub fn leaf(&self) -> Option<&CertificateDer<'static>> {
        self.certified.cert.first()
    }
}

/// Keeps words of the parser that could quote the file out of logs.
fn pem_reason(error: &PemError) -> &'static str {
    match error {
        PemError::NoItemsFound => "nothing of the kind in it",
        PemError::MissingSectionEnd { .. } => "it ends early",
        PemError::Base64Decode(_) => "its base64 is damaged",
        _ => "it is damaged",
    }
}

/// What the certificates say by themselves.
struct Facts {
    names: Vec<String>,
    not_before: i64,
    not_after: i64,
    warnings: Vec<String>,
}

fn facts(chain: &[CertificateDer<'static>]) -> Result<Facts, String> {
    let mut parsed = Vec::with_capacity(chain.len());
    for (index, der) in chain.iter().enumerate() {
        let (_, certificate) = x509_parser::parse_x509_certificate(der)
            .map_err(|_| format!("its certificate number {} is not X.509", index + 1))?;
        parsed.push(certificate);
    }
    let leaf = parsed.first().ok_or("it holds no certificate")?;
    let names = names(leaf);
    let mut warnings = Vec::new();
    if names.is_empty() {
        warnings.push("it names no host in its subject alternative names: clients refuse it".into());
    }
    let in_order = parsed.windows(2).all(|pair| pair[0].issuer().as_raw() == pair[1].subject().as_raw());
    if !in_order {
        warnings
            .push("its chain is out of order, some clients refuse that: each certificate before its issuer's".into());
    } else if parsed.len() == 1 && leaf.issuer().as_raw() != leaf.subject().as_raw() {
        warnings.push("it comes without its issuer's certificate, some clients refuse that: use the full chain".into());
    }
    let validity = leaf.validity();
    Ok(Facts {
        names,
        not_before: validity.not_before.timestamp(),
        not_after: validity.not_after.timestamp(),
        warnings,
    })
}

fn names(leaf: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(alternative)) = leaf.subject_alternative_name() else { return Vec::new() };
    let name = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        GeneralName::IPAddress(octets) => address(octets).map(|address| address.to_string()),
        _ => None,
    };
    alternative.value.general_names.iter().filter_map(name).collect()
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    let four = <[u8; 4]>::try_from(octets).map(|octets| Ipv4Addr::from(octets).into());
    four.or_else(|_| <[u8; 16]>::try_from(octets).map(|octets| Ipv6Addr::from(octets).into())).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::self_signed;

    fn pair(names: &[&str]) -> String {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        self_signed::generate(&names, 1_700_000_000).unwrap()
    }

    fn parse(chain: &str, key: &str) -> Result<Certificate, TlsError> {
        Certificate::parse(chain.as_bytes(), key.as_bytes(), Path::new("chain.pem"), Path::new("key.pem"))
    }

    #[test]
    fn names_and_times_are_read_and_a_wildcard_is_one_label() {
        let pem = pair(&["Example.com", "*.example.com", "127.0.0.1", "::1"]);
        let certificate = parse(&pem, &pem).unwrap();
        for host in ["example.com", "www.example.com", "*.example.com", "127.0.0.1", "::1"] {
            assert!(certificate.covers(host), "{host}");
        }
        for host in ["a.b.example.com", "example.org", "com"] {
            assert!(!certificate.covers(host), "{host}");
        }
        assert!(certificate.not_before <= 1_700_000_000 && certificate.not_after > 1_700_000_000);
        assert!(certificate.validity_warning(certificate.not_after).unwrap().contains("expired"));
        assert!(certificate.validity_warning(certificate.not_before - 1).unwrap().contains("not valid yet"));
        assert_eq!(certificate.validity_warning(certificate.not_before), None);
    }

    #[test]
    fn a_key_of_another_certificate_is_refused_by_name() {
        let (one, other) = (pair(&["a.example"]), pair(&["a.example"]));
        let error = parse(&one, &other).unwrap_err();
        assert!(matches!(error, TlsError::Mismatch { .. }), "{error}");
        assert!(error.to_string().contains("chain.pem"), "{error}");
    }

    #[test]
    fn half_a_file_is_refused_wherever_it_is_cut() {
        let pem = pair(&["a.example"]);
        let certificate_at = pem.find("-----BEGIN CERTIFICATE").unwrap();
        let (key, chain) = pem.split_at(certificate_at);
        for cut in (0..chain.len() - 2).step_by(7) {
            assert!(parse(&chain[..cut], key).is_err(), "a chain of {cut} bytes");
        }
        for cut in (0..key.len() - 2).step_by(7) {
            let error = parse(chain, &key[..cut]).unwrap_err().to_string();
            assert!(!error.contains(&key[40..60]), "{error}");
        }
    }

    #[test]
    fn a_chain_in_the_wrong_order_is_told() {
        let leaf = pair(&["a.example"]);
        let mut parameters = rcgen::CertificateParams::new(vec!["b.example".to_owned()]).unwrap();
        parameters.distinguished_name.push(rcgen::DnType::CommonName, "somebody else");
        let stranger = parameters.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
        let both = format!("{leaf}{}", stranger.pem());
        let told = |chain: &str| parse(chain, &leaf).unwrap().warnings.concat().contains("out of order");
        assert!(told(&both));
        assert!(!told(&leaf));
    }
}
