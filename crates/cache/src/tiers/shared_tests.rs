//! Nodes that share answers in a real Redis, in one process.

use std::{
    net::TcpListener,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use http::HeaderMap;
use seaworthy_config::{ByteSize, SecretRef};
use seaworthy_core::{Purge, PurgeCache, Shutdown};
use seaworthy_store::Redis;
use tempfile::TempDir;
use tokio::time::sleep;

use super::Tier;
use crate::{
    fill::tests::{fill, put},
    purge::tag_hash,
    settings::Settings,
    shard::tests::key,
    store::{Found, Store},
    stored::{
        Stored,
        tests::{headers, stored},
    },
};

/// A real server; killed when it is dropped.
struct Server(Child, u16);

impl Server {
    /// `None`: it is not on this machine, and that is no failure.
    fn start() -> Option<Self> {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Self::start_at(port)
    }

    fn start_at(port: u16) -> Option<Self> {
        let program = std::env::var("SEAWORTHY_TEST_STORE").unwrap_or_else(|_| "redis-server".into());
        let mut command = Command::new(program);
        command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""]);
        match command.stdout(Stdio::null()).stderr(Stdio::null()).spawn() {
            Ok(process) => Some(Self(process, port)),
            Err(error) => {
                let required = std::env::var("SEAWORTHY_TEST_REQUIRE").is_ok_and(|what| what == "all");
                assert!(!required, "install the Debian package redis-server: {error}");
                None
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Node {
    store: Store,
    control: Shutdown,
}

impl Node {
    async fn start(port: u16, disk: Option<&TempDir>) -> Self {
        let node = Self::begin(port, disk).await;
        until("it shares", || node.store.shares() == Some(true)).await;
        node.settled().await;
        let tiers = node.store.tiers().unwrap();
        until("its disk is read", || !tiers.0.disk_waits.load(std::sync::atomic::Ordering::Relaxed)).await;
        node
    }

    async fn begin(port: u16, disk: Option<&TempDir>) -> Self {
        let (store, control) = (Store::default(), Shutdown::new());
        store.resize(1 << 20);
        let address = format!("redis://127.0.0.1:{port}");
        let redis = Some(SecretRef::Literal(seaworthy_core::Secret::new(address)));
        // A busy machine is no subject of these tests.
        let patience = seaworthy_config::HumanDuration(Duration::from_millis(500));
        let redis = Redis::build(&seaworthy_store::Settings { redis, patience, ..Default::default() }, "node");
        let redis = redis.unwrap().unwrap();
        let settings = Settings {
            shared: true,
            disk: ByteSize(if disk.is_some() { 16 << 20 } else { 0 }),
            disk_path: disk.map_or("/nowhere/cache.db".into(), |folder| folder.path().join("cache.db")),
            ..Settings::default()
        };
        store.open_tiers(&settings, Some(&redis), &control).await;
        Self { store, control }
    }

    /// All that the log has told is taken in.
    async fn settled(&self) {
        let tiers = self.store.tiers().unwrap();
        until("it has heard", || tiers.0.shared.as_ref().unwrap().is_at(tiers.position())).await;
    }

    async fn put(&self, target: &str, stored: Stored) {
        put(&self.store, &key(target), stored);
        self.store.tiers().unwrap().flush().await;
    }

    async fn below(&self, target: &str) -> Option<(Tier, String)> {
        self.settled().await;
        let (tier, saved) = self.store.tiers().unwrap().look(&key(target), &[0; 32], &HeaderMap::new()).await?;
        Some((tier, String::from_utf8(saved.stored.body.to_vec()).unwrap()))
    }

    async fn gets(&self, target: &str) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while self.below(target).await.is_none() {
            assert!(Instant::now() < deadline, "{target} does not come");
            sleep(Duration::from_millis(5)).await;
        }
    }

    fn in_memory(&self, target: &str) -> bool {
        matches!(self.store.find(&key(target), &HeaderMap::new()), Found::Answer(_))
    }

    async fn end(self) {
        self.control.begin();
        assert!(self.control.finished(sleep(Duration::from_secs(10))).await);
    }
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

fn plain(body: &'static str) -> Stored {
    stored(&HeaderMap::new(), headers(&[]), body)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_node_has_fetched_others_have_until_one_removes_it() {
    let Some(server) = Server::start() else { return };
    let (a, b) = (Node::start(server.1, None).await, Node::start(server.1, None).await);
    for (order, target) in [
        (Purge::Url("/a".into()), "/a"),
        (Purge::Prefix("/b/".into()), "/b/1"),
        (Purge::Tag("t".into()), "/c"),
        (Purge::All(true), "/d"),
    ] {
        a.put(target, Stored { tags: vec![tag_hash(b"t")], ..plain("one") }).await;
        b.gets(target).await;
        assert_eq!(b.below(target).await.unwrap(), (Tier::Redis, "one".to_owned()));
        // In memory of the other one too.
        let (tier, saved) = b.store.tiers().unwrap().look(&key(target), &[0; 32], &HeaderMap::new()).await.unwrap();
        fill(&b.store, &key(target)).restore(tier, saved).unwrap();
        assert!(b.in_memory(target));
        assert_eq!(a.store.purge(&order).await, Ok(1), "{order:?}");
        assert!(a.below(target).await.is_none(), "{order:?}");
        until("the other one has heard", || !b.in_memory(target)).await;
        assert!(b.below(target).await.is_none(), "{order:?}");
        // And what is fetched afterwards is good for both.
        b.put(target, plain("two")).await;
        a.gets(target).await;
        assert_eq!(a.below(target).await.unwrap().1, "two");
    }
    a.store.changed(b"http://a.test", &["/d"]).await;
    until("the other one has heard of a change", || !b.in_memory("/d")).await;
    assert!(b.below("/d").await.is_none());
    a.end().await;
    b.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_fetched_before_a_removal_and_written_after_it_is_not_believed() {
    let Some(server) = Server::start() else { return };
    let (a, b) = (Node::start(server.1, None).await, Node::start(server.1, None).await);
    let fetching = fill(&a.store, &key("/a"));
    // As if the word of it were late: in the log, but not heard by the one who fetches.
    let late = fetching.through_for_tests();
    b.store.purge(&Purge::Url("/a".into())).await.unwrap();
    a.settled().await;
    drop(fetching);
    a.store.tiers().unwrap().write(&key("/a"), &late, &std::sync::Arc::new(plain("old")));
    a.store.tiers().unwrap().flush().await;
    a.put("/other", plain("new")).await;
    b.gets("/other").await;
    assert!(b.below("/a").await.is_none() && a.below("/a").await.is_none());
    a.end().await;
    b.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_removed_while_a_node_was_down_is_not_on_its_disk() {
    let Some(server) = Server::start() else { return };
    let (folder, own) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (a, b) = (Node::start(server.1, Some(&own)).await, Node::start(server.1, Some(&folder)).await);
    a.store.purge(&Purge::Url("/first".into())).await.unwrap();
    for target in ["/kept", "/purged"] {
        b.put(target, plain("one")).await;
        assert_eq!(b.below(target).await.unwrap().0, Tier::Disk);
    }
    b.end().await;
    a.store.purge(&Purge::Url("/purged".into())).await.unwrap();
    let b = Node::start(server.1, Some(&folder)).await;
    until("it has caught up", || !b.store.tiers().unwrap().0.disk_waits.load(std::sync::atomic::Ordering::Relaxed))
        .await;
    assert_eq!(b.below("/kept").await.unwrap().0, Tier::Disk);
    assert!(b.below("/purged").await.is_none());
    b.end().await;
    // A log that has begun anew tells nothing of what was removed meanwhile: all is forgotten.
    let port = server.1;
    drop(server);
    let _server = Server::start_at(port).unwrap();
    let b = Node::start(port, Some(&folder)).await;
    assert!(b.below("/kept").await.is_none());
    b.end().await;
    a.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_server_the_rest_goes_on_and_removals_are_told_when_it_is_back() {
    let Some(server) = Server::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (Node::start(server.1, Some(&folder)).await, Node::start(server.1, None).await);
    a.put("/a", plain("one")).await;
    a.put("/b", plain("one")).await;
    b.gets("/a").await;
    let (port, stopped) = (server.1, nix_pid(&server));
    stopped("STOP");
    // It hangs: nobody waits for long, and what was there is there.
    let began = Instant::now();
    let found = a.store.tiers().unwrap().look(&key("/a"), &[0; 32], &HeaderMap::new()).await;
    assert_eq!(found.unwrap().0, Tier::Disk);
    for _ in 0..20 {
        assert!(a.store.tiers().unwrap().look(&key("/none"), &[0; 32], &HeaderMap::new()).await.is_none());
    }
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    until("it is known to be down", || a.store.shares() == Some(false)).await;
    let error = a.store.purge(&Purge::Url("/a".into())).await.unwrap_err();
    assert_eq!(error.removed, 1);
    assert!(a.store.tiers().unwrap().look(&key("/a"), &[0; 32], &HeaderMap::new()).await.is_none());
    assert!(a.store.tiers().unwrap().look(&key("/b"), &[0; 32], &HeaderMap::new()).await.is_some());
    put(&b.store, &key("/a"), plain("from elsewhere"));
    stopped("CONT");
    until("the other one has heard of it", || !b.in_memory("/a")).await;
    until("both share again", || a.store.shares() == Some(true) && b.store.shares() == Some(true)).await;
    assert!(b.below("/a").await.is_none(), "it is in the store, and older than its removal");
    drop(server);
    until("it is gone", || a.store.shares() == Some(false)).await;
    a.put("/c", plain("two")).await;
    assert!(a.store.tiers().unwrap().look(&key("/c"), &[0; 32], &HeaderMap::new()).await.is_some());
    let _server = Server::start_at(port).unwrap();
    until("both share again", || a.store.shares() == Some(true) && b.store.shares() == Some(true)).await;
    b.settled().await;
    a.settled().await;
    a.put("/d", plain("three")).await;
    b.gets("/d").await;
    a.end().await;
    b.end().await;
}

/// Sends a signal to the server by its id.
fn nix_pid(server: &Server) -> impl Fn(&str) + use<> {
    let id = server.0.id().to_string();
    move |signal| {
        let sent = Command::new("kill").args([&format!("-{signal}"), &id]).status().unwrap();
        assert!(sent.success());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_a_long_target_takes_out_that_alone() {
    let Some(server) = Server::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (Node::start(server.1, None).await, Node::start(server.1, Some(&folder)).await);
    let long = format!("/{}", "a".repeat(16_360));
    let other = format!("{}b", &long[..long.len() - 1]);
    for target in [&long[..], &other, "/kept"] {
        b.put(target, plain("one")).await;
    }
    assert_eq!(b.below(&long).await.unwrap().0, Tier::Disk);
    a.store.changed(b"http://a.test", &[&long]).await;
    until("the other one has heard", || !b.in_memory(&long)).await;
    b.store.tiers().unwrap().flush().await;
    assert!(b.below(&long).await.is_none());
    assert!(b.in_memory("/kept") && b.in_memory(&other) && b.below(&other).await.is_some());
    a.end().await;
    b.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_removed_last_is_told_before_the_end() {
    let Some(server) = Server::start() else { return };
    let (a, b) = (Node::start(server.1, None).await, Node::start(server.1, None).await);
    b.put("/a", plain("one")).await;
    b.put("/kept", plain("one")).await;
    let tiers = a.store.tiers().unwrap();
    let mut removals: Vec<_> = (0..500).map(super::Removal::Tag).collect();
    removals.push(super::Removal::of(&Purge::Url("/a".into())).unwrap());
    for removal in &removals {
        let number = tiers.note(removal);
        drop(tiers.remove(number, removal));
    }
    a.end().await;
    until("the other one has heard", || !b.in_memory("/a")).await;
    assert!(b.in_memory("/kept"));
    b.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn large_answers_are_not_given_to_other_nodes() {
    let Some(server) = Server::start() else { return };
    let (a, b) = (Node::start(server.1, None).await, Node::start(server.1, None).await);
    let large = |size: usize| Stored { body: vec![b'x'; size].into(), ..plain("") };
    a.put("/large", large(super::SHARED_LARGEST)).await;
    a.put("/small", large(super::SHARED_LARGEST - 2_000)).await;
    b.gets("/small").await;
    assert!(b.below("/large").await.is_none());
    a.end().await;
    b.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_was_set_back_is_told_so_by_who_was_ahead() {
    let Some(server) = Server::start() else { return };
    let port = server.1.to_string();
    let ask = |words: &[&str]| {
        let answer = Command::new("redis-cli").args(["-p", &port]).args(words).output().unwrap();
        String::from_utf8_lossy(&answer.stdout).into_owned()
    };
    let (log, a) = ("seaworthy:cache:removals", Node::start(server.1, None).await);
    a.store.purge(&Purge::Url("/other".into())).await.unwrap();
    a.settled().await;
    put(&a.store, &key("/a"), plain("one"));
    let last = ask(&["XREVRANGE", log, "+", "-", "COUNT", "1"]);
    let last = last.lines().next().unwrap();
    assert_eq!(ask(&["XDEL", log, last]).trim(), "1");
    until("it has forgotten", || !a.in_memory("/a")).await;
    until("it is told", || ask(&["XLEN", log]).trim() == "2").await;
    a.settled().await;
    a.put("/b", plain("two")).await;
    let b = Node::start(server.1, None).await;
    a.put("/c", plain("two")).await;
    b.gets("/c").await;
    a.end().await;
    b.end().await;
}
