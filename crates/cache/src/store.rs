//! The memory that all routes and cores share: bounded, and what was not asked for lately goes first.
//!
//! Keys are spread over shards by their target, so that everything of one address is under one lock. Which slot goes next
//! tells CLOCK: a hand walks over a shard's slots, spares those that were asked for since it last came, and takes the
//! first other one.

use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use http::HeaderMap;
use seaworthy_core::{PurgeError, Shutdown};
use seaworthy_store::Redis;
use tokio::{sync::oneshot, time::timeout};

use crate::{
    counts::StoreCounts,
    fill::{Pending, Through},
    key::Key,
    settings::Settings,
    shard::Shard,
    stored::Stored,
    tiers::{Removal, Removing, Tiers},
};

/// How long an order to remove waits until that is written down…
const ORDER_PATIENCE: Duration = Duration::from_secs(5);
/// …and the answer of a request that has changed something.
const CHANGE_PATIENCE: Duration = Duration::from_secs(1);
/// Such changes that did not reach everything are told of so often.
const SAY_EVERY: Duration = Duration::from_secs(10);
/// Locks are held for tens of nanoseconds; with so many of them two cores rarely want the same one.
const SHARDS: usize = 32;

/// Stored answers. One for the process; clones share it, and it outlives a reload.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    shards: Vec<Mutex<Shard>>,
    hasher: RandomState,
    limit: AtomicUsize,
    /// What stored answers take, and those on their way into the store.
    bytes: AtomicUsize,
    /// The second part of them alone.
    on_the_way: AtomicUsize,
    /// Whose turn it is to give something up.
    turn: AtomicUsize,
    /// What is below the memory.
    tiers: OnceLock<Tiers>,
    /// When it was last told that a change did not reach everything.
    said: Mutex<Option<Instant>>,
    counts: StoreCounts,
}

/// What is there for a request.
#[derive(Debug)]
pub(crate) enum Found {
    /// An answer that matches, fresh or not.
    Answer(Arc<Stored>),
    /// Answers to requests with other headers (`Vary`).
    OtherVariants,
    Nothing,
}

/// Whether a request may fetch what is to be stored.
pub(crate) enum Begun {
    /// Nobody else does.
    Alone(Arc<Pending>),
    /// Somebody does.
    Busy(Arc<Pending>),
    /// Many do, and what came the last time could not be stored: no use to wait.
    Pass,
}

impl Default for Store {
    fn default() -> Self {
        Self(Arc::new(Inner {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
            limit: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            on_the_way: AtomicUsize::new(0),
            turn: AtomicUsize::new(0),
            tiers: OnceLock::new(),
            said: Mutex::default(),
            counts: StoreCounts::new(),
        }))
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("bytes", &self.bytes()).finish_non_exhaustive()
    }
}

impl Store {
    /// Sets the limit, in bytes; what is over it goes at once.
    pub fn resize(&self, limit: usize) {
        self.0.limit.store(limit, Ordering::Relaxed);
        self.make_room();
    }

    /// Bytes that stored answers take, roughly, with those on their way into the store.
    pub fn bytes(&self) -> usize {
        self.0.bytes.load(Ordering::Relaxed)
    }

    /// Opens the tiers below the memory that the settings name, or gives the disk that is open another size. `redis`: where
    /// nodes share answers.
    pub async fn open_tiers(&self, settings: &Settings, redis: Option<&Redis>, control: &Shutdown) {
        let limit = settings.disk.0;
        let redis = redis.filter(|_| settings.shared);
        match self.tiers() {
            Some(tiers) => tiers.resize(limit).await,
            None if limit > 0 || redis.is_some() => {
                if limit == 0 {
                    Tiers::remove_left(&settings.disk_path);
                }
                let tiers = Tiers::open(self, &settings.disk_path, limit, redis, control).await;
                // Opened by one task alone, at the start or by a reload.
                let _ = self.0.tiers.set(tiers);
            }
            None => Tiers::remove_left(&settings.disk_path),
        }
    }

    pub(crate) fn tiers(&self) -> Option<&Tiers> {
        self.0.tiers.get()
    }

    /// Whether nodes share answers now; `None` where they never do.
    pub fn shares(&self) -> Option<bool> {
        self.tiers().and_then(Tiers::shares)
    }

    /// Bytes on the disk, and its limit; `None` where there is none.
    pub fn disk(&self) -> Option<(u64, u64)> {
        self.tiers().map(Tiers::disk).filter(|(_, limit)| *limit > 0)
    }

    /// Takes out of memory what a removal names, and keeps from being stored what is on its way. Returns how many went.
    pub(crate) fn take_out(&self, removal: &Removal) -> usize {
        match removal {
            Removal::Target { site, target } => self.invalidate(target, |given| given == site),
            Removal::Url(site, target) => self.invalidate(target, |given| site.is(given)),
            Removal::Tag(tag) => self.remove_tagged(*tag),
            Removal::Prefix(..) | Removal::All | Removal::Long(_) => {
                self.sweep(&|key: &Key| removal.names(key.site(), key.target()).unwrap_or_default())
            }
        }
    }

    /// The same in every tier.
    ///
    /// # Errors
    /// They are gone from memory, but a tier could not be reached.
    pub(crate) async fn remove_everywhere(&self, removal: Removal) -> Result<usize, PurgeError> {
        let (removed, below) = self.begin_to_remove(&removal);
        let below = match below {
            Some(below) => below.done(ORDER_PATIENCE).await,
            None => Ok(0),
        };
        let below = below.map_err(|left| PurgeError { removed, left: left.text() })?;
        // What is in memory is on the disk too, as a rule.
        let count = removed.max(below);
        self.count_purged(count);
        Ok(count)
    }

    /// The same, as a request that has changed something asks for it.
    pub(crate) async fn changed(&self, site: &[u8], targets: &[&str]) {
        let begin = |target: &&str| {
            self.begin_to_remove(&Removal::Target { site: site.to_vec(), target: target.as_bytes().to_vec() })
        };
        // All are begun before the first wait, and go on when the client leaves.
        let begun: Vec<_> = targets.iter().map(begin).collect();
        let mut ends = Vec::new();
        for (removed, below) in begun {
            let (Some(below), Some(tiers)) = (below, self.tiers()) else {
                self.count_purged(removed);
                continue;
            };
            let (ended, end) = oneshot::channel::<()>();
            let store = self.clone();
            tiers.spawn(async move {
                store.end_of_change(removed, below).await;
                drop(ended);
            });
            ends.push(end);
        }
        let all = async {
            for end in ends {
                // It has said itself what went wrong.
                let _ = end.await;
            }
        };
        // What is not reached until then is when it can be; nobody waits for that.
        let _ = timeout(CHANGE_PATIENCE, all).await;
    }

    async fn end_of_change(self, removed: usize, below: Removing) {
        let below = below.soon(CHANGE_PATIENCE).await;
        self.count_purged(removed.max(below.unwrap_or_default()));
        if let Err(left) = below
            && self.may_say()
        {
            let left = left.text();
            tracing::error!(code = "SEA_CACHE_DISK", left, "a change did not take out of every tier what it made old");
        }
    }

    /// Whether it is time to tell of a change that did not reach everything: each request would.
    fn may_say(&self) -> bool {
        let mut said = self.0.said.lock().unwrap_or_else(PoisonError::into_inner);
        let is_time = said.is_none_or(|said| said.elapsed() >= SAY_EVERY);
        if is_time {
            *said = Some(Instant::now());
        }
        is_time
    }

    fn begin_to_remove(&self, removal: &Removal) -> (usize, Option<Removing>) {
        // In this order: what a tier gives meanwhile is refused, and what was stored before goes from below after it.
        let number = self.tiers().map(|tiers| tiers.note(removal));
        let removed = self.take_out(removal);
        (removed, self.tiers().zip(number).map(|(tiers, number)| tiers.remove(number, removal)))
    }

    pub(crate) fn hash(&self, bytes: &[u8]) -> u64 {
        self.0.hasher.hash_one(bytes)
    }

    pub(crate) fn find(&self, key: &Key, request: &HeaderMap) -> Found {
        self.shard_of(key).find(key, request)
    }

    /// Takes the place of whoever fetches the answer for this key.
    pub(crate) fn begin(&self, key: &Key) -> Begun {
        self.shard_of(key).begin(key)
    }

    /// Gives that place up. `stored` is what came of it; without, nothing could be stored.
    pub(crate) fn finish(
        &self,
        key: &Key,
        pending: &Arc<Pending>,
        stored: Option<Arc<Stored>>,
        through: Option<Through>,
    ) {
        let target = self.hash(key.target());
        let mut shard = self.shard(target);
        shard.end(key, pending);
        shard.remember(key, stored.is_some());
        if let Some(stored) = stored.filter(|_| !pending.is_spoilt()) {
            let (added, removed) = shard.insert(key, target, stored.clone());
            if let (Some(tiers), Some(through)) = (self.tiers(), through) {
                // Below the lock: a removal that takes it out of here comes after it there too.
                tiers.write(key, &through, &stored);
            }
            drop(shard);
            self.0.bytes.fetch_add(added, Ordering::Relaxed);
            self.0.bytes.fetch_sub(removed, Ordering::Relaxed);
            if !stored.from_tier {
                self.0.counts.stored.increment(1);
            }
            self.make_room();
        }
    }

    /// Gives that place up; nobody knows whether the answer could have been stored.
    pub(crate) fn leave(&self, key: &Key, pending: &Arc<Pending>) {
        self.shard_of(key).end(key, pending);
    }

    /// Takes one stored answer out, when it is still that one.
    pub(crate) fn remove(&self, key: &Key, stored: &Arc<Stored>) {
        let removed = self.shard_of(key).remove(key, stored);
        self.freed(removed);
    }

    /// Room for an answer on its way; all of those get half of the memory at most, so that they do not empty it. False when
    /// there is none; it must be given back all the same.
    pub(crate) fn reserve(&self, bytes: usize) -> bool {
        let on_the_way = self.0.on_the_way.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.0.bytes.fetch_add(bytes, Ordering::Relaxed);
        on_the_way <= self.0.limit.load(Ordering::Relaxed) / 2 && self.make_room()
    }

    /// Gives such room back.
    pub(crate) fn release(&self, bytes: usize) {
        self.0.on_the_way.fetch_sub(bytes, Ordering::Relaxed);
        self.freed(bytes);
    }

    /// Takes out what is stored for a target, in every variant and for everybody, on the sites where this holds.
    pub(crate) fn invalidate(&self, target: &[u8], of_site: impl Fn(&[u8]) -> bool) -> usize {
        let hash = self.hash(target);
        let (count, bytes) = self.shard(hash).invalidate(hash, &|key| key.target() == target && of_site(key.site()));
        self.freed(bytes);
        count
    }

    /// The same wherever it may be: every shard is looked through.
    pub(crate) fn sweep(&self, goes: &dyn Fn(&Key) -> bool) -> usize {
        self.in_every_shard(|shard| shard.sweep(goes))
    }

    /// Takes out what has a tag. What is on its way may have it too, so that it is not stored.
    pub(crate) fn remove_tagged(&self, tag: u64) -> usize {
        self.in_every_shard(|shard| shard.remove_tagged(tag))
    }

    pub(crate) fn count_purged(&self, count: usize) {
        self.0.counts.purged.increment(count as u64);
    }

    fn in_every_shard(&self, work: impl Fn(&mut Shard) -> (usize, usize)) -> usize {
        let mut count = 0;
        for shard in &self.0.shards {
            let (removed, bytes) = work(&mut lock(shard));
            count += removed;
            self.freed(bytes);
        }
        count
    }

    /// Evicts until the limit holds. False when that cannot be had.
    fn make_room(&self) -> bool {
        let mut idle = 0;
        while self.bytes() > self.0.limit.load(Ordering::Relaxed) {
            // The first time around takes the marks away.
            if idle == 2 * SHARDS {
                return false;
            }
            let turn = self.0.turn.fetch_add(1, Ordering::Relaxed) % SHARDS;
            match lock(&self.0.shards[turn]).evict() {
                Some(bytes) => {
                    idle = 0;
                    self.freed(bytes);
                    self.0.counts.evicted.increment(1);
                }
                None => idle += 1,
            }
        }
        self.0.counts.bytes.set(self.bytes() as f64);
        true
    }

    fn freed(&self, bytes: usize) {
        if bytes > 0 {
            let before = self.0.bytes.fetch_sub(bytes, Ordering::Relaxed);
            self.0.counts.bytes.set(before.saturating_sub(bytes) as f64);
        }
    }

    fn shard_of(&self, key: &Key) -> MutexGuard<'_, Shard> {
        self.shard(self.hash(key.target()))
    }

    fn shard(&self, target: u64) -> MutexGuard<'_, Shard> {
        lock(&self.0.shards[(target >> 32) as usize % SHARDS])
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{fill::tests::put, shard::tests::key, stored::tests::stored};

    fn has(store: &Store, target: &str) -> bool {
        matches!(store.find(&key(target), &HeaderMap::new()), Found::Answer(_))
    }

    fn body_of(bytes: usize) -> Stored {
        Stored { body: vec![b'x'; bytes].into(), ..stored(&HeaderMap::new(), HeaderMap::new(), "") }
    }

    #[test]
    fn the_limit_holds_and_what_is_asked_for_stays() {
        let store = Store::default();
        store.resize(400_000);
        put(&store, &key("/hot"), body_of(1_000));
        for number in 0..2_000 {
            assert!(has(&store, "/hot"), "{number}");
            put(&store, &key(&format!("/{number}")), body_of(1_000));
            assert!(store.bytes() <= 400_000);
        }
        let kept = (0..2_000).filter(|number| has(&store, &format!("/{number}"))).count();
        assert!((150..=300).contains(&kept), "{kept}");
        store.resize(0);
        assert_eq!(store.bytes(), 0, "what is counted is what is there");
    }

    #[test]
    fn room_on_the_way_counts_and_is_refused_beyond_the_limit() {
        let store = Store::default();
        store.resize(10_000);
        put(&store, &key("/a"), body_of(8_000));
        assert!(store.reserve(4_000));
        assert!(!has(&store, "/a"), "it had to make room");
        assert!(!store.reserve(4_000), "more than half of the memory");
        store.release(8_000);
        assert_eq!(store.bytes(), 0);
    }

    #[test]
    fn an_invalidation_takes_every_variant_on_its_site_alone() {
        let store = Store::default();
        store.resize(1 << 20);
        put(&store, &key("/a"), body_of(10));
        put(&store, &crate::shard::tests::key_at("http://other.test", "/a"), body_of(10));
        put(&store, &key("/a?b"), body_of(10));
        assert_eq!(store.invalidate(b"/a", |site| site == b"http://a.test"), 1);
        assert!(!has(&store, "/a") && has(&store, "/a?b"));
        assert_eq!(store.sweep(&|_| true), 2);
        assert_eq!(store.bytes(), 0);
    }
}
