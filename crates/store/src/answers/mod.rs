//! What nodes keep together for a cache: answers under keys, and a log of what has been removed.
//!
//! Answers are looked up within the store's patience, and written in the background: what a slow server does not take is
//! left out and counted. Removals are a stream of bounded length (`removals.rs`), which every node reads in order: an answer
//! that was written before a removal is told from one that was written after it by [`Answers::position`].
//!
//! Three connections, so that a large answer keeps nobody from his count, and nobody's look-up waits behind a write.

mod removals;
#[cfg(test)]
mod tests;
mod writes;

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use fred::{
    clients::Client,
    interfaces::ClientLike,
    types::{ClusterHash, CustomCommand, Value, config::Config},
};
use seaworthy_core::Shutdown;
use tokio::{sync::mpsc, time::timeout};

use self::{removals::Log, writes::Writes};
use crate::{
    StoreError,
    connection::{BEAT, Connection, Words, client},
};

/// All keys of answers begin with it.
const PREFIX: &[u8] = b"seaworthy:cache:answer:";
/// Longer removals are refused, so that the log is bounded in bytes too.
const LONGEST_REMOVAL: usize = 16 * 1024;
/// So many keys are removed by one command.
const KEYS_AT_ONCE: usize = 100;
/// So many events wait for who takes them; then the log waits.
const EVENTS_WAITING: usize = 1_024;

static WORDS: Words = Words {
    up: "the store answers: nodes share the answers of the cache",
    down: "the store does not answer: each node has the answers of its own cache alone, and learns what others remove when \
           it is back",
    gauge: "seaworthy_store_answers_up",
    losses: "seaworthy_store_answers_losses_total",
};

/// What happened to answers that nodes share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Somebody has announced this, perhaps this node itself. Each comes once, in order.
    Removal {
        /// Its place in the log: later ones are greater.
        id: u64,
        /// What was announced.
        bytes: Bytes,
    },
    /// Removals may have been missed: the log has been cut, emptied or set back since it was last read, or there is no
    /// telling where it was. Nothing from before is to be believed.
    Gap {
        /// From here on it is known again.
        id: u64,
    },
}

/// Answers that nodes share. Clones are one.
#[derive(Clone)]
pub struct Answers(Arc<Inner>);

struct Inner {
    lookups: Connection,
    listening: Client,
    writes: Writes,
    log: Log,
    /// Up to here the log has been read.
    position: AtomicU64,
    /// Whether the log has been read to its end at the last try.
    hears: AtomicBool,
    listeners: Mutex<Vec<mpsc::Sender<Event>>>,
}

impl Answers {
    pub(crate) fn build(config: &Config, patience: Duration, nodes: u64) -> Result<Self, StoreError> {
        Ok(Self(Arc::new(Inner {
            lookups: Connection::new(client(config, 2 * BEAT)?, patience, nodes, &WORDS),
            listening: client(config, removals::WAIT + 2 * BEAT)?,
            writes: Writes::new(client(config, 2 * BEAT)?),
            log: Log::default(),
            position: AtomicU64::new(0),
            hears: AtomicBool::new(false),
            listeners: Mutex::default(),
        })))
    }

    /// Whether it answers in time, and removals of other nodes are known here up to now.
    pub fn is_up(&self) -> bool {
        self.0.lookups.is_up() && self.0.hears.load(Ordering::Acquire)
    }

    /// Looks up an answer, within the store's patience. `None`: there is none.
    ///
    /// # Errors
    /// [`StoreError::Down`]: no answer in time, or [`Answers::is_up`] says no: then nobody waits.
    /// [`StoreError::Refused`]: there is something else under the key, or this client may not read it.
    pub async fn read(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        if !self.is_up() {
            return Err(StoreError::Down);
        }
        let lookups = &self.0.lookups;
        let question = lookups.client.custom::<Option<Bytes>, Value>(command("GET"), vec![full(key).into()]);
        match timeout(lookups.patience, lookups.ask(BEAT, question)).await {
            Ok(answer) => answer,
            // A large answer may be late where the server is well: the beat finds out.
            Err(_) => {
                lookups.doubt();
                Err(StoreError::Down)
            }
        }
    }

    /// Writes an answer in the background; it lives this long, which must not be nothing. False: it was left out, because
    /// the server is gone or slow; that is counted.
    pub fn write(&self, key: Vec<u8>, value: Bytes, ttl: Duration) -> bool {
        self.0.writes.put(self.is_up(), full(&key), value, ttl)
    }

    /// Removes answers. A write on its way may come after it: its position tells that it is older.
    ///
    /// # Errors
    /// [`StoreError::Down`], at once while [`Answers::is_up`] says no, and [`StoreError::Refused`]; some may have been
    /// removed.
    pub async fn remove(&self, keys: impl IntoIterator<Item = Vec<u8>>) -> Result<(), StoreError> {
        if !self.0.lookups.is_up() {
            return Err(StoreError::Down);
        }
        let keys: Vec<Value> = keys.into_iter().map(|key| full(&key).into()).collect();
        for keys in keys.chunks(KEYS_AT_ONCE) {
            let question = self.0.lookups.client.custom::<u64, Value>(command("UNLINK"), keys.to_vec());
            self.0.lookups.ask(BEAT, question).await?;
        }
        Ok(())
    }

    /// Announces a removal to all nodes, this one included. It is in the log when this has returned its place there.
    ///
    /// This may take a second: who removes is to know whether it happened.
    ///
    /// # Errors
    /// [`StoreError::Down`] (it may still have been written) and [`StoreError::Refused`]: the caller tells whoever asked for
    /// it that other nodes do not know of it.
    pub async fn announce(&self, event: Bytes) -> Result<u64, StoreError> {
        if event.len() > LONGEST_REMOVAL {
            let why = format!("a removal of {} bytes is longer than {LONGEST_REMOVAL}; name less at once", event.len());
            return Err(StoreError::Refused(why));
        }
        if !self.0.lookups.is_up() {
            return Err(StoreError::Down);
        }
        self.0.lookups.ask(BEAT, self.0.log.announce(&self.0.lookups.client, self.position(), event)).await
    }

    /// What happens from now on. To be asked for before [`Answers::run`], and to be taken: while it is full, the log waits.
    pub fn events(&self) -> mpsc::Receiver<Event> {
        let (sender, receiver) = mpsc::channel(EVENTS_WAITING);
        let mut listeners = self.0.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        let id = self.position();
        if id != 0 {
            // It has room: it is new.
            let _ = sender.try_send(Event::Gap { id });
        }
        listeners.push(sender);
        receiver
    }

    /// Up to here the log of removals has been read: an answer that is fetched now is newer than all removals up to here.
    /// It grows, unless the log was set back, which is a [`Event::Gap`]; 0: it is not known yet.
    pub fn position(&self) -> u64 {
        self.0.position.load(Ordering::Acquire)
    }

    /// Connects, writes and listens until the end. `since`: up to there removals were taken before this process; without it
    /// the first event is a [`Event::Gap`].
    pub async fn run(self, since: Option<u64>, shutdown: Shutdown) {
        let writer = self.clone();
        let stop = shutdown.clone();
        shutdown.spawn(async move { writer.0.writes.run(&stop).await });
        let listener = self.clone();
        let stop = shutdown.clone();
        shutdown.spawn(async move { listener.listen(since.unwrap_or(0), &stop).await });
        let lookups = &self.0.lookups;
        lookups.watch(&shutdown, || async { lookups.client.ping::<String>(None).await.map(drop) }).await;
    }

    /// Tells all who listen, and waits for them.
    async fn tell(&self, event: Event) {
        let listeners = {
            let mut listeners = self.0.listeners.lock().unwrap_or_else(PoisonError::into_inner);
            listeners.retain(|listener| !listener.is_closed());
            let (Event::Removal { id, .. } | Event::Gap { id }) = event;
            // Below the lock, so that who begins to listen misses nothing between.
            self.0.position.store(id, Ordering::Release);
            listeners.clone()
        };
        for listener in listeners {
            // Who has gone meanwhile needs nothing.
            let _ = listener.send(event.clone()).await;
        }
    }
}

impl fmt::Debug for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answers").field("up", &self.is_up()).finish_non_exhaustive()
    }
}

fn command(name: &'static str) -> CustomCommand {
    CustomCommand::new_static(name, ClusterHash::FirstKey, false)
}

fn full(key: &[u8]) -> Bytes {
    [PREFIX, key].concat().into()
}
