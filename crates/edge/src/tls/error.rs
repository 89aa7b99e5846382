//! Why TLS cannot be served as the config says.

use std::{io, path::PathBuf};

use thiserror::Error;

/// What happened, why, and what to do. Never holds key material.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {path}: {source}; check the path, and that this user may read it")]
    Unreadable {
        /// As configured.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A folder or file of ours cannot be written.
    #[error("cannot write {path}: {source}; check that the folder exists and that this user may write to it")]
    Unwritable {
        /// What we wanted to write.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Not what a certificate file should hold.
    #[error("{path} is not usable: {reason}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong in it and what it should be.
        reason: String,
    },
    /// Certificate and key are not a pair.
    #[error(
        "the key in {key} does not belong to the first certificate in {certificate}; name the key that it was made with, \
         and put the host's own certificate first"
    )]
    Mismatch {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// Told of a replacement only: at start an expired certificate is served with a warning.
    #[error("the certificate in {0} has expired; renew it")]
    Expired(PathBuf),
    /// No certificate, and none may be made.
    #[error(
        "no certificate covers {host}; add one to edge.tls.certificates, configure [edge.acme], or set \
         edge.tls.self_signed = \"always\" if nothing checks it"
    )]
    Uncovered {
        /// The host without one.
        host: String,
    },
    /// ACME cannot obtain a certificate for this name with the challenges that we speak.
    #[error(
        "ACME cannot obtain a certificate for `{host}`: {reason}; give it a certificate file, or remove it from edge.hosts"
    )]
    NotOrderable {
        /// The host.
        host: String,
        /// Why.
        reason: &'static str,
    },
    /// A certificate could not be made, or the cryptographic library refuses the settings.
    #[error("the cryptographic library refuses: {0}")]
    Refused(String),
}

impl TlsError {
    /// The stable code; each has an entry in the reference.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "SEA_TLS_UNREADABLE",
            Self::Unwritable { .. } => "SEA_TLS_UNWRITABLE",
            Self::Malformed { .. } => "SEA_TLS_MALFORMED",
            Self::Mismatch { .. } => "SEA_TLS_MISMATCH",
            Self::Expired(_) => "SEA_TLS_EXPIRED",
            Self::Uncovered { .. } => "SEA_TLS_UNCOVERED",
            Self::NotOrderable { .. } => "SEA_TLS_NOT_ORDERABLE",
            Self::Refused(_) => "SEA_TLS_REFUSED",
        }
    }
}
