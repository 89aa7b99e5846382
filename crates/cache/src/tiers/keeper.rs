//! One task that writes to the tiers for everybody, in the order in which things happened: what was stored before a removal
//! is removed by it. Nobody waits for a write; who removes waits until that is on the disk.

use std::{
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use seaworthy_core::Shutdown;
use tokio::{
    sync::{mpsc, oneshot},
    task::spawn_blocking,
    time::{MissedTickBehavior, interval},
};

use super::{
    Inner,
    address::Place,
    changes::{Change, transact},
    disk::Readers,
    files,
    removal::Removal,
    rows::Write,
    table::{Table, TableError},
};

/// So many orders share a transaction.
const BATCH: usize = 64;
/// How often expired rows are removed, and a database that could not be opened is tried again.
const TICK: Duration = Duration::from_secs(5);
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
    /// A reader found this generation of the file damaged.
    Damaged(u64),
    /// The limit has changed.
    Resize(oneshot::Sender<()>),
    #[cfg(test)]
    Flush(oneshot::Sender<()>),
    #[cfg(test)]
    LeaveRoom(i64),
    #[cfg(test)]
    Hold(oneshot::Receiver<()>),
}

/// The task's own things.
pub(super) struct Keeper {
    inner: Arc<Inner>,
    path: PathBuf,
    table: Option<Table>,
    /// It could not be opened at once, so that removals may be missing in it.
    missed: bool,
    /// So many databases were opened.
    generation: u64,
    /// What was said last of what is wrong; not repeated until it went well again.
    failing: Option<String>,
}

impl Keeper {
    pub(super) fn new(inner: Arc<Inner>, path: PathBuf) -> Self {
        Self { inner, path, table: None, missed: false, generation: 0, failing: None }
    }

    /// Opens the database where there is to be one, and says up to where the log of removals is in it.
    pub(super) async fn open(&mut self) -> Option<u64> {
        if self.inner.limit.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let opened = match Table::open(&self.path, self.missed).await {
            Err(error) if error.is_damage() => {
                self.say(&error, "the disk cache is damaged: it is set aside, and begins empty");
                match files::discard(&self.path, true) {
                    Ok(()) => Table::open(&self.path, true).await,
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
        let position = table.position().await?;
        let readers = Readers::open(&self.path, self.generation + 1).await?;
        self.generation += 1;
        *self.inner.readers_mut() = Some(Arc::new(readers));
        self.table = Some(table);
        self.missed = false;
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
                Order::Write(write) => changes.push((self.inner.rows(*write), None)),
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
                // Others may have found it too, and said so when a new one stood in its place.
                Order::Damaged(generation) => damaged |= generation == self.generation,
                Order::Resize(done) => resized = Some(done),
                #[cfg(test)]
                Order::Flush(done) => waiting.push(done),
                #[cfg(test)]
                Order::Hold(until) => drop(until.await),
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

    /// What changes came to, told to whoever waits.
    async fn apply(&mut self, changes: Vec<(Change, Option<oneshot::Sender<Option<usize>>>)>) {
        let (changes, dones): (Vec<Change>, Vec<_>) = changes.into_iter().unzip();
        let from = changes.iter().rposition(Change::is_all).map_or(0, |last| last + 1);
        let mut outcome = if from > 0 { self.empty(&changes[..from]).await } else { Vec::new() };
        outcome.extend(self.change(&changes[from..]).await);
        for ((change, done), count) in changes.iter().zip(dones).zip(outcome) {
            if let (Change::Put(rows), Some(_)) = (change, count)
                && !rows.is_empty()
            {
                self.inner.counts.disk.written.increment(1);
            }
            if let Some(done) = done {
                // Who gave the order need not wait any more.
                let _ = done.send(count);
            }
        }
    }

    /// Everything goes, with the file: what was written before needs not be written. Up to where the log is in it is known.
    async fn empty(&mut self, changes: &[Change]) -> Vec<Option<usize>> {
        let emptied = match &mut self.table {
            None => self.without_table().await,
            Some(table) => {
                let count = table.answers().await.unwrap_or_default();
                let emptied = self.begin_anew(false).await.map(|_| count);
                if let Some(at) = changes.iter().rev().find_map(Change::position) {
                    self.change(&[Change::Position(at)]).await;
                }
                emptied
            }
        };
        let of = |change: &Change| match change {
            Change::Remove(Removal::All, _) => emptied,
            Change::Remove(..) => emptied.map(|_| 0),
            _ => None,
        };
        changes.iter().map(of).collect()
    }

    /// All in one transaction; when that fails, each in its own, so that one that cannot be written fails alone. A removal
    /// that cannot be written takes the whole database with it: nothing may come back that was removed.
    async fn change(&mut self, changes: &[Change]) -> Vec<Option<usize>> {
        let limit = self.inner.limit.load(Ordering::Relaxed);
        let mut outcome = Vec::with_capacity(changes.len());
        if let Some(table) = &mut self.table {
            match transact(table, &changes.iter().collect::<Vec<_>>(), limit).await {
                Ok((counts, evicted)) => {
                    self.inner.counts.disk.evicted.increment(evicted as u64);
                    self.failing = None;
                    return counts;
                }
                Err(error) => self.trouble(&error).await,
            }
        }
        for change in changes {
            outcome.push(self.alone(change, limit).await);
        }
        outcome
    }

    /// `None`: it failed.
    async fn alone(&mut self, change: &Change, limit: u64) -> Option<usize> {
        let Some(table) = &mut self.table else {
            return if matches!(change, Change::Remove(..)) { self.without_table().await } else { None };
        };
        let error = match transact(table, &[change], limit).await {
            Ok((counts, _)) => return counts.first().copied().flatten(),
            Err(error) => error,
        };
        self.say(&error, "the disk cache could not be written");
        match change {
            Change::Put(_) => self.inner.counts.disk.left_out.increment(1),
            Change::Remove(..) | Change::Forget(_) => return self.start_again(false).await,
            Change::Touch(_) | Change::Position(_) => {}
        }
        None
    }

    /// What a removal comes to while the database is not open. `None`: it may be there, and be given after a restart.
    async fn without_table(&mut self) -> Option<usize> {
        if self.inner.limit.load(Ordering::Relaxed) == 0 {
            return Some(0);
        }
        self.missed = true;
        let path = self.path.clone();
        match spawn_blocking(move || files::mark(&path)).await {
            Ok(Ok(())) => Some(0),
            Ok(Err(error)) => {
                self.say(&error.into(), "the disk cache cannot be told that answers in it were removed");
                None
            }
            // The end.
            Err(_) => None,
        }
    }

    async fn trouble(&mut self, error: &TableError) {
        self.say(error, "the disk cache could not be written");
        if error.is_damage() {
            self.start_again(true).await;
        }
    }

    /// Removes the database because of what is wrong with it, and makes a new one. `None`: the old one may still be there.
    async fn start_again(&mut self, keep: bool) -> Option<usize> {
        tracing::error!(path = %self.path.display(), kept = keep, "the disk cache begins again, empty");
        self.begin_anew(keep).await
    }

    async fn begin_anew(&mut self, keep: bool) -> Option<usize> {
        self.close_readers().await;
        let Some(table) = self.table.take() else { return self.without_table().await };
        self.missed = true;
        if let Err(error) = table.discard(keep).await {
            self.say(&error.into(), "the disk cache could not be removed");
            return self.without_table().await;
        }
        self.open().await;
        Some(0)
    }

    async fn resize(&mut self) {
        let limit = self.inner.limit.load(Ordering::Relaxed);
        if limit == 0 {
            self.close_readers().await;
            if let Some(table) = self.table.take()
                && let Err(error) = table.discard(false).await
            {
                self.say(&error.into(), "the disk cache could not be removed");
                if let Err(error) = files::mark(&self.path) {
                    self.say(&error.into(), "what is removed now may be given from the disk when it is used again");
                }
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
