//! The tiers below a store, with a real database.

mod damage;

use std::{os::unix::fs::PermissionsExt, path::PathBuf, time::Duration};

use http::HeaderMap;
use seaworthy_config::ByteSize;
use seaworthy_core::{Purge, PurgeCache, Shutdown};
use tempfile::TempDir;
use tokio::time::sleep;

use super::{Tier, table};
use crate::{
    fill::tests::{fill, put},
    key::Key,
    purge::tag_hash,
    settings::Settings,
    shard::tests::{key, key_at},
    store::{Found, Store},
    stored::{
        Stored,
        tests::{headers, stored, terms},
    },
};

/// A store over a disk, as one process has it.
struct Process {
    store: Store,
    control: Shutdown,
}

impl Process {
    async fn start(folder: &TempDir, limit: u64) -> Self {
        let (store, control) = (Store::default(), Shutdown::new());
        store.resize(1 << 20);
        store.open_tiers(&settings(folder, limit), None, &control).await;
        Self { store, control }
    }

    async fn end(self) {
        self.control.begin();
        assert!(self.control.finished(sleep(Duration::from_secs(10))).await);
    }

    /// Everything that waits is written.
    async fn put(&self, key: &Key, stored: Stored) {
        put(&self.store, key, stored);
        self.flush().await;
    }

    async fn flush(&self) {
        self.store.tiers().unwrap().flush().await;
    }

    async fn below(&self, key: &Key, request: &HeaderMap) -> Option<Stored> {
        let (tier, saved) = self.store.tiers().unwrap().look(key, &[0; 32], request).await?;
        assert_eq!(tier, Tier::Disk);
        Some(saved.stored)
    }

    async fn has(&self, target: &str) -> bool {
        self.below(&key(target), &HeaderMap::new()).await.is_some()
    }

    async fn purge(&self, order: Purge) -> usize {
        self.store.purge(&order).await.unwrap()
    }
}

fn settings(folder: &TempDir, limit: u64) -> Settings {
    Settings { disk: ByteSize(limit), disk_path: path(folder), ..Settings::default() }
}

fn path(folder: &TempDir) -> PathBuf {
    folder.path().join("data/cache.db")
}

fn plain(body: &'static str) -> Stored {
    stored(&HeaderMap::new(), headers(&[("content-type", "text/plain")]), body)
}

fn large(bytes: usize) -> Stored {
    Stored { body: vec![b'x'; bytes].into(), ..plain("") }
}

const LIMIT: u64 = 16 << 20;

#[tokio::test]
async fn what_was_stored_is_there_in_the_next_process_and_for_nobody_else_to_read() {
    let folder = tempfile::tempdir().unwrap();
    let first = Process::start(&folder, LIMIT).await;
    first.put(&key("/a"), plain("one")).await;
    let mode = |path: PathBuf| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    for ending in ["", "-wal", "-shm", ".lock"] {
        assert_eq!(mode(format!("{}{ending}", path(&folder).display()).into()), 0o600, "{ending}");
    }
    assert_eq!(mode(folder.path().join("data")), 0o700);
    first.end().await;
    let second = Process::start(&folder, LIMIT).await;
    let found = second.below(&key("/a"), &HeaderMap::new()).await.unwrap();
    assert_eq!((&found.body[..], found.from_tier), (&b"one"[..], true));
    assert!(!second.has("/b").await);
    let other_policy = second.store.tiers().unwrap().look(&key("/a"), &[1; 32], &HeaderMap::new()).await;
    assert!(other_policy.is_none(), "stored by another policy");
    assert!(second.below(&key_at("http://b.test", "/a"), &HeaderMap::new()).await.is_none());
    second.end().await;
}

#[tokio::test]
async fn a_process_that_is_killed_leaves_a_whole_database_and_a_machine_that_falls_an_empty_one() {
    let folder = tempfile::tempdir().unwrap();
    let first = Process::start(&folder, LIMIT).await;
    first.put(&key("/a"), plain("one")).await;
    // As a kill leaves the files; another path, for the first process still has its lock.
    let copy = tempfile::tempdir().unwrap();
    std::fs::create_dir(copy.path().join("data")).unwrap();
    for name in ["cache.db", "cache.db-wal"] {
        std::fs::copy(folder.path().join("data").join(name), copy.path().join("data").join(name)).unwrap();
    }
    let second = Process::start(&copy, LIMIT).await;
    assert!(second.has("/a").await);
    second.end().await;
    let mut table = table::Table::open(&path(&copy), false).await.unwrap();
    table.pretend_another_boot().await;
    drop(table);
    sleep(Duration::from_millis(100)).await;
    let third = Process::start(&copy, LIMIT).await;
    assert!(!third.has("/a").await);
    third.end().await;
    first.end().await;
}

#[tokio::test]
async fn orders_reach_the_disk_and_hold_after_a_restart() {
    let orders: [(Purge, usize); 8] = [
        (Purge::Url("/a".into()), 2),
        (Purge::Url("http://A.test/a".into()), 1),
        (Purge::Prefix("/a".into()), 6),
        (Purge::Prefix("http://b.test/a/".into()), 1),
        (Purge::Prefix("http://b.test".into()), 4),
        (Purge::Tag("/d".into()), 2),
        (Purge::Tag("none".into()), 0),
        (Purge::All(true), 8),
    ];
    for (order, count) in orders {
        let folder = tempfile::tempdir().unwrap();
        let process = Process::start(&folder, LIMIT).await;
        let all: Vec<(&str, &str)> = ["http://a.test", "http://b.test"]
            .into_iter()
            .flat_map(|site| ["/a", "/a?b=1", "/a/c", "/d"].map(|target| (site, target)))
            .collect();
        for (site, target) in &all {
            let tags = vec![tag_hash(target.as_bytes())];
            put(&process.store, &key_at(site, target), Stored { tags, ..plain("x") });
        }
        process.flush().await;
        // What is on the disk alone is removed too.
        process.store.resize(0);
        assert_eq!(process.purge(order.clone()).await, count, "{order:?}");
        process.end().await;
        let process = Process::start(&folder, LIMIT).await;
        let mut left = 0;
        for (site, target) in &all {
            left += usize::from(process.below(&key_at(site, target), &HeaderMap::new()).await.is_some());
        }
        assert_eq!(left, all.len() - count, "{order:?}");
        process.end().await;
    }
}

#[tokio::test]
async fn what_is_removed_meanwhile_does_not_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(&folder, LIMIT).await;
    process.put(&key("/a"), plain("one")).await;
    process.store.resize(0);
    process.store.resize(1 << 20);
    // Looked up before, put into the memory after.
    let filling = fill(&process.store, &key("/a"));
    let (tier, saved) = process.store.tiers().unwrap().look(&key("/a"), &[0; 32], &HeaderMap::new()).await.unwrap();
    process.purge(Purge::Url("/a".into())).await;
    filling.restore(tier, saved);
    assert!(matches!(process.store.find(&key("/a"), &HeaderMap::new()), Found::Nothing));
    assert!(!process.has("/a").await);
    // A write that waits is removed by what comes after it.
    for round in 0..50 {
        put(&process.store, &key("/b"), plain("two"));
        let order = Purge::Url("/b".into());
        let removing = process.store.purge(&order);
        // It is given up before it is done: the order stands all the same.
        drop(tokio::time::timeout(Duration::from_nanos(1), removing).await);
        assert!(!process.has("/b").await, "{round}");
    }
    process.flush().await;
    assert!(!process.has("/b").await);
    process.end().await;
}

#[tokio::test]
async fn a_change_takes_out_all_that_it_names_though_the_client_leaves_and_the_disk_is_slow() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(&folder, LIMIT).await;
    let (site, targets) = (b"http://a.test", ["/a", "/b", "/c"]);
    for target in targets {
        process.put(&key(target), plain("one")).await;
    }
    let held = process.store.tiers().unwrap().hold();
    drop(tokio::time::timeout(Duration::from_nanos(1), process.store.changed(site, &targets)).await);
    for target in targets {
        assert!(matches!(process.store.find(&key(target), &HeaderMap::new()), Found::Nothing), "{target}");
        assert!(!process.has(target).await, "{target}");
    }
    // One patience for all of them.
    let began = std::time::Instant::now();
    process.store.changed(site, &targets).await;
    let took = began.elapsed();
    assert!((Duration::from_millis(900)..Duration::from_millis(1_900)).contains(&took), "{took:?}");
    drop(held);
    process.flush().await;
    process.end().await;
    let process = Process::start(&folder, LIMIT).await;
    for target in targets {
        assert!(!process.has(target).await, "{target}");
    }
    process.end().await;
}

#[tokio::test]
async fn variants_are_chosen_by_their_headers() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(&folder, LIMIT).await;
    let asking = |coding: &'static str| headers(&[("accept-encoding", coding), ("cookie", "sid=1")]);
    let vary = || headers(&[("vary", "accept-encoding, cookie")]);
    process.put(&key("/a"), stored(&asking("gzip"), vary(), "gzip")).await;
    process.put(&key("/a"), stored(&asking("br"), vary(), "br")).await;
    for coding in ["gzip", "br"] {
        assert_eq!(process.below(&key("/a"), &asking(coding)).await.unwrap().body, coding);
    }
    assert!(process.below(&key("/a"), &asking("zstd")).await.is_none());
    assert!(process.below(&key("/a"), &headers(&[("accept-encoding", "br"), ("cookie", "sid=2")])).await.is_none());
    // The one that was found is the same one as before.
    let found = process.below(&key("/a"), &asking("br")).await.unwrap();
    process.store.tiers().unwrap().forget(&key("/a"), &[0; 32], &found).await;
    process.flush().await;
    assert!(process.below(&key("/a"), &asking("br")).await.is_none());
    assert!(process.below(&key("/a"), &asking("gzip")).await.is_some());
    process.end().await;
}

#[tokio::test]
async fn the_limit_holds_and_what_is_used_stays() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(&folder, LIMIT).await;
    process.put(&key("/hot"), large(100_000)).await;
    for number in 0..400 {
        process.put(&key(&format!("/{number}")), large(100_000)).await;
        assert!(process.has("/hot").await, "{number}");
        assert!(process.store.disk().unwrap().0 <= LIMIT);
    }
    let mut kept = 0;
    for number in 0..400 {
        kept += usize::from(process.has(&format!("/{number}")).await);
    }
    assert!((120..=165).contains(&kept), "{kept}");
    let size = std::fs::metadata(path(&folder)).unwrap().len();
    assert!(size < LIMIT + LIMIT / 8, "{size}");
    // A smaller limit holds at once, and none leaves nothing.
    process.store.open_tiers(&settings(&folder, LIMIT / 2), None, &process.control).await;
    assert!(process.store.disk().unwrap().0 <= LIMIT / 2);
    process.store.open_tiers(&settings(&folder, 0), None, &process.control).await;
    assert!(!path(&folder).exists() && process.store.disk().is_none());
    process.put(&key("/hot"), plain("x")).await;
    assert!(!process.has("/hot").await);
    process.store.open_tiers(&settings(&folder, LIMIT), None, &process.control).await;
    process.put(&key("/hot"), plain("x")).await;
    assert!(process.has("/hot").await);
    process.end().await;
}

#[tokio::test]
async fn a_disk_that_was_off_meanwhile_is_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let first = Process::start(&folder, LIMIT).await;
    first.put(&key("/a"), plain("one")).await;
    first.end().await;
    let off = Process::start(&folder, 0).await;
    off.end().await;
    let third = Process::start(&folder, LIMIT).await;
    assert!(!third.has("/a").await);
    third.end().await;
}

#[tokio::test]
async fn what_is_of_no_use_is_neither_written_nor_given() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(&folder, LIMIT).await;
    let lasting = |seconds: u64, answer: HeaderMap| {
        let mut stored = stored(&HeaderMap::new(), answer, "x");
        stored.terms = terms(seconds);
        stored.terms.while_revalidate = Duration::ZERO;
        stored
    };
    process.put(&key("/short"), lasting(1, headers(&[]))).await;
    process.put(&key("/tagged"), lasting(1, headers(&[("etag", "\"a\"")]))).await;
    process.put(&key("/long"), lasting(3, headers(&[]))).await;
    assert!(!process.has("/short").await && process.has("/tagged").await && process.has("/long").await);
    sleep(Duration::from_millis(3_100)).await;
    assert!(process.has("/tagged").await && !process.has("/long").await);
    process.end().await;
}

#[tokio::test]
async fn too_much_at_once_is_left_out_and_holds_nobody_up() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(&folder, 1 << 30).await;
    process.store.resize(1 << 30);
    let began = std::time::Instant::now();
    for number in 0..100 {
        put(&process.store, &key(&format!("/{number}")), large(4_000_000));
    }
    let took = began.elapsed();
    process.flush().await;
    let mut there = 0;
    for number in 0..100 {
        there += usize::from(process.has(&format!("/{number}")).await);
    }
    assert!((1..100).contains(&there), "{there} in {took:?}");
    process.end().await;
}
