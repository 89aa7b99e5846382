//! One task that writes for everybody: whoever waits at the same time shares one transaction, and one wait for the disk.
//!
//! A key is claimed on the disk before the app is asked, so that no crash makes two first requests of one key; and an answer
//! is on the disk before it is given, so that who has seen it gets the same one again.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use seaworthy_core::Shutdown;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{MissedTickBehavior, interval},
};

use super::{
    key::{KeyId, Owner},
    stored::{Answer, Record},
    table::{Claimed, Table, TableError},
};

/// More wait in their own task.
const QUEUE: usize = 1024;
/// So many share a transaction.
const BATCH: usize = 256;
const SWEEP_EVERY: Duration = Duration::from_secs(30);
/// When there was more to remove than is removed at once.
const SWEEP_MORE: Duration = Duration::from_millis(250);

/// What can be asked of the task.
pub(super) enum Order {
    Claim { id: KeyId, owner: Owner, ttl: Duration, reply: oneshot::Sender<Result<Claim, TableError>> },
    Finish { id: KeyId, record: Record, reply: oneshot::Sender<Result<(), TableError>> },
    Release { id: KeyId, reply: oneshot::Sender<Result<(), TableError>> },
}

/// What became of a claim.
pub(super) enum Claim {
    /// Nobody had it: the request may run.
    First(Running),
    /// The first request runs now; the channel closes when it is done.
    Busy(watch::Receiver<()>),
    Known(Record),
    Full,
    ClientFull,
}

/// A first request that runs. Dropped, it runs no more, whatever is written of it.
pub(super) struct Running {
    id: KeyId,
    all: AllRunning,
    /// Closes with it.
    _done: watch::Sender<()>,
}

#[derive(Clone, Default)]
struct AllRunning(Arc<Mutex<HashMap<KeyId, watch::Receiver<()>>>>);

impl AllRunning {
    fn lock(&self) -> MutexGuard<'_, HashMap<KeyId, watch::Receiver<()>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start(&self, id: KeyId) -> Running {
        let (done, seen) = watch::channel(());
        self.lock().insert(id, seen);
        Running { id, all: self.clone(), _done: done }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.all.lock().remove(&self.id);
    }
}

/// What an order came to, told when it is on the disk.
enum Done {
    Claim(oneshot::Sender<Result<Claim, TableError>>, Claim),
    Other(oneshot::Sender<Result<(), TableError>>),
}

impl Done {
    fn tell(self) {
        // Whoever asked runs in a task of its own and waits; at a forced end nobody is left to hear.
        match self {
            Self::Claim(reply, claim) => drop(reply.send(Ok(claim))),
            Self::Other(reply) => drop(reply.send(Ok(()))),
        }
    }
}

impl Order {
    fn fail(self, error: TableError) {
        match self {
            Self::Claim { reply, .. } => drop(reply.send(Err(error))),
            Self::Finish { reply, .. } | Self::Release { reply, .. } => drop(reply.send(Err(error))),
        }
    }
}

/// Starts the task; it ends when the order to stop is given and nobody waits any more.
pub(super) fn start(mut table: Table, control: &Shutdown) -> mpsc::Sender<Order> {
    let (orders, mut waiting) = mpsc::channel(QUEUE);
    let stop = control.clone();
    control.spawn(async move {
        let running = AllRunning::default();
        let mut sweep = interval(SWEEP_EVERY);
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            let count = tokio::select! {
                biased;
                // First, or it would never have its turn under load.
                _ = sweep.tick() => {
                    match table.sweep().await {
                        Ok(true) => sweep.reset_after(SWEEP_MORE),
                        Ok(false) => {}
                        Err(error) => tracing::warn!(%error, "expired idempotency keys could not be removed"),
                    }
                    continue;
                }
                count = waiting.recv_many(&mut batch, BATCH) => count,
                () = stop.ordered() => 0,
            };
            if count == 0 {
                return table.close().await;
            }
            serve(&mut table, &running, std::mem::take(&mut batch)).await;
        }
    });
    orders
}

/// All in one transaction; when that fails, each in its own, so that one large answer on a full disk fails alone.
async fn serve(table: &mut Table, running: &AllRunning, batch: Vec<Order>) {
    let alone = batch.len() == 1;
    let Err((batch, error)) = together(table, running, batch).await else { return };
    tracing::error!(%error, "idempotency keys could not be written");
    for order in batch {
        if alone {
            order.fail(error.clone());
        } else if let Err((orders, error)) = together(table, running, vec![order]).await {
            orders.into_iter().for_each(|order| order.fail(error.clone()));
        }
    }
}

async fn together(table: &mut Table, running: &AllRunning, batch: Vec<Order>) -> Result<(), (Vec<Order>, TableError)> {
    if let Err(error) = table.begin().await {
        return Err((batch, error));
    }
    let mut outcomes = Vec::with_capacity(batch.len());
    for order in &batch {
        match one(table, running, order).await {
            Ok(outcome) => outcomes.push(outcome),
            Err(error) => {
                table.undo().await;
                return Err((batch, error));
            }
        }
    }
    if let Err(error) = table.commit().await {
        table.undo().await;
        return Err((batch, error));
    }
    for (order, outcome) in batch.into_iter().zip(outcomes) {
        let done = match (order, outcome) {
            (Order::Claim { reply, .. }, Some(claim)) => Done::Claim(reply, claim),
            (Order::Finish { reply, .. } | Order::Release { reply, .. }, _) => Done::Other(reply),
            // A claim always has an outcome.
            (Order::Claim { .. }, None) => continue,
        };
        done.tell();
    }
    Ok(())
}

async fn one(table: &mut Table, running: &AllRunning, order: &Order) -> Result<Option<Claim>, TableError> {
    match order {
        Order::Claim { id, owner, ttl, .. } => {
            // Before the disk is asked: what runs here is not done, whatever is written of it.
            let busy = running.lock().get(id).cloned();
            let claim = match busy {
                Some(done) => Claim::Busy(done),
                None => match table.claim(id, owner, *ttl).await? {
                    Claimed::New => Claim::First(running.start(*id)),
                    Claimed::Known(record) => Claim::Known(record),
                    Claimed::Full => Claim::Full,
                    Claimed::OwnerFull => Claim::ClientFull,
                },
            };
            Ok(Some(claim))
        }
        Order::Finish { id, record, .. } => table.finish(id, record).await.map(|()| None),
        Order::Release { id, .. } => table.release(id).await.map(|()| None),
    }
}

/// Asks the task.
pub(super) async fn claim(
    orders: &mpsc::Sender<Order>,
    id: KeyId,
    owner: Owner,
    ttl: Duration,
) -> Result<Claim, TableError> {
    ask(orders, |reply| Order::Claim { id, owner, ttl, reply }).await
}

/// Writes down what became of a first request.
pub(super) async fn finish(orders: &mpsc::Sender<Order>, id: KeyId, record: Record) -> Result<(), TableError> {
    debug_assert!(record.answer != Answer::Unknown);
    ask(orders, |reply| Order::Finish { id, record, reply }).await
}

/// Forgets a key whose request did not run.
pub(super) async fn release(orders: &mpsc::Sender<Order>, id: KeyId) -> Result<(), TableError> {
    ask(orders, |reply| Order::Release { id, reply }).await
}

async fn ask<T>(
    orders: &mpsc::Sender<Order>,
    order: impl FnOnce(oneshot::Sender<Result<T, TableError>>) -> Order,
) -> Result<T, TableError> {
    let (reply, told) = oneshot::channel();
    let closed = || TableError::new("the store is closed");
    orders.send(order(reply)).await.map_err(|_| closed())?;
    told.await.map_err(|_| closed())?
}
