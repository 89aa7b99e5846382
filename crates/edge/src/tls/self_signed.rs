//! A certificate that nobody signed: for development, and until the authority's first one arrives.

use std::{path::Path, time::Duration};

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, date_time_ymd};

use super::{atomic_file, certificate::Certificate, error::TlsError};

/// Clients of some systems refuse leaf certificates that last longer.
const LIFETIME: i64 = 365 * DAY;
/// A new one is made when less than this is left.
const RENEW_BEFORE: i64 = 30 * DAY;
const DAY: i64 = 24 * 60 * 60;
const FILE: &str = "self-signed.pem";

/// The one kept in `folder` while it covers `names` and lasts, else a new one, kept there.
pub(super) fn kept(folder: &Path, names: &[String], now: i64) -> Result<Certificate, TlsError> {
    let path = folder.join(FILE);
    if let Ok(certificate) = Certificate::load(&path, &path)
        && names.iter().all(|name| certificate.covers(name))
        && !due(&certificate, now)
    {
        return Ok(certificate);
    }
    let pem = generate(names, now)?;
    atomic_file::create_private_folder(folder)
        .and_then(|()| atomic_file::write_private(&path, pem.as_bytes()))
        .map_err(|source| TlsError::Unwritable { path: path.clone(), source })?;
    Certificate::load(&path, &path)
}

/// One in memory alone.
pub(super) fn temporary(names: &[String], now: i64) -> Result<Certificate, TlsError> {
    let pem = generate(names, now)?;
    Certificate::parse(pem.as_bytes(), pem.as_bytes(), Path::new(FILE), Path::new(FILE))
}

/// True when it is time for a new one.
pub(super) fn due(certificate: &Certificate, now: i64) -> bool {
    now >= certificate.not_after - RENEW_BEFORE || now < certificate.not_before
}

/// Key and certificate in one PEM.
pub(super) fn generate(names: &[String], now: i64) -> Result<String, TlsError> {
    let refused = |error: rcgen::Error| TlsError::Refused(format!("a self-signed certificate for {names:?}: {error}"));
    let mut parameters = CertificateParams::new(names.to_vec()).map_err(refused)?;
    parameters.distinguished_name.push(DnType::CommonName, "Seaworthy, signed by itself");
    // A day early: clients whose clock is behind accept it too.
    parameters.not_before = date_time_ymd(1970, 1, 1) + seconds(now - DAY);
    parameters.not_after = date_time_ymd(1970, 1, 1) + seconds(now - DAY + LIFETIME);
    parameters.is_ca = IsCa::ExplicitNoCa;
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate().map_err(refused)?;
    let certificate = parameters.self_signed(&key).map_err(refused)?;
    Ok(format!("{}{}", key.serialize_pem(), certificate.pem()))
}

fn seconds(count: i64) -> Duration {
    Duration::from_secs(count.max(0).unsigned_abs())
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    const NOW: i64 = 1_700_000_000;

    #[test]
    fn survives_restarts_and_is_made_anew_for_more_names_and_before_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("tls");
        let names = vec!["localhost".to_owned(), "127.0.0.1".into()];
        let first = kept(&store, &names, NOW).unwrap();
        let file = store.join(FILE);
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(kept(&store, &names, NOW + 300 * DAY).unwrap().leaf(), first.leaf());
        let renewed = kept(&store, &names, first.not_after - DAY).unwrap();
        assert_ne!(renewed.leaf(), first.leaf());
        let more = kept(&store, &["localhost".into(), "app.test".into()], NOW).unwrap();
        assert!(more.covers("app.test"));
        fs::write(&file, "half").unwrap();
        assert!(kept(&store, &names, NOW).unwrap().covers("localhost"), "a damaged file is replaced");
    }
}
