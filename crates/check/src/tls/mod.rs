//! TLS as the prober speaks it: it always sees the certificate, says why it would not trust it, and goes on without trust
//! only where nobody can stand in between.

mod certificate;
mod hello;

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError},
};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error, ProtocolVersion, RootCertStore,
    SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

pub(crate) use certificate::Facts;
pub(crate) use hello::{Old, offer};

/// Whom the prober trusts: the roots of this machine, and a file of more. Clones share what was read.
#[derive(Clone, Default)]
pub struct Trust(Arc<Roots>);

#[derive(Default)]
struct Roots {
    file: Option<PathBuf>,
    /// Instead of this machine's roots, for known subjects.
    only: Vec<CertificateDer<'static>>,
    verifier: OnceLock<Result<Arc<WebPkiServerVerifier>, String>>,
}

/// What a server showed in a handshake that came to its end.
#[derive(Debug, Clone)]
pub(crate) struct Shown {
    /// The certificates, the server's own first.
    pub chain: Vec<CertificateDer<'static>>,
    /// Why they are not to be trusted for this name.
    pub distrust: Option<String>,
    /// `TLS 1.3`.
    pub version: &'static str,
}

/// No connection; why.
#[derive(Debug)]
pub(crate) enum HandshakeError {
    /// The certificate is not to be trusted, and that was asked for.
    Untrusted(String),
    /// It did not come that far.
    Failed(String),
}

/// The one implementation of cryptography in the program.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| Arc::new(aws_lc_rs::default_provider()));
    PROVIDER.clone()
}

impl Trust {
    /// The roots of this machine, and those in this PEM file.
    pub fn new(file: Option<PathBuf>) -> Self {
        Self(Arc::new(Roots { file, ..Roots::default() }))
    }

    /// These roots alone.
    pub(crate) fn only(roots: Vec<CertificateDer<'static>>) -> Self {
        Self(Arc::new(Roots { only: roots, ..Roots::default() }))
    }

    /// Roots of the team's own are among them, which nobody else knows.
    pub(crate) fn is_own(&self) -> bool {
        self.0.file.is_some() || !self.0.only.is_empty()
    }

    fn verifier(&self) -> Result<Arc<WebPkiServerVerifier>, String> {
        self.0.verifier.get_or_init(|| self.0.read()).clone()
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trust").field("file", &self.0.file).finish_non_exhaustive()
    }
}

impl Roots {
    fn read(&self) -> Result<Arc<WebPkiServerVerifier>, String> {
        let mut store = RootCertStore::empty();
        if self.only.is_empty() {
            // A machine with one unreadable root still has the others.
            store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        store.add_parsable_certificates(self.only.iter().cloned());
        if let Some(file) = &self.file {
            let explain = |why: &dyn fmt::Display| format!("[check] ca: cannot use {}: {why}", file.display());
            let read = CertificateDer::pem_file_iter(file).map_err(|error| explain(&error))?;
            let certificates: Vec<_> = read.collect::<Result<_, _>>().map_err(|error| explain(&error))?;
            let (taken, _) = store.add_parsable_certificates(certificates);
            if taken == 0 {
                return Err(explain(&"it holds no certificate"));
            }
        }
        if store.is_empty() {
            return Err(
                "this machine trusts nobody: install its CA certificates, or name a file with [check] ca".into()
            );
        }
        let builder = WebPkiServerVerifier::builder_with_provider(Arc::new(store), provider());
        builder.build().map_err(|error| error.to_string())
    }
}

/// Makes a TLS connection. `tolerant`: go on with a certificate that is not to be trusted.
pub(crate) async fn handshake(
    stream: TcpStream,
    host: &str,
    trust: &Trust,
    tolerant: bool,
) -> Result<(TlsStream<TcpStream>, Shown), HandshakeError> {
    let failed = |why: &dyn fmt::Display| HandshakeError::Failed(why.to_string());
    let name = ServerName::try_from(host.to_owned()).map_err(|error| failed(&error))?;
    let observer = Arc::new(Observer { judge: trust.verifier(), tolerant, seen: Mutex::default() });
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| failed(&error))?
        .dangerous()
        .with_custom_certificate_verifier(observer.clone())
        .with_no_client_auth();
    let connected = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
    let (chain, distrust) = observer.seen.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default();
    match (connected, distrust) {
        (Ok(stream), distrust) => {
            let version = match stream.get_ref().1.protocol_version() {
                Some(ProtocolVersion::TLSv1_3) => "TLS 1.3",
                _ => "TLS 1.2",
            };
            Ok((stream, Shown { chain, distrust, version }))
        }
        (Err(_), Some(why)) if !tolerant => Err(HandshakeError::Untrusted(why)),
        (Err(error), _) => Err(failed(&error)),
    }
}

/// Sees every certificate, asks the real verifier, and proves in any case that the server holds the certificate's key.
#[derive(Debug)]
struct Observer {
    judge: Result<Arc<WebPkiServerVerifier>, String>,
    tolerant: bool,
    seen: Mutex<Option<(Vec<CertificateDer<'static>>, Option<String>)>>,
}

impl ServerCertVerifier for Observer {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let judged = match &self.judge {
            Ok(judge) => judge.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now),
            Err(why) => Err(Error::General(why.clone())),
        };
        let chain = std::iter::once(end_entity).chain(intermediates).map(|one| one.clone().into_owned()).collect();
        let distrust = judged.as_ref().err().map(reason);
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some((chain, distrust));
        if self.tolerant { Ok(ServerCertVerified::assertion()) } else { judged }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &provider().signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &provider().signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }

    fn root_hint_subjects(&self) -> Option<&[DistinguishedName]> {
        None
    }
}

/// What an operator would say.
fn reason(error: &Error) -> String {
    let Error::InvalidCertificate(why) = error else { return error.to_string() };
    match why {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "it has expired".into(),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => "it is not valid yet".into(),
        CertificateError::UnknownIssuer => "nobody that this machine trusts has signed it".into(),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "it is for other names".into()
        }
        CertificateError::Revoked => "it was revoked".into(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[tokio::test]
    async fn whoever_is_not_to_be_trusted_is_refused_unless_that_was_allowed() {
        let tls = Some(fixture::self_signed(&["127.0.0.1"]).unwrap());
        let options = fixture::ServerOptions { tls, ..fixture::ServerOptions::default() };
        let server = fixture::Server::start(fixture::answering(|_| fixture::reply(200, &[], "")), options).unwrap();
        let trust = fixture::Authority::new().unwrap().trust();
        let connect = async || TcpStream::connect(("127.0.0.1", server.address.port().unwrap())).await.unwrap();
        let refused = handshake(connect().await, "127.0.0.1", &trust, false).await.err().unwrap();
        assert!(matches!(&refused, HandshakeError::Untrusted(why) if !why.is_empty()), "{refused:?}");
        let (_, shown) = handshake(connect().await, "127.0.0.1", &trust, true).await.unwrap();
        assert!(shown.distrust.is_some() && shown.chain.len() == 1);
    }

    #[test]
    fn a_file_without_certificates_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        std::fs::write(&file, "nothing").unwrap();
        let why = Trust::new(Some(file.clone())).verifier().unwrap_err();
        assert!(why.contains("ca.pem") && why.contains("no certificate"), "{why}");
        let why = Trust::new(Some(folder.path().join("none.pem"))).verifier().unwrap_err();
        assert!(why.contains("none.pem"), "{why}");
    }
}
