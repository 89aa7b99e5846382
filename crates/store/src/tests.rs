//! Ways to a real server: TLS, users, databases, and what is said when they lead nowhere.

use std::{
    fmt, fs,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use seaworthy_core::Shutdown;
use tokio::time::sleep;
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};

use crate::{
    Redis, Settings, Take,
    server::{Server, free_port},
};

/// What was logged as a warning or worse.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.push_str(&format!("{field}={value:?} "));
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::WARN
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

fn store(address: &str, trust: Option<&Path>) -> Redis {
    let mut settings: Settings =
        serde_json::from_str(&format!(r#"{{"redis":"{address}","patience":"500ms"}}"#)).unwrap();
    settings.trust = trust.map(Into::into);
    Redis::build(&settings, "node").unwrap().unwrap()
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..1_200 {
        if holds() {
            return;
        }
        sleep(Duration::from_millis(25)).await;
    }
    panic!("not in time: {what}");
}

/// Counts there, by all that is needed for it, and looks up an answer.
async fn counts(address: &str, trust: Option<&Path>) {
    let (store, shutdown) = (store(address, trust), Shutdown::new());
    let answers = store.answers();
    shutdown.spawn(store.clone().run(shutdown.clone()));
    shutdown.spawn(answers.clone().run(None, shutdown.clone()));
    until(address, || store.is_up() && answers.is_up()).await;
    let take = Take {
        key: "seaworthy:rate:test",
        unit: 1_000_000_000,
        window: 10_000_000_000,
        least: 1,
        most: 2,
        owed: 0,
        owed_for: Duration::ZERO,
    };
    let taken = store.taken(&mut store.take(&take), Duration::from_secs(30)).await.unwrap().unwrap();
    assert_eq!(taken.granted, 2, "{address}");
    assert_eq!(answers.read(b"x").await.unwrap(), None);
    answers.announce(bytes::Bytes::from_static(b"x")).await.unwrap();
    shutdown.begin();
    assert!(shutdown.finished(sleep(Duration::from_secs(5))).await);
}

/// What is logged within a while in which it never comes up.
async fn says(address: &str, trust: Option<&Path>) -> String {
    let log = Log::default();
    let guard = tracing::subscriber::set_default(log.clone());
    let (store, shutdown) = (store(address, trust), Shutdown::new());
    shutdown.spawn(store.clone().run(shutdown.clone()));
    until("it is said", || !log.lines().is_empty()).await;
    sleep(Duration::from_secs(2)).await;
    assert!(!store.is_up());
    shutdown.begin();
    shutdown.finished(sleep(Duration::from_secs(5))).await;
    drop(guard);
    let lines = log.lines();
    assert!(lines.len() == 1 && lines[0].contains("the store does not answer"), "once: {lines:?}");
    lines[0].clone()
}

/// An authority, and a certificate of this name by it; as files in a folder.
fn certificates(folder: &Path, name: &str) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
    fs::write(folder.join("authority.pem"), authority.pem()).unwrap();
    fs::write(folder.join("certificate.pem"), certificate.pem()).unwrap();
    fs::write(folder.join("key.pem"), key.serialize_pem()).unwrap();
}

#[tokio::test]
async fn passwords_users_and_databases_are_of_the_address() {
    let Some(redis) = Server::start(&["--requirepass", "s3cret"]) else { return };
    let at = |login: &str, rest: &str| format!("redis://{login}127.0.0.1:{}{rest}", redis.port);
    counts(&at(":s3cret@", "/5"), None).await;
    let owner = at(":s3cret@", "");
    let keys = redis.ask_at(&at(":s3cret@", "/5"), &["DBSIZE"]).await.as_u64();
    assert_eq!((keys, redis.ask_at(&owner, &["DBSIZE"]).await.as_u64()), (Some(3), Some(0)));
    // All that the guide says a user needs.
    let rights = "+@connection +@scripting +@read +@write +info +time ~seaworthy:*";
    let user: Vec<&str> = ["ACL", "SETUSER", "node", "on", ">p@ss"].into_iter().chain(rights.split(' ')).collect();
    redis.ask_at(&owner, &user).await;
    counts(&at("node:p%40ss@", ""), None).await;
    for login in [":wr0ng@", "node:wr0ng@", "nobody:wr0ng@"] {
        let said = says(&at(login, ""), None).await;
        assert!(said.contains("WRONGPASS") && said.contains("Look at user and password in store.redis"), "{said}");
        assert!(!said.contains("wr0ng"), "{said}");
    }
    let said = says(&at("", ""), None).await;
    assert!(said.contains("NOAUTH"), "{said}");
    redis.ask_at(&owner, &["ACL", "SETUSER", "node", "-@scripting"]).await;
    let said = says(&at("node:p%40ss@", ""), None).await;
    assert!(said.contains("NOPERM") && !said.contains("p@ss"), "{said}");
    let said = says(&at(":s3cret@", "/99"), None).await;
    assert!(said.contains("DB index is out of range"), "{said}");
}

#[tokio::test]
async fn tls_is_trusted_by_a_file_and_by_the_name() {
    // Valkey as it comes from PyPI is built without TLS.
    if std::env::var_os("SEAWORTHY_TEST_STORE").is_some() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    certificates(folder.path(), "127.0.0.1");
    let (certificate, key, port) = (path("certificate.pem"), path("key.pem"), free_port().to_string());
    let files =
        ["--tls-port", &port, "--tls-cert-file", &certificate, "--tls-key-file", &key, "--tls-auth-clients", "no"];
    let files = [&files[..], &["--tls-ca-cert-file", &certificate, "--requirepass", "s3cret"]].concat();
    let Some(redis) = Server::start(&files) else { return };
    let trust = folder.path().join("authority.pem");
    counts(&format!("rediss://:s3cret@127.0.0.1:{port}/1"), Some(&trust)).await;
    let said = says(&format!("rediss://:s3cret@127.0.0.1:{port}"), None).await;
    assert!(said.contains("UnknownIssuer") && said.contains("store.trust") && !said.contains("s3cret"), "{said}");
    let said = says(&format!("rediss://:s3cret@localhost:{port}"), Some(&trust)).await;
    assert!(said.contains("NotValidForName") && !said.contains("s3cret"), "{said}");
    // TLS where there is none, and none where there is.
    let said = says(&format!("rediss://:s3cret@127.0.0.1:{}", redis.port), Some(&trust)).await;
    assert!(!said.contains("s3cret"), "{said}");
    let said = says(&format!("redis://:s3cret@127.0.0.1:{port}"), None).await;
    assert!(!said.contains("s3cret"), "{said}");
}
