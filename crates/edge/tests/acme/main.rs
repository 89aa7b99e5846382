//! Certificates from a real authority (Pebble, the ACME server that Let's Encrypt tests clients with).

#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "tests: a panic is how they fail")]

mod node;
mod pebble;

use std::{fs, time::Duration};

use seaworthy_edge::tls::{CertificateSource, ChallengeKind};
use tempfile::tempdir;

use node::{Doors, Node, settings, until};
use pebble::{Options, Pebble, client, only_file};

const HOUR: u64 = 60 * 60;
const BOTH: [ChallengeKind; 2] = [ChallengeKind::TlsAlpn01, ChallengeKind::Http01];

/// An authority that looks where `doors` lead.
fn authority(doors: &Doors, validity: u64) -> Pebble {
    Pebble::prepare(Options { tls: doors.tls(), http: doors.http(), validity })
}

async fn each_host_gets_a_certificate_by(kind: ChallengeKind) {
    let (doors, store) = (Doors::open().await, tempdir().unwrap());
    let mut pebble = authority(&doors, HOUR);
    pebble.start().await;
    let node = Node::start(doors, &["a.example.test", "b.example.test"], &settings(&pebble, store.path(), &[kind]));
    assert_eq!(node.report("a.example.test").source, CertificateSource::SelfSigned);
    assert!(!node.readiness.is_ready());
    let client = client(pebble.roots().await);
    for host in ["a.example.test", "b.example.test"] {
        until(host, async || node.visit(host, &client).await.ok()).await;
        assert_eq!(node.report(host).source, CertificateSource::Acme);
        until("no problem", async || node.report(host).problem.is_none().then_some(())).await;
    }
    until("readiness", async || node.readiness.is_ready().then_some(())).await;
    assert_eq!(only_file(store.path(), "challenges"), None, "answers are taken away");
    assert_eq!(only_file(store.path(), "orders"), None);
}

#[tokio::test]
async fn tls_alpn_01() {
    if pebble::is_there() {
        each_host_gets_a_certificate_by(ChallengeKind::TlsAlpn01).await;
    }
}

#[tokio::test]
async fn http_01() {
    if pebble::is_there() {
        each_host_gets_a_certificate_by(ChallengeKind::Http01).await;
    }
}

#[tokio::test]
async fn an_authority_that_is_down_is_named_and_asked_again() {
    if !pebble::is_there() {
        return;
    }
    let (doors, store) = (Doors::open().await, tempdir().unwrap());
    let mut pebble = authority(&doors, HOUR);
    let node = Node::start(doors, &["a.example.test"], &settings(&pebble, store.path(), &BOTH));
    let problem = until("the problem", async || node.report("a.example.test").problem).await;
    assert!(problem.contains("no connection to localhost"), "{problem}");
    pebble.start().await;
    let client = client(pebble.roots().await);
    until("a certificate", async || node.visit("a.example.test", &client).await.ok()).await;
    until("no problem", async || node.report("a.example.test").problem.is_none().then_some(())).await;
}

/// The authority reaches the second node alone: it answers for whoever orders.
#[tokio::test]
async fn nodes_that_share_a_store_share_account_challenges_and_certificate() {
    if !pebble::is_there() {
        return;
    }
    let (doors, other, store) = (Doors::open().await, Doors::open().await, tempdir().unwrap());
    let mut pebble = authority(&other, HOUR);
    pebble.start().await;
    let acme = settings(&pebble, store.path(), &BOTH);
    let hosts = ["a.example.test"];
    let nodes = [Node::start(doors, &hosts, &acme), Node::start(other, &hosts, &acme)];
    let client = client(pebble.roots().await);
    let mut seen = Vec::new();
    for node in &nodes {
        seen.push(until("a certificate", async || node.visit(hosts[0], &client).await.ok()).await);
    }
    assert_eq!(seen[0], seen[1]);
    assert_eq!(pebble.log().matches("Issued certificate serial").count(), 1, "{}", pebble.log());
    assert_eq!(pebble.log().matches("There are now 1 accounts").count(), 1, "{}", pebble.log());
    assert!(!pebble.log().contains("There are now 2 accounts"));
}

#[tokio::test]
async fn renewed_before_the_end_without_a_failed_handshake() {
    if !pebble::is_there() {
        return;
    }
    let (doors, store) = (Doors::open().await, tempdir().unwrap());
    let mut pebble = authority(&doors, 15);
    pebble.start().await;
    let node = Node::start(doors, &["a.example.test"], &settings(&pebble, store.path(), &BOTH));
    let client = client(pebble.roots().await);
    let first = until("a certificate", async || node.visit("a.example.test", &client).await.ok()).await;
    until("another certificate", async || {
        let now = node.visit("a.example.test", &client).await.expect("valid at every moment");
        (now != first).then_some(())
    })
    .await;
}

/// Killed between order and certificate: the next process finishes the order with the key that was kept.
#[tokio::test]
async fn an_order_outlives_its_process() {
    if !pebble::is_there() {
        return;
    }
    let (doors, other, store) = (Doors::open().await, Doors::open().await, tempdir().unwrap());
    let mut pebble = authority(&other, HOUR);
    pebble.start().await;
    let acme = settings(&pebble, store.path(), &BOTH);
    let hosts = ["a.example.test"];
    // Nobody answers the authority, so the order stays open until the process dies.
    let first = Node::start(doors, &hosts, &acme);
    let order = until("an order", async || {
        let order: serde_json::Value =
            serde_json::from_slice(&fs::read(only_file(store.path(), "orders")?).ok()?).ok()?;
        Some(order)
    })
    .await;
    drop(first);
    let second = Node::start(other, &hosts, &acme);
    let client = client(pebble.roots().await);
    until("a certificate", async || second.visit(hosts[0], &client).await.ok()).await;
    let kept = fs::read_to_string(only_file(store.path(), "certificates").unwrap()).unwrap();
    assert!(kept.starts_with(order["key"].as_str().unwrap()), "another key was used");
}

#[tokio::test]
async fn a_host_that_cannot_be_verified_is_explained_and_not_hammered() {
    if !pebble::is_there() {
        return;
    }
    let (doors, elsewhere, store) = (Doors::open().await, Doors::open().await, tempdir().unwrap());
    let mut pebble = authority(&elsewhere, HOUR);
    drop(elsewhere);
    pebble.start().await;
    let acme = settings(&pebble, store.path(), &BOTH);
    let node = Node::start(doors, &["a.example.test"], &acme);
    let refused = |problem: &String| problem.contains("could not verify");
    let problem = until("the problem", async || node.report("a.example.test").problem.filter(refused)).await;
    assert!(problem.contains("tls-alpn-01"), "{problem}");
    let failure = fs::read_to_string(only_file(store.path(), "failures").unwrap()).unwrap();
    let second = Node::start(Doors::open().await, &["a.example.test"], &acme);
    until("the problem on another node", async || second.report("a.example.test").problem).await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(
        fs::read_to_string(only_file(store.path(), "failures").unwrap()).unwrap(),
        failure,
        "tried again at once"
    );
}

#[tokio::test]
async fn an_authority_that_forgot_us_gets_a_new_account() {
    if !pebble::is_there() {
        return;
    }
    let (doors, store) = (Doors::open().await, tempdir().unwrap());
    let mut pebble = authority(&doors, HOUR);
    pebble.start().await;
    let acme = settings(&pebble, store.path(), &BOTH);
    let node = Node::start(doors, &["a.example.test"], &acme);
    until("a certificate", async || (node.report("a.example.test").source == CertificateSource::Acme).then_some(()))
        .await;
    pebble.stop();
    pebble.start().await;
    let client = client(pebble.roots().await);
    fs::remove_file(only_file(store.path(), "certificates").unwrap()).unwrap();
    node.tls
        .replace(&["a.example.test".to_owned()], &Default::default(), Some(&acme), true)
        .expect("the same settings again");
    until("a certificate of the new authority", async || node.visit("a.example.test", &client).await.ok()).await;
}
