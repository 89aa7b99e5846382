//! What is below the memory: an answer that it does not have may be on the disk, or with another node.
//!
//! The long way of a request asks here once for all that wait for the same (`exchange.rs`); the fast way never comes here.
//! What is stored in memory is written through behind the request's back (`keeper.rs`): to the disk (`table.rs`, read by
//! `disk.rs`), and to Redis (`shared.rs`). What is removed is removed here too, and an answer that was looked up or written
//! meanwhile does not bring it back (`removal.rs`). `record.rs` is an answer as bytes, `address.rs` where it is.

mod address;
mod bytes;
mod changes;
mod disk;
mod files;
mod keeper;
mod looking;
mod patience;
pub(crate) mod record;
mod removal;
mod removing;
mod rows;
mod shared;
#[cfg(test)]
mod shared_tests;
mod table;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod watched;

use std::{
    path::Path,
    sync::{
        Arc, PoisonError, RwLock, RwLockWriteGuard,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

pub(crate) use address::Address;
use disk::Readers;
use http::HeaderMap;
use keeper::{Keeper, Order};
use looking::{Source, Trouble, find};
use patience::Patience;
pub(crate) use record::Saved;
pub(crate) use removal::Removal;
use removal::Removals;
pub(crate) use removing::Removing;
use rows::Write;
use seaworthy_core::Shutdown;
use seaworthy_store::Redis;
use shared::{Shared, Untold};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

use crate::{counts::TierCounts, fill::Through, key::Key, store::Store, stored::Stored};

/// Bytes of answers that wait to be written down; more are left out.
const WAITING_BYTES: usize = 32 << 20;
/// And how many of them.
const WAITING: usize = 4_096;
/// Beside its body an answer in the queue takes so much.
const OVERHEAD: usize = 512;
/// How long a request waits for the disk. Tests ask what is there, on machines that are busy.
const DISK_PATIENCE: Duration = Duration::from_millis(if cfg!(test) { 20_000 } else { 500 });
/// A larger answer is not given to Redis: it would not be read within the usual patience of 10 ms, and keeps others that are
/// asked for over the same connection waiting.
const SHARED_LARGEST: usize = 256 << 10;

/// Where an answer was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tier {
    Disk,
    Redis,
}

impl Tier {
    /// As metrics and `Cache-Status` call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Disk => "disk",
            Self::Redis => "redis",
        }
    }
}

/// The tiers. Clones are the same.
#[derive(Clone)]
pub(crate) struct Tiers(Arc<Inner>);

struct Inner {
    orders: mpsc::UnboundedSender<Order>,
    queue: Queue,
    removals: Removals,
    readers: RwLock<Option<Arc<Readers>>>,
    patience: Patience,
    /// Of the disk, in bytes; 0: none.
    limit: AtomicU64,
    disk_bytes: AtomicU64,
    /// What other nodes removed while this one was down is not known yet.
    disk_waits: AtomicBool,
    shared: Option<Shared>,
    tasks: Shutdown,
    counts: TierCounts,
}

/// How much waits to be written down.
#[derive(Default)]
struct Queue {
    bytes: AtomicUsize,
    count: AtomicUsize,
}

impl Queue {
    fn enter(&self, size: usize) -> bool {
        let (bytes, count) =
            (self.bytes.fetch_add(size, Ordering::Relaxed) + size, self.count.fetch_add(1, Ordering::Relaxed));
        let fits = bytes <= WAITING_BYTES && count < WAITING;
        if !fits {
            self.leave(size);
        }
        fits
    }

    fn leave(&self, size: usize) {
        self.bytes.fetch_sub(size, Ordering::Relaxed);
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Inner {
    fn readers_mut(&self) -> RwLockWriteGuard<'_, Option<Arc<Readers>>> {
        self.readers.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, order: Order) {
        // Nobody listens at the end alone.
        let _ = self.orders.send(order);
    }

    /// Other nodes get what is written here. Not where it is not known which removals it is newer than.
    fn write_shared(&self, rows: &[table::Row], since: u64) {
        let Some(shared) = self.shared.as_ref().filter(|_| since != 0) else { return };
        let fits = rows.iter().all(|row| row.record.len() <= SHARED_LARGEST);
        for row in rows {
            let written = fits && shared.write(row);
            let count = if written { &self.counts.redis.written } else { &self.counts.redis.left_out };
            count.increment(u64::from(!row.varies));
        }
    }

    fn disk_may_be_read(&self) {
        self.disk_waits.store(false, Ordering::Release);
    }
}

impl Tiers {
    /// Opens what the settings name. What cannot be opened is said loudly, and the cache goes on without.
    pub(crate) async fn open(
        store: &Store,
        path: &Path,
        limit: u64,
        redis: Option<&Redis>,
        control: &Shutdown,
    ) -> Self {
        let (orders, waiting) = mpsc::unbounded_channel();
        let (shared, work) = redis.map(Shared::new).unzip();
        let tiers = Self(Arc::new(Inner {
            orders,
            queue: Queue::default(),
            removals: Removals::default(),
            readers: RwLock::default(),
            patience: Patience::new(DISK_PATIENCE),
            limit: AtomicU64::new(limit),
            disk_bytes: AtomicU64::new(0),
            disk_waits: AtomicBool::new(shared.is_some()),
            shared,
            tasks: control.clone(),
            counts: TierCounts::new(),
        }));
        let mut keeper = Keeper::new(tiers.0.clone(), path.to_owned());
        let since = keeper.open().await;
        control.spawn(keeper.run(waiting, control.clone()));
        if let Some(work) = work {
            tiers.0.removals.share();
            work.start(store, &tiers.0, since, control);
        }
        tiers
    }

    /// Removes what an earlier run has left on the disk: who does not use it does not keep it right either.
    pub(crate) fn remove_left(path: &Path) {
        if let Err(error) = files::remove_left(path) {
            tracing::warn!(code = "SEA_CACHE_DISK", path = %path.display(), %error, "an old disk cache could not be removed");
        }
    }

    /// Another limit for the disk; 0 removes what is there.
    pub(crate) async fn resize(&self, limit: u64) {
        if self.0.limit.swap(limit, Ordering::Relaxed) != limit {
            let (done, told) = oneshot::channel();
            self.0.tell(Order::Resize(done));
            let _ = told.await;
        }
    }

    /// Up to where the log of removals is known now: a fetch that begins now is newer.
    pub(crate) fn position(&self) -> u64 {
        self.0.removals.position()
    }

    /// Looks for an answer to a request.
    pub(crate) async fn look(&self, key: &Key, policy: &[u8; 32], request: &HeaderMap) -> Option<(Tier, Saved)> {
        let address = Address::of(key, policy);
        let readers = self.0.readers.read().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(readers) = readers.filter(|_| !self.0.disk_waits.load(Ordering::Acquire))
            && let Some(saved) = self.look_on_disk(&readers, &address, request).await
        {
            return Some((Tier::Disk, saved));
        }
        let shared = self.0.shared.as_ref()?;
        self.look_at_shared(shared, &address, request).await.map(|saved| (Tier::Redis, saved))
    }

    async fn look_on_disk(&self, readers: &Readers, address: &Address, request: &HeaderMap) -> Option<Saved> {
        let counts = &self.0.counts.disk;
        // First: what is removed from here on need not be in what is read.
        let written = self.0.removals.written();
        let found = match self.0.patience.ask(find(&Source::Disk(readers), address, request)).await {
            Some(Ok(found)) => found,
            Some(Err(trouble)) => {
                match trouble {
                    Trouble::Damaged => self.0.tell(Order::Damaged(readers.generation)),
                    Trouble::NoRecord(place) => self.0.tell(Order::Forget(vec![place])),
                    Trouble::Failed => {}
                }
                counts.failed.increment(1);
                return None;
            }
            None => {
                counts.failed.increment(1);
                return None;
            }
        };
        let found = found.filter(|found| {
            let (saved, at) = (&found.saved.stored, (address.site(), address.target()));
            !self.0.removals.hit_since(written, at, &saved.tags)
        });
        match &found {
            Some(found) => {
                counts.hits.increment(1);
                // Of a disk that hangs marks would pile up.
                if self.0.queue.enter(0) {
                    self.0.tell(Order::Touch(found.places));
                }
            }
            None => counts.misses.increment(1),
        }
        found.map(|found| found.saved)
    }

    async fn look_at_shared(&self, shared: &Shared, address: &Address, request: &HeaderMap) -> Option<Saved> {
        let counts = &self.0.counts.redis;
        if !shared.is_up() {
            return None;
        }
        let Ok(found) = find(&Source::Shared(shared), address, request).await else {
            counts.failed.increment(1);
            return None;
        };
        // Afterwards: what has been told until now counts.
        let found = found.filter(|found| {
            let (saved, at) = (&found.saved, (address.site(), address.target()));
            shared.is_at(self.0.removals.position()) && !self.0.removals.hit_shared(saved.since, at, &saved.stored.tags)
        });
        let count = if found.is_some() { &counts.hits } else { &counts.misses };
        count.increment(1);
        found.map(|found| found.saved)
    }

    /// Writes an answer down behind everybody's back, unless too many wait already. To be called while nobody can remove it.
    pub(crate) fn write(&self, key: &Key, through: &Through, stored: &Arc<Stored>) {
        let (disk, shared) =
            (self.0.limit.load(Ordering::Relaxed) > 0, self.0.shared.is_some() && !through.from_shared);
        if !disk && !shared {
            return;
        }
        let size = stored.body.len() + OVERHEAD;
        if !self.0.queue.enter(size) {
            return self.0.counts.disk.left_out.increment(1);
        }
        let write = Write { key: key.clone(), through: *through, stored: stored.clone(), size };
        self.0.tell(Order::Write(Box::new(write)));
    }

    /// Takes one answer out that is not to be kept any more.
    pub(crate) async fn forget(&self, key: &Key, policy: &[u8; 32], stored: &Stored) {
        let address = Address::of(key, policy);
        let place = match stored.vary.is_empty() {
            true => address.place(),
            false => address.variant(stored.vary.iter().map(|(name, had)| (name, had.clone()))),
        };
        self.0.tell(Order::Forget(vec![place]));
        if let Some(shared) = &self.0.shared {
            let _ = timeout(shared.patience, shared.forget(vec![place])).await;
        }
    }

    /// Notes a removal: what is found from now on is not given when it is named. The number is for [`Tiers::remove`].
    pub(crate) fn note(&self, removal: &Removal) -> u64 {
        self.0.removals.add(removal.clone())
    }

    /// Carries it out, when the memory has done so. To be awaited: the answer is how many went.
    pub(crate) fn remove(&self, number: u64, removal: &Removal) -> Removing {
        let (done, disk) = oneshot::channel();
        self.0.tell(Order::Remove { removal: removal.clone(), number, at: None, done: Some(done) });
        let told = self.0.shared.as_ref().map(|shared| {
            let (told, was_told) = oneshot::channel();
            shared.tell(Untold { number, removal: removal.clone(), told: Some(told) });
            (was_told, shared.patience)
        });
        Removing { disk, told }
    }

    /// What goes on though the request that began it is given up.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.0.tasks.spawn(task);
    }

    /// Whether nodes share answers now; `None` where they never do.
    pub(crate) fn shares(&self) -> Option<bool> {
        self.0.shared.as_ref().map(Shared::is_up)
    }

    /// Bytes on the disk, and its limit.
    pub(crate) fn disk(&self) -> (u64, u64) {
        (self.0.disk_bytes.load(Ordering::Relaxed), self.0.limit.load(Ordering::Relaxed))
    }
}
