//! `[edge.tls]` and `[edge.acme]`: certificates that you have, and certificates that we obtain.

use schemars::JsonSchema;
use seaworthy_config::{Findings, HumanDuration};
use serde::Deserialize;

/// Certificates and what clients must speak.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TlsSettings {
    /// Certificates that you have, each with its key. They are read again when the files change; a pair that cannot be
    /// used is refused, and the one before it stays. For a name that several cover, the first that the client can verify
    /// is taken.
    pub certificates: Vec<CertificateFiles>,
    /// The oldest version of TLS that is spoken, `1.2` or `1.3`. Cipher suites and groups are Mozilla's "intermediate".
    pub min_version: TlsVersion,
    /// When we make a certificate that nobody signed, for hosts that have none: `development` does outside production,
    /// `always` also there (behind a proxy that does not look), `never` refuses to start.
    pub self_signed: SelfSigned,
    /// Refuse the handshake of a client that asks for a name without certificate. Otherwise it gets the first host's,
    /// as clients do that name no host at all.
    pub strict_sni: bool,
    /// How often files are looked at for changes.
    pub reload_interval: HumanDuration,
    /// Folder of the certificate that we signed ourselves: kept, so that a browser's exception survives a restart.
    pub store: String,
}

/// A certificate with its key, in PEM.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default)]
pub struct CertificateFiles {
    /// File with the certificate, then those that lead from it to the authority's.
    pub certificate: String,
    /// File with its private key: PKCS#8, SEC1 or PKCS#1, not encrypted. May be the same file.
    pub key: String,
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum TlsVersion {
    /// RFC 5246, with forward secrecy and AEAD only.
    #[serde(rename = "1.2")]
    Tls12,
    /// RFC 8446.
    #[serde(rename = "1.3")]
    Tls13,
}

/// When a host without certificate gets one that nobody signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SelfSigned {
    /// Outside production.
    Development,
    /// In production too.
    Always,
    /// Nowhere.
    Never,
}

/// Certificates from an authority that speaks ACME (RFC 8555), for every host that no file covers.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default)]
pub struct AcmeSettings {
    /// The authority's directory. Let's Encrypt by default; try with its staging directory first,
    /// `https://acme-staging-v02.api.letsencrypt.org/directory`.
    pub directory: String,
    /// Where the authority may write to when something is wrong with a certificate.
    pub email: Option<String>,
    /// Whether you accept the authority's terms of service; with `false` nothing is ordered.
    pub terms_accepted: bool,
    /// How the authority sees that a host is ours, first choice first: `tls-alpn-01` needs port 443 to lead here,
    /// `http-01` port 80. A failed attempt is repeated with the next one.
    pub challenges: Vec<ChallengeKind>,
    /// File with certificates (PEM) that we trust in besides the system's when we talk to the authority: for one of your
    /// own.
    pub trust: Option<String>,
    /// Folder of account, keys, certificates and open challenges. Nodes that share it use one account, order each
    /// certificate once, and answer each other's challenges.
    pub store: String,
}

/// A way to prove that a host is ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum ChallengeKind {
    /// A handshake on port 443 (RFC 8737).
    #[serde(rename = "tls-alpn-01")]
    TlsAlpn01,
    /// A request on port 80 (RFC 8555, 8.3).
    #[serde(rename = "http-01")]
    Http01,
}

impl Default for TlsSettings {
    fn default() -> Self {
        Self {
            certificates: Vec::new(),
            min_version: TlsVersion::Tls12,
            self_signed: SelfSigned::Development,
            strict_sni: false,
            reload_interval: HumanDuration::seconds(5),
            store: ".seaworthy/tls".into(),
        }
    }
}

impl Default for AcmeSettings {
    fn default() -> Self {
        Self {
            directory: instant_acme::LetsEncrypt::Production.url().into(),
            email: None,
            terms_accepted: true,
            challenges: vec![ChallengeKind::TlsAlpn01, ChallengeKind::Http01],
            trust: None,
            store: ".seaworthy/acme".into(),
        }
    }
}

impl TlsSettings {
    /// Checks what types cannot say; `path` is the place of this table in the config.
    pub fn validate(&self, path: &str, findings: &mut Findings) {
        for (index, files) in self.certificates.iter().enumerate() {
            for (key, value) in [("certificate", &files.certificate), ("key", &files.key)] {
                if value.is_empty() {
                    let path = format!("{path}.certificates.{index}.{key}");
                    findings.add(path, "SEA_CONFIG_EMPTY", format!("a certificate without `{key}`"), "name its file");
                }
            }
        }
        if self.reload_interval.0.is_zero() {
            let path = format!("{path}.reload_interval");
            findings.add(path, "SEA_CONFIG_RANGE", "an interval of zero never rests", "use \"5s\"");
        }
        if self.store.is_empty() {
            let message = "no folder for the certificate that we sign ourselves";
            findings.add(format!("{path}.store"), "SEA_CONFIG_EMPTY", message, "use \".seaworthy/tls\"");
        }
    }
}

impl AcmeSettings {
    /// Checks what types cannot say; `path` is the place of this table in the config, `hosts` are `edge.hosts`.
    pub fn validate(&self, path: &str, hosts: &[String], findings: &mut Findings) {
        if !self.directory.starts_with("https://") {
            let message = format!("`{}` is no https:// address", self.directory);
            findings.add(
                format!("{path}.directory"),
                "SEA_CONFIG_INSECURE",
                message,
                "ACME is spoken over HTTPS alone (RFC 8555, 6.1)",
            );
        }
        if !self.terms_accepted {
            findings.add(
                format!("{path}.terms_accepted"),
                "SEA_CONFIG_TERMS",
                "the authority's terms of service are not accepted",
                "read them, then set terms_accepted = true",
            );
        }
        if hosts.is_empty() {
            let help = "name them: hosts = [\"example.com\"] in [edge]";
            findings.add(path, "SEA_CONFIG_EMPTY", "no hosts to obtain certificates for", help);
        }
        if self.challenges.is_empty() {
            let help = "use [\"tls-alpn-01\", \"http-01\"]";
            findings.add(format!("{path}.challenges"), "SEA_CONFIG_EMPTY", "no way to prove that a host is ours", help);
        }
        if self.store.is_empty() {
            let help = "use \".seaworthy/acme\"";
            findings.add(format!("{path}.store"), "SEA_CONFIG_EMPTY", "no folder for account and certificates", help);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_without_consent_hosts_or_https_is_found_before_anything_starts() {
        let settings = AcmeSettings {
            directory: "http://ca.example".into(),
            challenges: Vec::new(),
            terms_accepted: false,
            ..AcmeSettings::default()
        };
        let mut findings = Findings::default();
        settings.validate("edge.acme", &[], &mut findings);
        let codes: Vec<_> = findings.into_list().into_iter().map(|(_, finding)| finding.code).collect();
        let expected = ["SEA_CONFIG_INSECURE", "SEA_CONFIG_TERMS", "SEA_CONFIG_EMPTY", "SEA_CONFIG_EMPTY"];
        assert_eq!(codes, expected);

        let settings = AcmeSettings { terms_accepted: true, ..AcmeSettings::default() };
        let mut findings = Findings::default();
        settings.validate("edge.acme", &["example.com".into()], &mut findings);
        TlsSettings::default().validate("edge.tls", &mut findings);
        assert!(findings.is_empty());
    }
}
