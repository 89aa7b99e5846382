//! A real ACME authority on free ports, with a DNS that sends every name to this machine.

use std::{
    env, fs,
    io::Write,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use rustls::{ClientConfig, RootCertStore, client::Resumption};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, sleep},
};
use tokio_rustls::TlsConnector;

/// What a test wants of the authority.
pub struct Options {
    /// Where it looks for TLS-ALPN-01.
    pub tls: SocketAddr,
    /// Where it looks for HTTP-01.
    pub http: SocketAddr,
    /// Seconds that its certificates last.
    pub validity: u64,
}

/// Ends its processes when dropped.
pub struct Pebble {
    folder: TempDir,
    port: u16,
    management: u16,
    dns: u16,
    options: Options,
    children: Vec<Child>,
}

/// False when the programs are missing; with `SEAWORTHY_TEST_REQUIRE=all` that is a failure.
pub fn is_there() -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    let has = |program: &str| env::split_paths(&path).any(|folder| folder.join(program).exists());
    let there = has("pebble") && has("pebble-challtestsrv");
    let required = env::var("SEAWORTHY_TEST_REQUIRE").is_ok_and(|what| what == "all");
    assert!(there || !required, "pebble is missing: install the Debian package pebble");
    if !there {
        eprintln!("skipped: pebble is not on this machine (Debian package pebble)");
    }
    there
}

impl Pebble {
    /// Everything is prepared, nothing runs.
    pub fn prepare(options: Options) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let parameters = rcgen::CertificateParams::new(vec!["localhost".into(), "127.0.0.1".into()]).unwrap();
        let certificate = parameters.self_signed(&key).unwrap();
        fs::write(folder.path().join("cert.pem"), certificate.pem()).unwrap();
        fs::write(folder.path().join("key.pem"), key.serialize_pem()).unwrap();
        let pebble = Self { folder, port: free(), management: free(), dns: free(), options, children: Vec::new() };
        let config = serde_json::json!({ "pebble": {
            "listenAddress": format!("127.0.0.1:{}", pebble.port),
            "managementListenAddress": format!("127.0.0.1:{}", pebble.management),
            "certificate": pebble.folder.path().join("cert.pem"),
            "privateKey": pebble.folder.path().join("key.pem"),
            "httpPort": pebble.options.http.port(),
            "tlsPort": pebble.options.tls.port(),
            "certificateValidityPeriod": pebble.options.validity,
        }});
        fs::write(pebble.folder.path().join("pebble.json"), config.to_string()).unwrap();
        pebble
    }

    /// Starts it, waits until it listens.
    pub async fn start(&mut self) {
        let management = free();
        let dns = Command::new("pebble-challtestsrv")
            .args(["-defaultIPv4", "127.0.0.1", "-defaultIPv6", "", "-http01", "", "-https01", "", "-tlsalpn01", ""])
            .args(["-dns01", &format!("127.0.0.1:{}", self.dns)])
            .args(["-management", &format!("127.0.0.1:{management}")])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        self.children.push(dns.unwrap());
        let log = fs::File::create(self.folder.path().join("log")).unwrap();
        let pebble = Command::new("pebble")
            .args(["-strict", "-dnsserver", &format!("127.0.0.1:{}", self.dns)])
            .arg("-config")
            .arg(self.folder.path().join("pebble.json"))
            .env("PEBBLE_VA_NOSLEEP", "1")
            .env("PEBBLE_WFE_NONCEREJECT", "20")
            .env("PEBBLE_AUTHZREUSE", "0")
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn();
        self.children.push(pebble.unwrap());
        for port in [management, self.port, self.management] {
            let deadline = Instant::now() + Duration::from_secs(20);
            while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
                assert!(Instant::now() < deadline, "pebble does not start:\n{}", self.log());
                sleep(Duration::from_millis(20)).await;
            }
        }
    }

    /// Ends it; accounts and orders are forgotten.
    pub fn stop(&mut self) {
        for mut child in self.children.drain(..) {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    pub fn directory(&self) -> String {
        format!("https://localhost:{}/dir", self.port)
    }

    /// The certificate of its own HTTPS.
    pub fn trust(&self) -> PathBuf {
        self.folder.path().join("cert.pem")
    }

    /// What it printed.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// A client's trust in what it issues.
    pub async fn roots(&self) -> RootCertStore {
        let mut own = RootCertStore::empty();
        own.add(CertificateDer::from_pem_file(self.trust()).unwrap()).unwrap();
        let stream = TcpStream::connect(("127.0.0.1", self.management)).await.unwrap();
        let connector = TlsConnector::from(client(own));
        let mut stream = connector.connect(ServerName::try_from("localhost").unwrap(), stream).await.unwrap();
        stream.write_all(b"GET /roots/0 HTTP/1.0\r\nHost: localhost\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        // Some servers end without a TLS goodbye.
        let _ = stream.read_to_end(&mut answer).await;
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(&answer).unwrap()).unwrap();
        roots
    }
}

impl Drop for Pebble {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            let _ = std::io::stderr().write_all(self.log().as_bytes());
        }
    }
}

/// A client that trusts in `roots`.
pub fn client(roots: RootCertStore) -> Arc<ClientConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    // A resumed session shows the certificate of the first one.
    config.resumption = Resumption::disabled();
    Arc::new(config)
}

/// The only file in a folder of the store, below the authority's.
pub fn only_file(store: &Path, folder: &str) -> Option<PathBuf> {
    let authority = fs::read_dir(store).ok()?.next()?.ok()?.path();
    let mut files = fs::read_dir(authority.join(folder)).ok()?.filter_map(Result::ok);
    files.find(|file| !file.file_name().to_string_lossy().starts_with('.')).map(|file| file.path())
}

fn free() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
