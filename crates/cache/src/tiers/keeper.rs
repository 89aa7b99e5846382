//! One task that writes to the tiers for everybody, in the order in which things happened: what was stored before a removal
//! is removed by it. Nobody waits for a write; who removes waits until that is on the disk.

use std::{
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant, SystemTime},
};

use seaworthy_core::Shutdown;
use tokio::{
    sync::{mpsc, oneshot},
    time::{MissedTickBehavior, interval},
};

use super::{
    Inner,
    address::{Address, Place},
    changes::{Change, transact},
    disk::Readers,
    files, record,
    removal::Removal,
    table::{Row, Table, TableError},
};
use crate::{fill::Through, key::Key, stored::Stored};

/// So many orders share a transaction.
const BATCH: usize = 64;
/// How often expired rows are removed, and a database that could not be opened is tried again.
const TICK: Duration = Duration::from_secs(5);
/// What is of use for a shorter time is not written down.
const WORTH: Duration = Duration::from_secs(2);
/// Word of how answers vary is kept for so long at least: other answers need it too.
const VARIES_FOR: Duration = Duration::from_secs(86_400);

/// What the task is told.
pub(super) enum Order {
    Write(Box<Write>),
    /// The removal with this number, which stands there in the log that nodes share.
    Remove {
        removal: Removal,
        number: u64,
        at: Option<u64>,
        done: Option<oneshot::Sender<Option<usize>>>,
    },
    /// Up to there the log is in the database.
    Position(u64),
    /// What stands at these places is of no use any more.
    Forget(Vec<Place>),
    Touch([Option<Place>; 2]),
    /// A reader found the file damaged.
    Damaged,
    /// The limit has changed.
    Resize(oneshot::Sender<()>),
    #[cfg(test)]
    Flush(oneshot::Sender<()>),
    #[cfg(test)]
    LeaveRoom(i64),
}

/// An answer to write down.
pub(super) struct Write {
    pub key: Key,
    pub through: Through,
    pub stored: Arc<Stored>,
    /// What it counts in the queue.
    pub size: usize,
}

/// The task's own things.
pub(super) struct Keeper {
    inner: Arc<Inner>,
    path: PathBuf,
    table: Option<Table>,
    /// It could not be opened at once, so that removals may be missing in it.
    missed: bool,
    /// What was said last of what is wrong; not repeated until it went well again.
    failing: Option<String>,
}

impl Keeper {
    pub(super) fn new(inner: Arc<Inner>, path: PathBuf) -> Self {
        Self { inner, path, table: None, missed: false, failing: None }
    }

    /// Opens the database where there is to be one, and says up to where the log of removals is in it.
    pub(super) async fn open(&mut self) -> Option<u64> {
        if self.inner.limit.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let opened = match Table::open(&self.path).await {
            Err(error) if error.is_damage() => {
                self.say(&error, "the disk cache is damaged: it is set aside, and begins empty");
                match files::discard(&self.path, true) {
                    Ok(()) => Table::open(&self.path).await,
                    Err(error) => Err(error.into()),
                }
            }
            opened => opened,
        };
        match self.ready(opened).await {
            Ok(position) => {
                if self.failing.take().is_some() {
                    tracing::info!(path = %self.path.display(), "the disk cache is in use");
                }
                position
            }
            Err(error) => {
                self.missed = true;
                self.say(&error, "the disk cache cannot be used: the cache goes on without; it is tried again");
                None
            }
        }
    }

    async fn ready(&mut self, opened: Result<Table, TableError>) -> Result<Option<u64>, TableError> {
        let mut table = opened?;
        if self.missed {
            // Removals since the start are not in it.
            table.clear().await?;
            self.missed = false;
        }
        let position = table.position().await?;
        let readers = Readers::open(&self.path).await?;
        *self.inner.readers_mut() = Some(Arc::new(readers));
        self.table = Some(table);
        self.show();
        Ok(position)
    }

    /// Works until the end.
    pub(super) async fn run(mut self, mut orders: mpsc::UnboundedReceiver<Order>, stop: Shutdown) {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut batch = Vec::new();
        loop {
            let count = tokio::select! {
                biased;
                count = orders.recv_many(&mut batch, BATCH) => count,
                _ = tick.tick() => {
                    self.tick().await;
                    continue;
                }
                () = stop.ordered() => 0,
            };
            if count == 0 {
                self.close_readers().await;
                if let Some(table) = self.table.take() {
                    table.close().await;
                }
                return;
            }
            self.serve(std::mem::take(&mut batch)).await;
        }
    }

    async fn tick(&mut self) {
        let wanted = self.inner.limit.load(Ordering::Relaxed) > 0;
        match &mut self.table {
            None if wanted => drop(self.open().await),
            None => {}
            Some(table) => {
                if let Err(error) = table.sweep().await {
                    self.trouble(&error).await;
                }
            }
        }
        self.show();
    }

    async fn serve(&mut self, batch: Vec<Order>) {
        let (mut changes, mut waiting, mut resized) = (Vec::new(), Vec::new(), None);
        let (mut removed, mut damaged) = (Vec::new(), false);
        for order in batch {
            match order {
                Order::Write(write) => changes.push((self.write(*write), None)),
                Order::Remove { removal, number, at, done } => {
                    removed.push(number);
                    changes.push((Change::Remove(removal, at), done));
                }
                Order::Position(at) => changes.push((Change::Position(at), None)),
                Order::Forget(places) => changes.push((Change::Forget(places), None)),
                Order::Touch(places) => {
                    self.inner.queue.leave(0);
                    changes.extend(places.into_iter().flatten().map(|place| (Change::Touch(place), None)));
                }
                Order::Damaged => damaged = true,
                Order::Resize(done) => resized = Some(done),
                #[cfg(test)]
                Order::Flush(done) => waiting.push(done),
                #[cfg(test)]
                Order::LeaveRoom(pages) => {
                    if let Some(table) = &mut self.table {
                        table.leave_room(pages).await;
                    }
                }
            }
        }
        if damaged && self.table.is_some() {
            self.start_again(true).await;
        }
        self.apply(changes).await;
        removed.into_iter().for_each(|number| self.inner.removals.wrote(number));
        if let Some(done) = resized {
            self.resize().await;
            waiting.push(done);
        }
        self.show();
        for done in waiting {
            // Who asked need not wait any more.
            let _ = done.send(());
        }
    }

    /// The rows of an answer; other nodes get the same bytes.
    fn write(&self, write: Write) -> Change {
        self.inner.queue.leave(write.size);
        let now = Instant::now();
        let ttl = write.stored.useful_for(now);
        if ttl < WORTH {
            return Change::Put(Vec::new());
        }
        let address = Address::of(&write.key, &write.through.policy);
        let bytes = record::of_answer(&address, &write.stored, write.through.since, (now, SystemTime::now()));
        let row = |place, varies, ttl, record: Vec<u8>| Row {
            place,
            site: address.site().to_vec(),
            target: address.target().to_vec(),
            varies,
            tags: if varies { Vec::new() } else { write.stored.tags.clone() },
            ttl,
            record: record.into(),
        };
        let vary = &write.stored.vary;
        let rows = if vary.is_empty() {
            vec![row(address.place(), false, ttl, bytes)]
        } else {
            let names = record::of_varies(&address, vary.iter().map(|(name, _)| name));
            let place = address.variant(vary.iter().map(|(name, had)| (name, had.clone())));
            vec![row(address.place(), true, ttl.max(VARIES_FOR), names), row(place, false, ttl, bytes)]
        };
        if !write.through.from_shared {
            self.inner.write_shared(&rows, write.through.since);
        }
        Change::Put(rows)
    }

    /// All in one transaction; when that fails, each in its own, so that one that cannot be written fails alone. A removal
    /// that cannot be written takes the whole database with it: nothing may come back that was removed.
    async fn apply(&mut self, changes: Vec<(Change, Option<oneshot::Sender<Option<usize>>>)>) {
        let limit = self.inner.limit.load(Ordering::Relaxed);
        let mut outcome = Vec::new();
        if let Some(table) = &mut self.table {
            let together: Vec<&Change> = changes.iter().map(|(change, _)| change).collect();
            match transact(table, &together, limit).await {
                Ok((counts, evicted)) => {
                    self.inner.counts.disk.evicted.increment(evicted as u64);
                    self.failing = None;
                    outcome = counts;
                }
                Err(error) => {
                    self.trouble(&error).await;
                    for (change, _) in &changes {
                        outcome.push(self.alone(change, limit).await);
                    }
                }
            }
        }
        let mut outcome = outcome.into_iter();
        for (change, done) in changes {
            let count = outcome.next();
            if let (Change::Put(rows), Some(Some(_))) = (&change, count)
                && !rows.is_empty()
            {
                self.inner.counts.disk.written.increment(1);
            }
            if let Some(done) = done {
                // A database that is not open keeps nothing, unless it is another process's for now.
                let _ = done.send(count.unwrap_or(Some(0)));
            }
        }
    }

    /// `None`: it failed.
    async fn alone(&mut self, change: &Change, limit: u64) -> Option<usize> {
        let Some(table) = &mut self.table else { return Some(0) };
        let error = match transact(table, &[change], limit).await {
            Ok((counts, _)) => return counts.first().copied().flatten(),
            Err(error) => error,
        };
        self.say(&error, "the disk cache could not be written");
        match change {
            Change::Put(_) => self.inner.counts.disk.left_out.increment(1),
            Change::Remove(..) | Change::Forget(_) => return self.start_again(false).await.then_some(0),
            Change::Touch(_) | Change::Position(_) => {}
        }
        None
    }

    async fn trouble(&mut self, error: &TableError) {
        self.say(error, "the disk cache could not be written");
        if error.is_damage() {
            self.start_again(true).await;
        }
    }

    /// Removes the database, and makes a new one. False: the old one may still be there.
    async fn start_again(&mut self, keep: bool) -> bool {
        self.close_readers().await;
        let Some(table) = self.table.take() else { return true };
        self.missed = true;
        tracing::error!(path = %self.path.display(), kept = keep, "the disk cache begins again, empty");
        if let Err(error) = table.discard(keep).await {
            self.say(
                &error.into(),
                "the disk cache could not be removed, and may give removed answers after a restart",
            );
            return false;
        }
        self.open().await;
        true
    }

    async fn resize(&mut self) {
        let limit = self.inner.limit.load(Ordering::Relaxed);
        if limit == 0 {
            self.close_readers().await;
            if let Some(table) = self.table.take()
                && let Err(error) = table.discard(false).await
            {
                self.say(&error.into(), "the disk cache could not be removed");
            }
        } else if let Some(table) = &mut self.table {
            if let Err(error) = transact(table, &[], limit).await {
                self.trouble(&error).await;
            }
        } else {
            self.missed = true;
            self.open().await;
        }
    }

    async fn close_readers(&self) {
        let readers = self.inner.readers_mut().take();
        if let Some(readers) = readers {
            readers.close().await;
        }
    }

    fn show(&self) {
        let bytes = self.table.as_ref().map_or(0, Table::bytes);
        self.inner.disk_bytes.store(bytes, Ordering::Relaxed);
        self.inner.counts.disk.bytes.set(bytes as f64);
    }

    fn say(&mut self, error: &TableError, what: &'static str) {
        let text = error.to_string();
        if self.failing.as_ref() != Some(&text) {
            tracing::error!(code = "SEA_CACHE_DISK", path = %self.path.display(), error = text, "{what}");
            self.failing = Some(text);
        }
    }
}
