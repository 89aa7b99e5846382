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
pub(crate) mod record;
mod removal;
mod table;
#[cfg(test)]
mod tests;

use std::{
    path::Path,
    sync::{
        Arc, PoisonError, RwLock, RwLockWriteGuard,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use ::bytes::Bytes;
pub(crate) use address::Address;
use address::Place;
use disk::Readers;
use http::HeaderMap;
use keeper::{Keeper, Order, Write};
use record::Record;
pub(crate) use record::Saved;
pub(crate) use removal::Removal;
use removal::Removals;
use seaworthy_core::Shutdown;
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

use crate::{counts::TierCounts, fill::Through, key::Key, stored::Stored};

/// Bytes of answers that wait to be written down; more are left out.
const WAITING_BYTES: usize = 32 << 20;
/// And how many of them.
const WAITING: usize = 4_096;
/// Beside its body an answer in the queue takes so much.
const OVERHEAD: usize = 512;
/// How long a request waits for the disk.
const DISK_PATIENCE: Duration = Duration::from_millis(500);

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
    /// Of the disk, in bytes; 0: none.
    limit: AtomicU64,
    disk_bytes: AtomicU64,
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

    fn write_shared(&self, _rows: &[table::Row], _since: u64) {}
}

impl Tiers {
    /// Opens what the settings name. What cannot be opened is said loudly, and the cache goes on without.
    pub(crate) async fn open(path: &Path, limit: u64, control: &Shutdown) -> Self {
        let (orders, waiting) = mpsc::unbounded_channel();
        let tiers = Self(Arc::new(Inner {
            orders,
            queue: Queue::default(),
            removals: Removals::default(),
            readers: RwLock::default(),
            limit: AtomicU64::new(limit),
            disk_bytes: AtomicU64::new(0),
            counts: TierCounts::new(),
        }));
        let mut keeper = Keeper::new(tiers.0.clone(), path.to_owned());
        keeper.open().await;
        control.spawn(keeper.run(waiting, control.clone()));
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
        if let Some(readers) = readers
            && let Some(saved) = self.look_on_disk(&readers, &address, request).await
        {
            return Some((Tier::Disk, saved));
        }
        None
    }

    async fn look_on_disk(&self, readers: &Readers, address: &Address, request: &HeaderMap) -> Option<Saved> {
        let counts = &self.0.counts.disk;
        // First: what is removed from here on need not be in what is read.
        let written = self.0.removals.written();
        let found = match timeout(DISK_PATIENCE, find(&Source::Disk(readers), address, request)).await {
            Ok(Ok(found)) => found,
            Ok(Err(Trouble::Damaged)) => {
                self.0.tell(Order::Damaged);
                None
            }
            Ok(Err(Trouble::NoRecord(place))) => {
                self.0.tell(Order::Forget(vec![place]));
                None
            }
            // An error of the disk, or too late.
            Ok(Err(Trouble::Failed)) | Err(_) => {
                counts.failed.increment(1);
                None
            }
        };
        let found = found.filter(|found| {
            let (saved, at) = (&found.saved.stored, (address.site(), address.target()));
            !self.0.removals.hit_since(written, at, &saved.tags)
        });
        match &found {
            Some(found) => {
                counts.hits.increment(1);
                self.0.tell(Order::Touch(found.places));
            }
            None => counts.misses.increment(1),
        }
        found.map(|found| found.saved)
    }

    /// Writes an answer down behind everybody's back, unless too many wait already. To be called while nobody can remove it.
    pub(crate) fn write(&self, key: &Key, through: &Through, stored: &Arc<Stored>) {
        let size = stored.body.len() + OVERHEAD;
        if !self.0.queue.enter(size) {
            return self.0.counts.disk.left_out.increment(1);
        }
        let write = Write { key: key.clone(), through: *through, stored: stored.clone(), size };
        self.0.tell(Order::Write(Box::new(write)));
    }

    /// Takes one answer out that is not to be kept any more.
    pub(crate) fn forget(&self, key: &Key, policy: &[u8; 32], stored: &Stored) {
        let address = Address::of(key, policy);
        let place = match stored.vary.is_empty() {
            true => address.place(),
            false => address.variant(stored.vary.iter().map(|(name, had)| (name, had.clone()))),
        };
        self.0.tell(Order::Forget(vec![place]));
    }

    /// Takes out what the memory has just given up, everywhere. To be awaited: the answer is how many went, when that is
    /// written down.
    pub(crate) fn remove(&self, removal: &Removal) -> Removing {
        let number = self.0.removals.add(removal.clone());
        let (done, disk) = oneshot::channel();
        self.0.tell(Order::Remove { removal: removal.clone(), number, at: None, done: Some(done) });
        Removing { disk }
    }

    /// Bytes on the disk, and its limit.
    pub(crate) fn disk(&self) -> (u64, u64) {
        (self.0.disk_bytes.load(Ordering::Relaxed), self.0.limit.load(Ordering::Relaxed))
    }

    #[cfg(test)]
    pub(crate) async fn flush(&self) {
        let (done, told) = oneshot::channel();
        self.0.tell(Order::Flush(done));
        told.await.unwrap();
    }

    #[cfg(test)]
    pub(crate) fn leave_room(&self, pages: i64) {
        self.0.tell(Order::LeaveRoom(pages));
    }
}

/// A removal on its way.
pub(crate) struct Removing {
    disk: oneshot::Receiver<Option<usize>>,
}

impl Removing {
    /// How many answers went from the disk; an error says what was not reached in time.
    pub(crate) async fn done(self, patience: Duration) -> Result<usize, &'static str> {
        match timeout(patience, self.disk).await {
            Ok(Ok(Some(count))) => Ok(count),
            Ok(Ok(None)) => Err("the disk cache could not be changed, and may give them after a restart"),
            // The end: nobody asks any more.
            Ok(Err(_)) => Ok(0),
            Err(_) => Err("the disk cache was too slow to say that they are gone from it"),
        }
    }
}

/// Where bytes are read.
enum Source<'a> {
    Disk(&'a Readers),
}

/// What is found in a tier.
struct FoundThere {
    saved: Saved,
    places: [Option<Place>; 2],
}

/// Why nothing could be read.
enum Trouble {
    Failed,
    Damaged,
    /// What is at the place is no record, or another address's.
    NoRecord(Place),
}

impl Source<'_> {
    async fn read(&self, place: &Place) -> Result<Option<Bytes>, Trouble> {
        match self {
            Self::Disk(readers) => readers.read(place).await.map_err(|error| match table::is_damage(&error) {
                true => Trouble::Damaged,
                false => Trouble::Failed,
            }),
        }
    }

    async fn record(&self, place: &Place, address: &Address) -> Result<Option<Record>, Trouble> {
        let Some(bytes) = self.read(place).await? else { return Ok(None) };
        let record = record::read(&bytes, address, (Instant::now(), SystemTime::now()));
        record.map(Some).ok_or(Trouble::NoRecord(*place))
    }
}

/// An answer of use to this request: at its own place, or at the place of its variant.
async fn find(source: &Source<'_>, address: &Address, request: &HeaderMap) -> Result<Option<FoundThere>, Trouble> {
    let place = address.place();
    let (saved, places) = match source.record(&place, address).await? {
        None => return Ok(None),
        Some(Record::Answer(saved)) => (saved, [Some(place), None]),
        Some(Record::Varies(names)) => {
            let variant = address.variant_of(&names, request);
            match source.record(&variant, address).await? {
                Some(Record::Answer(saved)) => (saved, [Some(place), Some(variant)]),
                _ => return Ok(None),
            }
        }
    };
    let of_use = saved.stored.matches(request) && !saved.stored.useful_for(Instant::now()).is_zero();
    Ok(of_use.then_some(FoundThere { saved: *saved, places }))
}
