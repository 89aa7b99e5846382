//! What an operator sees of the certificates.

use metrics::gauge;
use serde::Serialize;

/// The certificate that clients of one host get.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CertificateReport {
    /// As configured; without hosts, the certificate's first name.
    pub host: String,
    /// Where it comes from.
    pub source: CertificateSource,
    /// Valid until, in Unix seconds.
    pub not_after: i64,
    /// Why it is not as it should be: expired, or the last attempt to obtain or renew it failed.
    pub problem: Option<String>,
}

/// Where a certificate comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CertificateSource {
    /// `edge.tls.certificates`.
    File,
    /// The authority of `edge.acme`.
    Acme,
    /// Signed by ourselves.
    SelfSigned,
}

/// Shows expiry to whoever scrapes.
pub(super) fn publish(reports: &[CertificateReport]) {
    for report in reports {
        // A double holds seconds exactly for longer than certificates last.
        gauge!("seaworthy_tls_certificate_expiry_timestamp_seconds", "host" => report.host.clone())
            .set(report.not_after as f64);
    }
}
