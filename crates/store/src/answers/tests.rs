//! Against a real server, which is stopped, killed, emptied and filled up.

use std::{process::Command, time::Instant};

use tokio::time::sleep;

use super::*;
use crate::{Redis, Settings, server::Server};

struct Node {
    answers: Answers,
    events: mpsc::Receiver<Event>,
    shutdown: Shutdown,
}

impl Node {
    async fn start(port: u16, since: Option<u64>) -> Self {
        let node = Self::begin(port, since);
        node.until("it is up", |answers| answers.is_up()).await;
        node
    }

    fn begin(port: u16, since: Option<u64>) -> Self {
        // This machine may be busy with other tests: how long it takes is looked at elsewhere.
        Self::build(&format!(r#"{{"redis":"redis://127.0.0.1:{port}","patience":"1s"}}"#), since)
    }

    fn build(text: &str, since: Option<u64>) -> Self {
        let settings: Settings = serde_json::from_str(text).unwrap();
        let answers = Redis::build(&settings, "node").unwrap().unwrap().answers();
        let (events, shutdown) = (answers.events(), Shutdown::new());
        shutdown.spawn(answers.clone().run(since, shutdown.clone()));
        Self { answers, events, shutdown }
    }

    async fn until(&self, what: &str, holds: impl Fn(&Answers) -> bool) {
        for _ in 0..1_200 {
            if holds(&self.answers) {
                return;
            }
            sleep(Duration::from_millis(25)).await;
        }
        panic!("not in time: {what}");
    }

    /// Announces when it is up; a machine that is busy with other tests may have lost it for a moment.
    async fn announce(&self, bytes: Bytes) -> u64 {
        self.until("it is up", Answers::is_up).await;
        self.answers.announce(bytes).await.unwrap()
    }

    async fn event(&mut self) -> Event {
        timeout(Duration::from_secs(30), self.events.recv()).await.expect("an event in time").unwrap()
    }

    /// The next removal, which must come next.
    async fn removal(&mut self) -> (u64, Bytes) {
        match self.event().await {
            Event::Removal { id, bytes } => (id, bytes),
            gap => panic!("{gap:?}"),
        }
    }

    async fn gap(&mut self) -> u64 {
        match self.event().await {
            Event::Gap { id } => id,
            removal => panic!("{removal:?}"),
        }
    }

    async fn reads(&self, key: &[u8], expected: Option<&Bytes>) {
        for _ in 0..400 {
            if self.answers.read(key).await.is_ok_and(|found| found.as_ref() == expected) {
                return;
            }
            sleep(Duration::from_millis(25)).await;
        }
        panic!("never read: {:?}", String::from_utf8_lossy(key));
    }

    async fn stop(self) {
        self.shutdown.begin();
        assert!(self.shutdown.finished(sleep(Duration::from_secs(5))).await, "all tasks end");
    }
}

const MINUTE: Duration = Duration::from_secs(60);

fn text(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_node_writes_another_reads_until_it_is_removed_or_too_old() {
    let Some(redis) = Server::start(&[]) else { return };
    let (one, other) = (Node::start(redis.port, None).await, Node::start(redis.port, None).await);
    // Not text, and as large as an answer may be.
    let large = Bytes::from((0..1 << 20).map(|number| (number % 251) as u8).collect::<Vec<_>>());
    assert_eq!(other.answers.read(b"\xff large").await.unwrap(), None);
    assert!(one.answers.write(b"\xff large".to_vec(), large.clone(), MINUTE));
    assert!(one.answers.write(b"empty".to_vec(), Bytes::new(), MINUTE));
    other.reads(b"\xff large", Some(&large)).await;
    other.reads(b"empty", Some(&Bytes::new())).await;
    one.answers.remove([b"\xff large".to_vec(), b"never there".to_vec()]).await.unwrap();
    assert_eq!(other.answers.read(b"\xff large").await.unwrap(), None);
    assert!(one.answers.write(b"short".to_vec(), text("lived"), Duration::from_millis(700)));
    other.reads(b"short", Some(&text("lived"))).await;
    other.reads(b"short", None).await;
    assert_eq!(redis.ask(&["KEYS", "*"]).await.into_array().len(), 2, "one answer, and the log");
    one.stop().await;
    other.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn removals_come_to_every_node_in_order_and_once() {
    let Some(redis) = Server::start(&[]) else { return };
    let (mut one, mut other) = (Node::start(redis.port, None).await, Node::start(redis.port, None).await);
    assert_eq!(one.gap().await, other.gap().await, "nobody knows what was before");
    let mut announced = Vec::new();
    for number in 0..600_u32 {
        let from = if number % 2 == 0 { &one } else { &other };
        let bytes = Bytes::copy_from_slice(&number.to_be_bytes());
        let id = from.announce(bytes.clone()).await;
        announced.push((id, bytes));
    }
    assert!(announced.is_sorted(), "numbers grow");
    for node in [&mut one, &mut other] {
        for expected in &announced {
            assert_eq!(&node.removal().await, expected);
        }
    }
    let last = announced[599].0;
    other.until("it has read all", |answers| answers.position() == last).await;
    // Who was away goes on where it was.
    other.stop().await;
    let missed = one.announce(text("meanwhile")).await;
    let mut again = Node::start(redis.port, Some(last)).await;
    assert_eq!(again.removal().await, (missed, text("meanwhile")));
    let mut later = Node::start(redis.port, Some(missed)).await;
    let next = one.announce(text("next")).await;
    assert_eq!((later.removal().await, again.removal().await), ((next, text("next")), (next, text("next"))));
    assert!(matches!(one.answers.announce(Bytes::from(vec![b'x'; 20_000])).await, Err(StoreError::Refused(_))));
    let late = later.answers.events().recv().await;
    assert_eq!(late, Some(Event::Gap { id: next }), "who listens late is told so");
    one.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_may_have_been_missed_is_a_gap() {
    let Some(redis) = Server::start(&[]) else { return };
    let mut one = Node::start(redis.port, None).await;
    let begin = one.gap().await;
    let first = one.announce(text("1")).await;
    assert_eq!(one.removal().await, (first, text("1")));
    for number in 0..300 {
        one.announce(Bytes::from(number.to_string())).await;
        one.removal().await;
    }
    redis.ask(&["XTRIM", KEY, "MAXLEN", "100"]).await;
    let mut away = Node::start(redis.port, Some(first)).await;
    let last = away.gap().await;
    assert_eq!((last, begin < first), (one.answers.position(), true), "cut");
    let next = one.announce(text("2")).await;
    assert_eq!((away.removal().await.0, one.removal().await.0), (next, next), "nobody else lost anything");
    redis.ask(&["FLUSHALL"]).await;
    assert!(one.gap().await > next, "emptied");
    assert_eq!(one.answers.position(), away.gap().await);
    let next = away.answers.announce(text("3")).await.unwrap();
    assert_eq!((one.removal().await, away.removal().await), ((next, text("3")), (next, text("3"))));
    redis.ask(&["SET", KEY, "not a log"]).await;
    assert!(one.gap().await > next, "overwritten");
    away.gap().await;
    let next = one.announce(text("4")).await;
    assert_eq!(away.removal().await, (next, text("4")));
    // An older state, as after a failover: what was announced is taken off the end.
    redis.ask(&["XDEL", KEY, &format!("{next}-0")]).await;
    assert!(away.gap().await < next, "set back");
}

const KEY: &str = "seaworthy:cache:removals";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_under_writes_stops_nobody() {
    let Some(redis) = Server::start(&[]) else { return };
    let mut node = Node::start(redis.port, None).await;
    let before = node.gap().await;
    let value = Bytes::from(vec![7; 100_000]);
    let write = |number: u32| node.answers.write(number.to_be_bytes().to_vec(), value.clone(), MINUTE);
    (0..100).for_each(|number| {
        write(number);
    });
    let port = redis.kill();
    let began = Instant::now();
    (100..1_000).for_each(|number| {
        write(number);
    });
    assert!(began.elapsed() < Duration::from_millis(500), "a write never waits: {:?}", began.elapsed());
    node.until("its loss is seen", |answers| !answers.is_up()).await;
    let began = Instant::now();
    for _ in 0..1_000 {
        assert!(matches!(node.answers.read(b"x").await, Err(StoreError::Down)));
        assert!(!node.answers.write(b"x".to_vec(), text("x"), MINUTE));
    }
    node.until("its loss is noted", |answers| !answers.0.lookups.is_up()).await;
    assert!(matches!(node.answers.announce(text("x")).await, Err(StoreError::Down)));
    assert!(matches!(node.answers.remove([b"x".to_vec()]).await, Err(StoreError::Down)));
    assert!(began.elapsed() < Duration::from_secs(2), "nobody waits: {:?}", began.elapsed());
    let redis = Server::start_at(port, &[]).unwrap();
    node.until("it is back", Answers::is_up).await;
    assert!(node.gap().await > before, "it came back empty");
    assert!(node.answers.write(b"new".to_vec(), text("answer"), MINUTE));
    node.reads(b"new", Some(&text("answer"))).await;
    let id = node.announce(text("removal")).await;
    assert_eq!(node.removal().await, (id, text("removal")));
    drop(redis);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_restarts_with_its_log_is_read_on_from() {
    let folder = tempfile::tempdir().unwrap();
    let kept = ["--dir", folder.path().to_str().unwrap(), "--appendonly", "yes", "--appendfsync", "always"];
    let Some(redis) = Server::start(&kept) else { return };
    let mut node = Node::start(redis.port, None).await;
    node.gap().await;
    let first = node.announce(text("1")).await;
    assert_eq!(node.removal().await.0, first);
    let port = redis.kill();
    node.until("its loss is seen", |answers| !answers.is_up()).await;
    let redis = Server::start_at(port, &kept).unwrap();
    let other = Node::start(port, None).await;
    let second = other.announce(text("2")).await;
    assert_eq!(node.removal().await, (second, text("2")), "no gap: nothing was missed");
    drop(redis);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_server_refuses_is_an_answer_and_what_is_not_known_is_not_read() {
    let Some(redis) = Server::start(&[]) else { return };
    let mut node = Node::start(redis.port, None).await;
    node.gap().await;
    redis.ask(&["LPUSH", "seaworthy:cache:answer:list", "x"]).await;
    assert!(matches!(node.answers.read(b"list").await, Err(StoreError::Refused(why)) if why.starts_with("WRONGTYPE")));
    assert!(node.answers.write(b"small".to_vec(), text("small"), MINUTE));
    node.reads(b"small", Some(&text("small"))).await;
    redis.ask(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]).await;
    redis.ask(&["CONFIG", "SET", "maxmemory", "1mb"]).await;
    let refused = node.answers.announce(text("removal")).await;
    assert!(matches!(&refused, Err(StoreError::Refused(why)) if why.contains("OOM")), "{refused:?}");
    node.answers.write(b"more".to_vec(), text("more"), MINUTE);
    node.until("it was refused", |answers| answers.0.writes.is_refused()).await;
    assert!(node.answers.is_up(), "it answers all the same");
    node.reads(b"small", Some(&text("small"))).await;
    redis.ask(&["CONFIG", "SET", "maxmemory", "0"]).await;
    let id = node.announce(text("removal")).await;
    assert_eq!(node.removal().await, (id, text("removal")));
    // A stopped server answers nobody: what is removed elsewhere cannot be known here.
    let signal = |name: &str| {
        let process = redis.id().to_string();
        assert!(Command::new("kill").args([name, &process]).status().unwrap().success());
    };
    signal("-STOP");
    node.until("its silence is seen", |answers| !answers.is_up()).await;
    signal("-CONT");
    node.until("it is back", Answers::is_up).await;
    node.reads(b"small", Some(&text("small"))).await;
    let id = node.announce(text("another")).await;
    assert_eq!(node.removal().await, (id, text("another")), "nothing was missed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_than_the_queue_holds_is_left_out() {
    let Some(redis) = Server::start(&[]) else { return };
    let node = Node::start(redis.port, None).await;
    let value = Bytes::from(vec![7; 4 << 20]);
    assert!(!node.answers.write(b"huge".to_vec(), Bytes::from(vec![7; 33 << 20]), MINUTE), "more than all of it");
    let taken = (0..100_u32).filter(|number| node.answers.write(number.to_be_bytes().into(), value.clone(), MINUTE));
    let taken = taken.count();
    assert!((7..100).contains(&taken), "{taken}");
    node.until("the queue is empty", |answers| answers.0.writes.waiting() == 0).await;
    assert!(node.answers.write(b"last".to_vec(), text("last"), MINUTE));
    node.reads(b"last", Some(&text("last"))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn look_ups_that_are_late_do_not_make_it_down_within_the_default_patience() {
    let Some(redis) = Server::start(&[]) else { return };
    let node = Node::build(&format!(r#"{{"redis":"redis://127.0.0.1:{}"}}"#, redis.port), None);
    node.until("it is up", Answers::is_up).await;
    redis.ask(&["CLIENT", "PAUSE", "200"]).await;
    for number in 0..3 {
        assert!(node.answers.read(b"x").await.is_err(), "{number}");
        assert!(node.answers.is_up(), "{number}: the beat alone decides");
    }
}
