//! One rate that all nodes count together, in the store.
//!
//! A round trip for each request would cost more than the request. So a node takes a few units at a time, at most half a
//! percent of the rate for all nodes together, and spends them by itself: what is let through is never more than the rate,
//! and at most that much less. And a budget that the store has called empty stays empty here until its time, so that a
//! flood of refused requests never reaches the store.
//!
//! While the store is gone or slow, each node holds its share by itself. What it let pass before counts there too, so that
//! the loss of the store frees nobody.

use std::{
    collections::{HashMap, hash_map::RandomState},
    fmt::Write,
    hash::BuildHasher,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use seaworthy_store::{Redis, Take, Taken};
use tokio::time::timeout;

use super::{
    limiter::{Decision, Key, Limiter},
    policy::RatePolicy,
};

/// What all nodes may hold unspent, as a part of the rate.
const PART_HELD: u64 = 200;
/// As in `limiter.rs`: two cores rarely want the same lock.
const SHARDS: usize = 64;
/// So many clients a shard; with more, those are forgotten that hold least.
const MOST_A_SHARD: usize = 1_024;

/// A rate that nodes share.
pub(super) struct SharedLimiter {
    store: Redis,
    /// Route and rate, the same on every node.
    name: String,
    requests: u64,
    /// Nanoseconds.
    unit: u64,
    window: u64,
    /// Holds our share while the store is gone.
    alone: Limiter,
    hasher: RandomState,
    held: Vec<Mutex<Clients>>,
}

struct Clients {
    by_key: HashMap<Key, Arc<Held>>,
    swept: Instant,
}

/// What this node holds of one client's budget.
#[derive(Default)]
struct Held {
    budget: Mutex<Budget>,
    /// One asks the store for all that wait…
    asking: tokio::sync::Mutex<()>,
    /// …and this is what these need.
    wanted: AtomicU64,
}

#[derive(Default)]
struct Budget {
    units: u64,
    /// When what is held is no longer good: its budget is whole again by then.
    until: Option<Instant>,
    /// When the store's part is whole again.
    whole_at: Option<Instant>,
    /// Nothing that costs so much passes before then.
    empty: Option<(u64, Instant)>,
}

/// Counts somebody who waits for the store, until it is dropped.
struct Waiting<'a>(&'a AtomicU64, u64);

impl<'a> Waiting<'a> {
    fn new(wanted: &'a AtomicU64, cost: u64) -> Self {
        wanted.fetch_add(cost, Ordering::Relaxed);
        Self(wanted, cost)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(self.1, Ordering::Relaxed);
    }
}

impl SharedLimiter {
    pub(super) fn new(name: &str, policy: &RatePolicy, store: Redis, now: Instant) -> Self {
        let window = u64::try_from(policy.window.as_nanos()).unwrap_or(u64::MAX / 4);
        Self {
            store,
            name: name.to_owned(),
            requests: policy.requests.get(),
            unit: (window / policy.requests.get()).max(1),
            window,
            alone: Limiter::new(policy, now),
            hasher: RandomState::new(),
            held: (0..SHARDS).map(|_| Mutex::new(Clients { by_key: HashMap::new(), swept: now })).collect(),
        }
    }

    /// Decides without the store where that is possible.
    pub(super) fn decide_now(&self, key: Key, cost: u64, now: Instant) -> Option<Decision> {
        let cost = cost.min(self.requests);
        if !self.store.is_up() {
            return Some(self.decide_alone(key, cost, now));
        }
        let held = self.shard(key).by_key.get(&key).cloned()?;
        let mut budget = held.budget.lock().unwrap_or_else(PoisonError::into_inner);
        self.spend(&mut budget, cost, now)
    }

    /// Decides, with the store where that is needed and answers in time.
    pub(super) async fn decide(&self, key: Key, cost: u64) -> Decision {
        let cost = cost.min(self.requests);
        match self.with_store(key, cost).await {
            Some(decision) => decision,
            None => self.decide_alone(key, cost, Instant::now()),
        }
    }

    /// `None`: the store does not say, or somebody who asks it has waited too long already.
    async fn with_store(&self, key: Key, cost: u64) -> Option<Decision> {
        let held = self.of(key);
        let _waiting = Waiting::new(&held.wanted, cost);
        let _one = timeout(self.store.patience(), held.asking.lock()).await.ok()?;
        // Whoever asked before us may have brought enough.
        if let Some(decision) = self.decide_now(key, cost, Instant::now()) {
            return Some(decision);
        }
        let most = self.ahead(cost).max(held.wanted.load(Ordering::Relaxed)).min(self.requests);
        let name = self.name_of(key);
        let take = Take { key: &name, unit: self.unit, window: self.window, least: cost, most };
        let taken = self.store.take(take).await.ok()?;
        let now = Instant::now();
        if taken.granted > 0 {
            self.alone.charge(key, taken.granted, self.store.nodes(), now);
        }
        let mut budget = held.budget.lock().unwrap_or_else(PoisonError::into_inner);
        self.keep(&mut budget, taken, cost, now);
        Some(self.spend(&mut budget, cost, now).unwrap_or_else(|| refused(taken, self.wait(taken, cost))))
    }

    fn decide_alone(&self, key: Key, cost: u64, now: Instant) -> Decision {
        self.alone.decide(key, cost, self.store.nodes(), now)
    }

    /// Gives back what a request took that another rate has refused.
    pub(super) fn give_back(&self, key: Key, cost: u64) {
        let cost = cost.min(self.requests);
        if !self.store.is_up() {
            return self.alone.give_back(key, cost, self.store.nodes());
        }
        if let Some(held) = self.shard(key).by_key.get(&key) {
            let mut budget = held.budget.lock().unwrap_or_else(PoisonError::into_inner);
            // The store may have come back in between: what it never gave must not pile up here.
            let most = self.ahead(cost) + cost;
            budget.units = (budget.units + cost).min(most.max(budget.units));
        }
    }

    /// How much is taken at once.
    fn ahead(&self, cost: u64) -> u64 {
        (self.requests / PART_HELD / self.store.nodes()).max(cost)
    }

    fn keep(&self, budget: &mut Budget, taken: Taken, cost: u64, now: Instant) {
        budget.whole_at = Some(now + taken.reset);
        if taken.granted == 0 {
            budget.empty = Some((cost, now + self.wait(taken, cost)));
        } else {
            budget.units += taken.granted;
            budget.until = Some(now + Duration::from_nanos(self.window));
            budget.empty = None;
        }
    }

    /// How long until this much is there again.
    fn wait(&self, taken: Taken, cost: u64) -> Duration {
        let needed = taken.reset + Duration::from_nanos(self.unit.saturating_mul(cost));
        needed.saturating_sub(Duration::from_nanos(self.window))
    }

    fn spend(&self, budget: &mut Budget, cost: u64, now: Instant) -> Option<Decision> {
        if budget.until.is_some_and(|until| until <= now) {
            *budget = Budget::default();
        }
        let reset = budget.whole_at.map_or(Duration::ZERO, |whole_at| whole_at.saturating_duration_since(now));
        if budget.units >= cost {
            budget.units -= cost;
            let spare = Duration::from_nanos(self.window).saturating_sub(reset).as_nanos() as u64 / self.unit;
            let next = Duration::from_nanos(self.unit).min(reset);
            let remaining = (spare + budget.units).min(self.requests);
            return Some(Decision { allowed: true, remaining, reset, next, retry: Duration::ZERO });
        }
        let (least, until) = budget.empty?;
        let is_empty = cost >= least && until > now;
        is_empty.then(|| refused(Taken { granted: 0, reset }, until.saturating_duration_since(now)))
    }

    fn shard(&self, key: Key) -> MutexGuard<'_, Clients> {
        let place = (self.hasher.hash_one(key) >> 32) as usize % SHARDS;
        self.held[place].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn of(&self, key: Key) -> Arc<Held> {
        let mut shard = self.shard(key);
        if shard.by_key.len() >= MOST_A_SHARD && !shard.by_key.contains_key(&key) {
            shard.make_room();
        }
        shard.by_key.entry(key).or_default().clone()
    }

    fn name_of(&self, key: Key) -> String {
        let mut name = format!("seaworthy:rate:{}:", self.name);
        // Writing to a String cannot fail.
        let _ = match key {
            Key::Client(address) => write!(name, "address:{address}"),
            Key::Principal(fingerprint) => write!(name, "user:{fingerprint:032x}"),
            Key::Tenant(fingerprint) => write!(name, "tenant:{fingerprint:032x}"),
            Key::Route => write!(name, "route"),
            Key::Unknown => write!(name, "unknown"),
        };
        name
    }
}

impl Clients {
    fn make_room(&mut self) {
        let now = Instant::now();
        // A look at all of them is dear: a crowd must not cause one with each request.
        if now.saturating_duration_since(self.swept) >= Duration::from_secs(1) {
            self.swept = now;
            self.by_key.retain(|_, held| {
                let budget = held.budget.lock().unwrap_or_else(PoisonError::into_inner);
                // Whoever waits for the store holds the entry.
                Arc::strong_count(held) > 1 || budget.units > 1 || budget.empty.is_some_and(|(_, until)| until > now)
            });
        }
        if self.by_key.len() >= MOST_A_SHARD
            && let Some(somebody) = self.by_key.keys().next().copied()
        {
            self.by_key.remove(&somebody);
        }
    }
}

fn refused(taken: Taken, retry: Duration) -> Decision {
    Decision { allowed: false, remaining: 0, reset: taken.reset, next: retry, retry }
}

#[cfg(test)]
mod tests {
    use std::{
        net::TcpListener,
        process::{Child, Command, Stdio},
    };

    use seaworthy_core::Shutdown;

    use super::*;

    /// A real server; killed when it is dropped.
    struct Server(Child, u16);

    impl Server {
        /// `None`: it is not on this machine, and that is no failure.
        fn start() -> Option<Self> {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let mut command = Command::new("redis-server");
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

    async fn node(port: u16, name: &str, shutdown: &Shutdown) -> Redis {
        // This machine may be busy with other tests: what is looked at here is the counts, not how long they take.
        let text = format!(r#"{{"redis":"redis://127.0.0.1:{port}","patience":"500ms"}}"#);
        let store = Redis::build(&serde_json::from_str(&text).unwrap(), name).unwrap().unwrap();
        shutdown.spawn(store.clone().run(shutdown.clone()));
        store
    }

    async fn until(what: &str, holds: impl Fn() -> bool) {
        for _ in 0..1_200 {
            if holds() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("not in time: {what}");
    }

    async fn ask(limiter: &SharedLimiter) -> Decision {
        match limiter.decide_now(Key::Route, 1, Instant::now()) {
            Some(decision) => decision,
            None => limiter.decide(Key::Route, 1).await,
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn two_nodes_let_ten_thousand_a_second_pass_within_one_percent() {
        let Some(redis) = Server::start() else { return };
        let shutdown = Shutdown::new();
        let policy: RatePolicy = "10000/s per route".parse().unwrap();
        let (one, other) = (node(redis.1, "one", &shutdown).await, node(redis.1, "other", &shutdown).await);
        until("both nodes are there", || one.is_up() && one.nodes() == 2 && other.nodes() == 2).await;
        let began = Instant::now();
        let (mut clients, length) = (Vec::new(), Duration::from_secs(4));
        for store in [&one, &other] {
            let limiter = Arc::new(SharedLimiter::new("* r", &policy, store.clone(), began));
            for _ in 0..4 {
                let limiter = limiter.clone();
                let client = async move {
                    let (mut asked, mut passed) = (0_u64, 0_u64);
                    while began.elapsed() < length {
                        asked += 1;
                        passed += u64::from(ask(&limiter).await.allowed);
                        tokio::task::yield_now().await;
                    }
                    (asked, passed)
                };
                let (sender, receiver) = tokio::sync::oneshot::channel();
                shutdown.spawn(async move {
                    let _ = sender.send(client.await);
                });
                clients.push(receiver);
            }
        }
        let (mut asked, mut passed) = (0, 0);
        for client in clients {
            let (more_asked, more_passed) = client.await.unwrap();
            asked += more_asked;
            passed += more_passed;
        }
        let allowed = 10_000.0 + 10_000.0 * began.elapsed().as_secs_f64();
        eprintln!("{asked} asked, {passed} passed, {allowed:.0} allowed");
        assert!(passed as f64 <= allowed * 1.01, "{passed} of {allowed}");
        // A machine that is busy with something else does not ask often enough to meet the limit.
        let least = if asked as f64 > allowed * 1.1 { allowed * 0.99 } else { 1.0 };
        assert!(passed as f64 >= least, "{passed} of {allowed}, {asked} asked");
        shutdown.begin();
        shutdown.finished(tokio::time::sleep(Duration::from_secs(3))).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_store_that_is_gone_leaves_each_node_its_share() {
        let Some(redis) = Server::start() else { return };
        let shutdown = Shutdown::new();
        let policy: RatePolicy = "100/h per route".parse().unwrap();
        let (one, other) = (node(redis.1, "one", &shutdown).await, node(redis.1, "other", &shutdown).await);
        until("both nodes are there", || one.nodes() == 2 && other.nodes() == 2 && one.is_up()).await;
        let limiter = SharedLimiter::new("* r", &policy, one.clone(), Instant::now());
        let first = ask(&limiter).await;
        assert_eq!((first.allowed, first.remaining), (true, 99));
        drop(redis);
        until("its loss is seen", || !one.is_up()).await;
        let mut passed = 0;
        for _ in 0..200 {
            passed += u64::from(ask(&limiter).await.allowed);
        }
        assert_eq!(passed, 49, "half of the rate, less what it has let pass before");
        let refused = ask(&limiter).await;
        assert!(!refused.allowed && refused.retry_after_seconds() > 60, "{refused:?}");
        shutdown.begin();
        shutdown.finished(tokio::time::sleep(Duration::from_secs(3))).await;
    }
}
