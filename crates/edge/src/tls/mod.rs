//! TLS: which certificate a client gets, where certificates come from, and that they are renewed in time.
//!
//! Handshakes read a table behind one pointer ([`resolver`]). Beside them, on the control plane, [`Tls::run`] watches
//! files and orders certificates, and swaps the table when something changed.

mod acme;
mod atomic_file;
mod certificate;
mod error;
mod handshake;
mod inventory;
mod report;
mod resolver;
mod self_signed;
mod settings;
mod watched;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwap;
use rustls::{ServerConfig, server::ProducesTickets};
use seaworthy_core::{Clock, Condition, ReadinessHandle, Shutdown, SystemClock};
use tokio::{sync::Notify, task::spawn_blocking, time::sleep};
use tracing::{debug, error};

pub use error::TlsError;
pub use handshake::ACME_TLS_ALPN;
pub use report::{CertificateReport, CertificateSource};
pub use settings::{AcmeSettings, CertificateFiles, ChallengeKind, SelfSigned, TlsSettings, TlsVersion};

use acme::Step;
use inventory::Inventory;
use resolver::Resolver;

/// How often we see whether a certificate is due; a look costs no request.
const ACME_INTERVAL: Duration = Duration::from_secs(1);

/// TLS of one edge. Clones share everything.
#[derive(Clone)]
pub struct Tls(Arc<Shared>);

struct Shared {
    resolver: Arc<Resolver>,
    ticketer: Arc<dyn ProducesTickets>,
    config: ArcSwap<ServerConfig>,
    inventory: Mutex<Inventory>,
    replaced: Notify,
}

impl Tls {
    /// Reads the certificates, signs one where that is allowed, and opens the store; orders nothing yet. `hosts` are
    /// `edge.hosts`; in `production` nothing is served without a certificate, unless `self_signed` says so.
    ///
    /// # Errors
    /// When a file cannot be used or a host would be without certificate; each error says what to do.
    pub fn build(
        hosts: &[String],
        tls: &TlsSettings,
        acme: Option<&AcmeSettings>,
        production: bool,
    ) -> Result<Self, TlsError> {
        let inventory = Inventory::load(hosts, tls, acme, production, now())?;
        let resolver = Arc::new(Resolver::new(inventory.table()));
        let ticketer = handshake::ticketer()?;
        let challenges = inventory.acme().is_some();
        let config = handshake::server_config(tls, resolver.clone(), ticketer.clone(), challenges)?;
        report::publish(&inventory.reports(now()));
        Ok(Self(Arc::new(Shared {
            resolver,
            ticketer,
            config: ArcSwap::from_pointee(config),
            inventory: Mutex::new(inventory),
            replaced: Notify::new(),
        })))
    }

    /// For the acceptor: ask again for each connection, [`Tls::replace`] may have changed it. Certificates change inside
    /// it. A connection that agreed on [`ACME_TLS_ALPN`] is to be closed after the handshake.
    pub fn server_config(&self) -> Arc<ServerConfig> {
        self.0.config.load_full()
    }

    /// The answer to `GET /.well-known/acme-challenge/{token}` (RFC 8555, 8.3), as `application/octet-stream`; also for
    /// orders of other nodes that share the store. Reads a file.
    pub fn challenge(&self, token: &str) -> Option<String> {
        self.0.resolver.challenges()?.key_authorization(token)
    }

    /// What each host's clients get now.
    pub fn certificates(&self) -> Vec<CertificateReport> {
        self.0.lock().reports(now())
    }

    /// Takes new settings as a whole, or refuses them as a whole and keeps the old.
    ///
    /// # Errors
    /// As [`Tls::build`].
    pub fn replace(
        &self,
        hosts: &[String],
        tls: &TlsSettings,
        acme: Option<&AcmeSettings>,
        production: bool,
    ) -> Result<(), TlsError> {
        let inventory = Inventory::load(hosts, tls, acme, production, now())?;
        let (resolver, ticketer) = (self.0.resolver.clone(), self.0.ticketer.clone());
        let config = handshake::server_config(tls, resolver, ticketer, inventory.acme().is_some())?;
        let mut held = self.0.lock();
        *held = inventory;
        self.0.resolver.swap(held.table());
        self.0.config.store(Arc::new(config));
        report::publish(&held.reports(now()));
        drop(held);
        self.0.replaced.notify_waiters();
        Ok(())
    }

    /// Watches files, obtains and renews certificates until told to stop.
    ///
    /// `readiness` is pending while a host waits for its first certificate, and ready from then on. Leave it out where
    /// the authority's challenge reaches us only when we are ready, behind a load balancer for example: each would wait
    /// for the other.
    pub async fn run(self, readiness: Option<ReadinessHandle>, shutdown: Shutdown) {
        let work = async { tokio::join!(self.watch(readiness.as_ref()), self.order()) };
        tokio::select! {
            _ = work => {}
            () = shutdown.ordered() => {}
        }
        if let Some(readiness) = readiness {
            readiness.retire();
        }
    }

    async fn watch(&self, readiness: Option<&ReadinessHandle>) {
        let mut waiting = readiness;
        loop {
            let (interval, awaited) = {
                let inventory = self.0.lock();
                (inventory.settings().reload_interval.0, inventory.awaited().join(", "))
            };
            match (waiting, awaited.is_empty()) {
                (Some(handle), true) => {
                    handle.set(Condition::Ready);
                    waiting = None;
                }
                (Some(handle), false) => handle.set(Condition::Pending(format!("a certificate for {awaited}"))),
                (None, _) => {}
            }
            tokio::select! {
                () = sleep(interval) => {}
                () = self.0.replaced.notified() => {}
            }
            self.refresh().await;
        }
    }

    async fn order(&self) {
        loop {
            let acme = self.0.lock().acme();
            for host in acme.iter().flat_map(|acme| acme.hosts()) {
                let Some(acme) = &acme else { break };
                let current = self.0.lock().obtained(host);
                match acme.tend(host, current.as_deref()).await {
                    Step::NotDue => self.0.lock().note(host, None),
                    Step::Elsewhere => debug!(host, "another node orders this certificate"),
                    Step::Stored => {
                        self.0.lock().note(host, None);
                        self.refresh().await;
                    }
                    Step::Waits(problem) => self.0.lock().note(host, Some(problem)),
                }
            }
            tokio::select! {
                () = sleep(ACME_INTERVAL) => {}
                () = self.0.replaced.notified() => {}
            }
        }
    }

    /// Looks at every file, on a thread that may wait for a disk.
    async fn refresh(&self) {
        let shared = self.0.clone();
        let looked = spawn_blocking(move || {
            let mut inventory = shared.lock();
            if inventory.refresh(now()) {
                shared.resolver.swap(inventory.table());
                report::publish(&inventory.reports(now()));
            }
        });
        if looked.await.is_err() {
            error!("the look at certificate files panicked; the certificates in use stay");
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inventory> {
        // A holder that panicked leaves usable certificates behind: each is replaced whole.
        self.inventory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tls").field(&self.certificates()).finish()
    }
}

fn now() -> i64 {
    SystemClock.unix_micros() / 1_000_000
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use rustls::{ClientConfig, HandshakeKind, ProtocolVersion, RootCertStore, SupportedProtocolVersion, version};
    use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject};
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio_rustls::{TlsAcceptor, TlsConnector, client::TlsStream};

    use super::*;

    fn settings(folder: &Path) -> TlsSettings {
        TlsSettings { store: folder.display().to_string(), ..TlsSettings::default() }
    }

    /// Writes a pair for a name; the client trusts it.
    fn pair(folder: &Path, name: &str, roots: &mut RootCertStore) -> CertificateFiles {
        let pem = self_signed::generate(&[name.to_owned()], now()).unwrap();
        let path = folder.join(format!("{name}.pem"));
        fs::write(&path, &pem).unwrap();
        roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap();
        CertificateFiles { certificate: path.display().to_string(), key: path.display().to_string() }
    }

    fn client(roots: RootCertStore, versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth()
    }

    /// A connection that has carried a byte each way.
    async fn connect(
        tls: &Tls,
        client: &ClientConfig,
        host: &str,
    ) -> std::io::Result<TlsStream<tokio::io::DuplexStream>> {
        let (ours, theirs) = duplex(64 * 1024);
        let acceptor = TlsAcceptor::from(tls.server_config());
        let name = ServerName::try_from(host.to_owned()).unwrap();
        let serve = async {
            let mut stream = acceptor.accept(ours).await?;
            let byte = stream.read_u8().await?;
            stream.write_u8(byte).await?;
            std::io::Result::Ok(stream)
        };
        let visit = async {
            let mut stream = TlsConnector::from(Arc::new(client.clone())).connect(name, theirs).await?;
            stream.write_u8(7).await?;
            stream.read_u8().await?;
            Ok(stream)
        };
        tokio::join!(serve, visit).1
    }

    fn leaf(stream: &TlsStream<tokio::io::DuplexStream>) -> Vec<u8> {
        stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
    }

    #[tokio::test]
    async fn each_name_gets_its_certificate_and_a_stranger_the_first_or_a_refusal() {
        let folder = tempfile::tempdir().unwrap();
        let mut roots = RootCertStore::empty();
        let certificates =
            vec![pair(folder.path(), "b.example", &mut roots), pair(folder.path(), "a.example", &mut roots)];
        let hosts = ["a.example".to_owned(), "b.example".into()];
        let mut settings = TlsSettings { certificates, ..settings(folder.path()) };
        let tls = Tls::build(&hosts, &settings, None, true).unwrap();
        let client = client(roots, rustls::ALL_VERSIONS);
        let a = leaf(&connect(&tls, &client, "a.example").await.unwrap());
        let b = leaf(&connect(&tls, &client, "b.example").await.unwrap());
        assert_ne!(a, b);
        let stranger = connect(&tls, &client, "c.example").await.unwrap_err().to_string();
        assert!(
            stranger.contains("only valid for DnsName(\"a.example\")"),
            "the client sees the first host's certificate: {stranger}"
        );
        settings.strict_sni = true;
        tls.replace(&hosts, &settings, None, true).unwrap();
        let stranger = connect(&tls, &client, "c.example").await.unwrap_err().to_string();
        assert!(stranger.contains("AccessDenied"), "{stranger}");
        connect(&tls, &client, "a.example").await.unwrap();
        let sources: Vec<_> = tls.certificates().into_iter().map(|report| (report.host, report.source)).collect();
        assert_eq!(
            sources,
            [("a.example".into(), CertificateSource::File), ("b.example".into(), CertificateSource::File)]
        );
    }

    #[tokio::test]
    async fn both_versions_resume_and_http_2_is_preferred() {
        let folder = tempfile::tempdir().unwrap();
        let mut roots = RootCertStore::empty();
        let mut settings =
            TlsSettings { certificates: vec![pair(folder.path(), "a.example", &mut roots)], ..settings(folder.path()) };
        let tls = Tls::build(&["a.example".into()], &settings, None, true).unwrap();
        for (version, expected) in
            [(&version::TLS12, ProtocolVersion::TLSv1_2), (&version::TLS13, ProtocolVersion::TLSv1_3)]
        {
            let mut client = client(roots.clone(), &[version]);
            client.alpn_protocols = vec![b"http/1.1".to_vec(), b"h2".to_vec()];
            for kind in [HandshakeKind::Full, HandshakeKind::Resumed] {
                let stream = connect(&tls, &client, "a.example").await.unwrap();
                let session = stream.get_ref().1;
                assert_eq!(session.protocol_version(), Some(expected));
                assert_eq!(session.alpn_protocol(), Some(&b"h2"[..]));
                assert_eq!(session.handshake_kind(), Some(kind), "{expected:?}");
                tls.replace(&["a.example".into()], &settings, None, true).unwrap();
            }
        }
        settings.min_version = TlsVersion::Tls13;
        tls.replace(&["a.example".into()], &settings, None, true).unwrap();
        assert!(connect(&tls, &client(roots.clone(), &[&version::TLS12]), "a.example").await.is_err());
        let mut challenge = client(roots, &[&version::TLS13]);
        challenge.alpn_protocols = vec![ACME_TLS_ALPN.to_vec()];
        assert!(connect(&tls, &challenge, "a.example").await.is_err(), "no challenges without an authority");
    }

    #[tokio::test]
    async fn development_signs_for_itself_and_production_refuses_to() {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(folder.path());
        let tls = Tls::build(&["App.Test".into()], &settings, None, false).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(folder.path().join("self-signed.pem")).unwrap()).unwrap();
        let client = client(roots, rustls::ALL_VERSIONS);
        for host in ["localhost", "127.0.0.1", "app.test"] {
            connect(&tls, &client, host).await.unwrap();
        }
        assert_eq!(tls.certificates()[0].source, CertificateSource::SelfSigned);
        for hosts in [vec![], vec!["app.test".to_owned()]] {
            let error = Tls::build(&hosts, &settings, None, true).unwrap_err();
            assert!(matches!(error, TlsError::Uncovered { .. }), "{error}");
        }
        let always = TlsSettings { self_signed: SelfSigned::Always, ..settings.clone() };
        Tls::build(&[], &always, None, true).unwrap();
        let refused = tls.replace(&["app.test".into()], &settings, None, true);
        assert!(refused.is_err());
        connect(&tls, &client, "app.test").await.expect("the old settings stay");
    }

    #[tokio::test]
    async fn a_new_file_is_served_without_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let mut roots = RootCertStore::empty();
        let certificates = vec![pair(folder.path(), "a.example", &mut roots)];
        let reload_interval = seaworthy_config::HumanDuration(Duration::from_millis(20));
        let settings = TlsSettings { certificates, reload_interval, ..settings(folder.path()) };
        let tls = Tls::build(&["a.example".into()], &settings, None, true).unwrap();
        let shutdown = Shutdown::new();
        let readiness = seaworthy_core::Readiness::default();
        shutdown.spawn(tls.clone().run(Some(readiness.declare("tls", "certificates")), shutdown.clone()));
        let before = leaf(&connect(&tls, &client(roots.clone(), rustls::ALL_VERSIONS), "a.example").await.unwrap());
        assert!(readiness.is_ready());
        pair(folder.path(), "a.example", &mut roots);
        let client = client(roots, rustls::ALL_VERSIONS);
        loop {
            // Each with a client of its own, so that none resumes.
            let mut client = client.clone();
            client.resumption = rustls::client::Resumption::disabled();
            if leaf(&connect(&tls, &client, "a.example").await.unwrap()) != before {
                break;
            }
            sleep(Duration::from_millis(10)).await;
        }
        shutdown.begin();
        assert!(shutdown.finished(sleep(Duration::from_secs(10))).await);
    }

    #[test]
    fn what_acme_cannot_obtain_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let acme = AcmeSettings { store: folder.path().display().to_string(), ..AcmeSettings::default() };
        for host in ["*.example.com", "192.0.2.1", "a/b", "..", ""] {
            let refused = Tls::build(&[host.to_owned()], &settings(folder.path()), Some(&acme), true);
            assert!(matches!(refused, Err(TlsError::NotOrderable { .. })), "{host}");
        }
    }
}
