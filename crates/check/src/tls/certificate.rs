//! What a certificate says of itself.

use rustls::pki_types::CertificateDer;
use x509_parser::{extensions::GeneralName, prelude::FromDer, prelude::X509Certificate};

/// The parts that an operator asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Facts {
    /// Who signed it.
    pub issuer: String,
    /// It was signed by its own key's owner.
    pub self_signed: bool,
    /// DNS names and addresses that it is for.
    pub names: Vec<String>,
    /// First second of its life, since 1970.
    pub not_before: i64,
    /// Last second.
    pub not_after: i64,
}

impl Facts {
    /// Reads them; `None` when it is no X.509 certificate.
    pub(crate) fn read(certificate: &CertificateDer<'_>) -> Option<Self> {
        let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
        let alternatives = parsed.subject_alternative_name().ok().flatten();
        let names = alternatives.map(|names| names.value.general_names.iter().filter_map(name).collect());
        let common = || parsed.issuer().iter_common_name().find_map(|name| name.as_str().ok()).map(str::to_owned);
        Some(Self {
            issuer: common().unwrap_or_else(|| parsed.issuer().to_string()),
            self_signed: parsed.issuer().as_raw() == parsed.subject().as_raw(),
            names: names.unwrap_or_default(),
            not_before: parsed.validity().not_before.timestamp(),
            not_after: parsed.validity().not_after.timestamp(),
        })
    }
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => <[u8; 4]>::try_from(*bytes)
            .map(|bytes| std::net::Ipv4Addr::from(bytes).to_string())
            .or_else(|_| <[u8; 16]>::try_from(*bytes).map(|bytes| std::net::Ipv6Addr::from(bytes).to_string()))
            .ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_bytes_are_no_certificate() {
        assert_eq!(Facts::read(&CertificateDer::from(vec![0x30, 0x82, 0xff, 0xff, 1])), None);
        assert_eq!(Facts::read(&CertificateDer::from(Vec::new())), None);
    }
}
