//! The smallest edge: it answers both challenges, and "ok" over TLS.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use seaworthy_core::{Readiness, Shutdown};
use seaworthy_edge::tls::{ACME_TLS_ALPN, AcmeSettings, CertificateReport, ChallengeKind, Tls, TlsSettings};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{Instant, sleep},
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::pebble::Pebble;

/// Listeners that wait for a node, so that the authority can be told their ports first.
pub struct Doors {
    tls: TcpListener,
    http: TcpListener,
}

/// Stops when dropped.
pub struct Node {
    pub tls: Tls,
    pub readiness: Readiness,
    pub address: SocketAddr,
    shutdown: Shutdown,
}

impl Doors {
    pub async fn open() -> Self {
        let bind = || TcpListener::bind("127.0.0.1:0");
        Self { tls: bind().await.unwrap(), http: bind().await.unwrap() }
    }

    pub fn tls(&self) -> SocketAddr {
        self.tls.local_addr().unwrap()
    }

    pub fn http(&self) -> SocketAddr {
        self.http.local_addr().unwrap()
    }
}

pub fn settings(pebble: &Pebble, store: &Path, challenges: &[ChallengeKind]) -> AcmeSettings {
    AcmeSettings {
        directory: pebble.directory(),
        email: Some("operator@example.test".into()),
        terms_accepted: true,
        challenges: challenges.into(),
        trust: Some(pebble.trust().display().to_string()),
        store: store.display().to_string(),
    }
}

impl Node {
    pub fn start(doors: Doors, hosts: &[&str], acme: &AcmeSettings) -> Self {
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let reload_interval = seaworthy_config::HumanDuration(Duration::from_millis(200));
        let settings = TlsSettings { reload_interval, ..TlsSettings::default() };
        let tls = Tls::build(&hosts, &settings, Some(acme), true).unwrap();
        let (shutdown, readiness) = (Shutdown::new(), Readiness::default());
        let address = doors.tls();
        let handle = readiness.declare("tls", "certificates");
        shutdown.spawn(tls.clone().run(Some(handle), shutdown.clone()));
        shutdown.spawn(serve_tls(doors.tls, tls.clone(), shutdown.clone()));
        shutdown.spawn(serve_http(doors.http, tls.clone(), shutdown.clone()));
        Self { tls, readiness, address, shutdown }
    }

    pub fn report(&self, host: &str) -> CertificateReport {
        self.tls.certificates().into_iter().find(|report| report.host == host).unwrap()
    }

    /// The certificate that a client gets who verifies it; an error when it does not hold.
    pub async fn visit(&self, host: &str, client: &Arc<ClientConfig>) -> std::io::Result<Vec<u8>> {
        let stream = TcpStream::connect(self.address).await?;
        let name = ServerName::try_from(host.to_owned()).unwrap();
        let mut stream = TlsConnector::from(client.clone()).connect(name, stream).await?;
        stream.write_all(b"x").await?;
        let mut answer = [0; 2];
        stream.read_exact(&mut answer).await?;
        assert_eq!(&answer, b"ok");
        Ok(stream.get_ref().1.peer_certificates().unwrap()[0].to_vec())
    }

    pub fn stop(&self) {
        self.shutdown.begin();
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Waits for a condition, and says what it waited for when it does not come.
pub async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "waited 60 s for: {what}");
        sleep(Duration::from_millis(50)).await;
    }
}

async fn serve_tls(listener: TcpListener, tls: Tls, shutdown: Shutdown) {
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => accepted.unwrap().0,
            () = shutdown.ordered() => return,
        };
        let acceptor = TlsAcceptor::from(tls.server_config());
        shutdown.spawn(async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            if stream.get_ref().1.alpn_protocol() == Some(ACME_TLS_ALPN) {
                // The authority reads the certificate and leaves.
                let _ = stream.shutdown().await;
                return;
            }
            let mut request = [0; 1];
            if stream.read_exact(&mut request).await.is_ok() {
                let _ = stream.write_all(b"ok").await;
            }
        });
    }
}

async fn serve_http(listener: TcpListener, tls: Tls, shutdown: Shutdown) {
    loop {
        let mut stream = tokio::select! {
            accepted = listener.accept() => accepted.unwrap().0,
            () = shutdown.ordered() => return,
        };
        let tls = tls.clone();
        shutdown.spawn(async move {
            let mut head = Vec::new();
            while !head.windows(4).any(|end| end == b"\r\n\r\n") {
                if stream.read_buf(&mut head).await.unwrap_or(0) == 0 {
                    return;
                }
            }
            let head = String::from_utf8_lossy(&head).into_owned();
            let path = head.split(' ').nth(1).unwrap_or_default();
            let found = path.strip_prefix("/.well-known/acme-challenge/").and_then(|token| tls.challenge(token));
            let (status, body) = found.map_or((404, String::new()), |body| (200, body));
            let length = body.len();
            let answer = format!("HTTP/1.1 {status} x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}");
            let _ = stream.write_all(answer.as_bytes()).await;
        });
    }
}
