//! Keys against a real database, and an app that counts.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::{Request, Response};
use http_body_util::BodyExt;
use seaworthy_config::{ByteSize, HumanDuration};
use seaworthy_core::{Body, RequestContext, RequestId, Shutdown, full_body};
use tower::{Layer, Service, ServiceExt};

use super::{
    Idempotency, IdempotencyLayer, IdempotencySetting, StoreSettings, journal,
    settings::IdempotencyPolicy,
    stored::{Answer, Kept, Record},
    table::{Claimed, Table},
};

/// A store in a folder of its own, with an app that answers so many bytes.
struct Around {
    layer: IdempotencyLayer,
    asked: Arc<AtomicUsize>,
    answer: usize,
    _folder: tempfile::TempDir,
    control: Shutdown,
}

impl Around {
    async fn new(store: StoreSettings, ttl: HumanDuration, answer: usize, room: Option<i64>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = StoreSettings { path: folder.path().join("state/keys.db"), ..store };
        let control = Shutdown::new();
        let mut table = Table::open(&settings).await.unwrap();
        if let Some(pages) = room {
            table.leave_room(pages).await;
        }
        let keys = Idempotency::default();
        assert!(keys.0.set(journal::start(table, &control)).is_ok());
        let policy = IdempotencyPolicy { ttl, ..IdempotencyPolicy::default() };
        let layer = IdempotencyLayer::layer("/", &IdempotencySetting::Policy(policy), &keys, &control).unwrap();
        Self { layer, asked: Arc::default(), answer, _folder: folder, control }
    }

    /// The code of a problem, or the length of the app's answer.
    async fn post(&self, key: &str, client: &str) -> String {
        let (asked, answer) = (self.asked.clone(), self.answer);
        let app = tower::service_fn(move |request: Request<Body>| {
            let asked = asked.clone();
            async move {
                request.into_body().collect().await.unwrap();
                asked.fetch_add(1, Ordering::SeqCst);
                Ok::<_, Infallible>(Response::new(full_body("x".repeat(answer))))
            }
        });
        let mut service = self.layer.layer(app);
        let response = service.ready().await.unwrap().call(request(key, client)).await.unwrap();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        match serde_json::from_slice::<serde_json::Value>(&body) {
            Ok(problem) => problem["code"].as_str().unwrap().to_owned(),
            Err(_) => body.len().to_string(),
        }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

fn request(key: &str, client: &str) -> Request<Body> {
    let request = Request::post("/").header("idempotency-key", key).header("authorization", client);
    let mut request = request.body(full_body("body")).unwrap();
    let id = RequestId::from_client(&http::HeaderValue::from_static("r")).unwrap();
    request.extensions_mut().insert(Arc::new(RequestContext::new(id)));
    request
}

fn day() -> HumanDuration {
    HumanDuration::seconds(86_400)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_and_runs_nothing_twice() {
    let around = Around::new(StoreSettings::default(), day(), 100_000, Some(4)).await;
    // There is room for the claim, and none for the answer.
    assert_eq!(around.post("large", "a").await, "100000");
    assert_eq!(around.post("large", "a").await, "SEA_API_IDEMPOTENCY_OUTCOME_UNKNOWN");
    assert_eq!(around.asked(), 1);
    let mut refused = None;
    for number in 0..2_000 {
        let asked = around.asked();
        if around.post(&format!("key-{number}"), "a").await == "SEA_API_IDEMPOTENCY_STORE" {
            refused = Some((number, asked));
            break;
        }
    }
    let (number, asked) = refused.expect("the disk is never full");
    assert!(number > 0);
    assert_eq!(around.asked(), asked, "a request ran whose key is written nowhere");
    around.control.begin();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_tasks_with_one_key_are_one_request() {
    let around = Arc::new(Around::new(StoreSettings::default(), day(), 3, None).await);
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let around = around.clone();
        tasks.spawn(async move { around.post("k", "a").await });
    }
    let answers = tasks.join_all().await;
    assert_eq!(around.asked(), 1);
    assert!(answers.iter().all(|answer| answer == "3" || answer == "SEA_API_IDEMPOTENCY_RUNNING"), "{answers:?}");
    assert_eq!(around.post("k", "a").await, "3");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_store_is_bounded() {
    let store = StoreSettings { keys: 3, keys_per_client: 2, size: ByteSize(5), ..StoreSettings::default() };
    let around = Around::new(store, day(), 3, None).await;
    assert_eq!(around.post("1", "a").await, "3");
    assert_eq!(around.post("2", "a").await, "3");
    assert_eq!(around.post("3", "a").await, "SEA_API_IDEMPOTENCY_CLIENT_FULL");
    assert_eq!(around.post("1", "b").await, "3", "another client has room");
    assert_eq!(around.post("1", "c").await, "SEA_API_IDEMPOTENCY_STORE_FULL");
    assert_eq!(around.asked(), 3);
    assert_eq!(around.post("1", "a").await, "3");
    assert_eq!(around.post("2", "a").await, "SEA_API_IDEMPOTENCY_ANSWER_NOT_KEPT", "over the size of all answers");
    assert_eq!(around.asked(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_key_is_free_and_makes_room() {
    let store = StoreSettings { keys: 1, ..StoreSettings::default() };
    let around = Around::new(store, HumanDuration(Duration::ZERO), 3, None).await;
    for asked in 1..=3 {
        assert_eq!(around.post("k", "a").await, "3");
        assert_eq!(around.asked(), asked);
    }
    assert_eq!(around.post("other", "a").await, "3", "the one that expired went");
}

#[tokio::test]
async fn what_was_written_is_there_after_a_restart_and_goes_when_it_expires() {
    let folder = tempfile::tempdir().unwrap();
    let settings = StoreSettings { path: folder.path().join("keys.db"), ..StoreSettings::default() };
    let (one, two, owner) = ([1; 32], [2; 32], [9; 16]);
    let mut table = Table::open(&settings).await.unwrap();
    assert!(matches!(table.claim(&one, &owner, Duration::ZERO).await.unwrap(), Claimed::New));
    assert!(matches!(table.claim(&two, &owner, Duration::from_secs(60)).await.unwrap(), Claimed::New));
    let kept = Kept::new(http::StatusCode::OK, &http::HeaderMap::new(), "abc".into());
    let record = Record { fingerprint: Some([7; 32]), answer: Answer::Kept(kept) };
    table.finish(&two, &record).await.unwrap();
    assert_eq!(table.counts(), (2, 1, 3));
    table.close().await;

    let mut table = Table::open(&settings).await.unwrap();
    assert_eq!(table.counts(), (2, 1, 3));
    assert!(
        matches!(table.claim(&two, &owner, Duration::ZERO).await.unwrap(), Claimed::Known(known) if known == record)
    );
    table.sweep().await.unwrap();
    assert_eq!(table.counts(), (1, 1, 3));
    table.release(&two).await.unwrap();
    assert_eq!(table.counts(), (0, 0, 0));
    // What was undone is counted as it is on the disk.
    table.begin().await.unwrap();
    table.claim(&one, &owner, Duration::from_secs(60)).await.unwrap();
    assert_eq!(table.counts(), (1, 1, 0));
    table.undo().await;
    assert_eq!(table.counts(), (0, 0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_breakdown_in_the_middle_is_told_and_not_waited_for() {
    let around = Around::new(StoreSettings::default(), day(), 3, None).await;
    let app = tower::service_fn(|request: Request<Body>| async move {
        assert!(request.headers().is_empty(), "a bug in a layer");
        Ok::<_, Infallible>(Response::new(full_body("")))
    });
    for _ in 0..2 {
        let response = around.layer.layer(app).oneshot(request("k", "a")).await.unwrap();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert!(String::from_utf8_lossy(&body).contains("SEA_API_IDEMPOTENCY_OUTCOME_UNKNOWN"));
    }
}

#[tokio::test]
async fn a_store_that_is_not_open_refuses() {
    let control = Shutdown::new();
    let layer =
        IdempotencyLayer::layer("/", &IdempotencySetting::Switch(true), &Idempotency::default(), &control).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let around = Around { layer, asked: Arc::default(), answer: 1, _folder: folder, control };
    assert_eq!(around.post("k", "a").await, "SEA_API_IDEMPOTENCY_STORE");
    assert_eq!(around.asked(), 0);
}
