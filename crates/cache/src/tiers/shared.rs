//! The tier that nodes share, in Redis: answers, each with the place in the log of removals that was known when its fetch
//! began, and that log. A removal is told to all nodes; what cannot be told is kept and told when that is possible again.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use bytes::Bytes;
use seaworthy_core::Shutdown;
use seaworthy_store::{Answers, Event, Redis, StoreError};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep, timeout},
};

use super::{Inner, Removal, address::Place, keeper::Order, table::Row};
use crate::store::Store;

/// So many removals wait for a log that does not answer; of more one is made that removes everything.
const UNTOLD: usize = 1_024;
/// The log may refuse a longer one for its length.
const LONG: usize = 15_000;
/// Before the log is asked again that did not answer.
const PAUSE: Duration = Duration::from_millis(200);
/// So long the disk waits at the start for what was removed meanwhile. Then the log cannot be had, and it is used without.
const CATCH_UP: Duration = Duration::from_secs(3);
const CATCH_UP_LOOK: Duration = Duration::from_millis(10);

/// A removal that other nodes are to learn of, and who waits for that. False: they could not be told yet.
pub(super) struct Untold {
    pub number: u64,
    pub removal: Removal,
    pub told: Option<oneshot::Sender<bool>>,
}

/// The tier.
pub(super) struct Shared {
    answers: Answers,
    pub(super) patience: Duration,
    untold: mpsc::UnboundedSender<Untold>,
}

/// What is started when all else is there.
pub(super) struct Work {
    answers: Answers,
    events: mpsc::Receiver<Event>,
    untold: mpsc::UnboundedReceiver<Untold>,
}

impl Shared {
    pub(super) fn new(redis: &Redis) -> (Self, Work) {
        let answers = redis.answers();
        let (sender, untold) = mpsc::unbounded_channel();
        let events = answers.events();
        let work = Work { answers: answers.clone(), events, untold };
        (Self { answers, patience: redis.patience(), untold: sender }, work)
    }

    /// The bytes at a place. Nothing, when removals that may name it are not taken in yet.
    ///
    /// # Errors
    /// It did not answer in time.
    pub(super) async fn read(&self, place: &Place) -> Result<Option<Bytes>, StoreError> {
        self.answers.read(place).await
    }

    /// Whether all removals up to `position` are all that the log has told.
    pub(super) fn is_at(&self, position: u64) -> bool {
        position != 0 && self.answers.position() == position
    }

    /// Whether it answers, and removals of others are heard.
    pub(super) fn is_up(&self) -> bool {
        self.answers.is_up()
    }

    /// Writes it in the background. False: it was left out.
    pub(super) fn write(&self, row: &Row) -> bool {
        self.answers.write(row.place.to_vec(), row.record.clone(), row.ttl)
    }

    /// Removes what stands at places, in a task of its own. What is not reached is too old for its ETag to matter: it is
    /// asked for again.
    pub(super) async fn forget(&self, places: Vec<Place>) {
        // What stays is confirmed with the app once more.
        let _ = self.answers.remove(places.into_iter().map(|place| place.to_vec())).await;
    }

    pub(super) fn tell(&self, untold: Untold) {
        // Nobody listens at the end alone.
        let _ = self.untold.send(untold);
    }
}

impl Work {
    /// Starts it. `since`: up to there the disk has all removals.
    pub(super) fn start(self, store: &Store, inner: &Arc<Inner>, since: Option<u64>, control: &Shutdown) {
        let Self { answers, events, untold } = self;
        if let Some(since) = since {
            // What was removed before this process is not remembered in it.
            inner.removals.forget_before(since);
        }
        control.spawn(answers.clone().run(since, control.clone()));
        control.spawn(follow(store.clone(), inner.clone(), events, control.clone()));
        control.spawn(catch_up(inner.clone(), control.clone()));
        control.spawn(announce(inner.clone(), answers, untold, control.clone()));
    }
}

/// Takes in what is removed anywhere.
async fn follow(store: Store, inner: Arc<Inner>, mut events: mpsc::Receiver<Event>, stop: Shutdown) {
    loop {
        let event = tokio::select! {
            event = events.recv() => event,
            () = stop.ordered() => None,
        };
        match event {
            None => return,
            Some(Event::Removal { id, bytes }) => {
                let removal = Removal::from_bytes(&bytes);
                match inner.removals.learn(id, removal.clone()) {
                    Some(number) => {
                        store.take_out(&removal);
                        inner.tell(Order::Remove { removal, number, at: Some(id), done: None });
                    }
                    // Our own: it is done already.
                    None => inner.tell(Order::Position(id)),
                }
            }
            Some(Event::Gap { id }) => {
                let first = inner.removals.position() == 0;
                inner.removals.forget_before(id);
                if let Some(number) = inner.removals.learn(id, Removal::All) {
                    let count = store.take_out(&Removal::All);
                    inner.tell(Order::Remove { removal: Removal::All, number, at: Some(id), done: None });
                    if !first {
                        let code = "SEA_CACHE_GAP";
                        tracing::error!(
                            code,
                            count,
                            "removals of other nodes may have been missed: the cache begins again, empty"
                        );
                    }
                }
            }
        }
    }
}

/// Lets the disk be used when what was removed while this node was down is taken out of it.
async fn catch_up(inner: Arc<Inner>, stop: Shutdown) {
    let until = Instant::now() + CATCH_UP;
    while Instant::now() < until && !stop.has_begun() {
        if inner.shared.as_ref().is_none_or(|shared| shared.is_up() && shared.is_at(inner.removals.position())) {
            return inner.disk_may_be_read();
        }
        sleep(CATCH_UP_LOOK).await;
    }
    let code = "SEA_CACHE_GAP";
    tracing::warn!(
        code,
        "the store does not answer: what other nodes have removed meanwhile may still be given from the disk"
    );
    inner.disk_may_be_read();
}

/// Tells removals to the log, in order, until it has them.
async fn announce(inner: Arc<Inner>, answers: Answers, mut untold: mpsc::UnboundedReceiver<Untold>, stop: Shutdown) {
    let mut waiting: VecDeque<Untold> = VecDeque::new();
    loop {
        let next = tokio::select! {
            next = untold.recv() => next,
            () = sleep(PAUSE), if !waiting.is_empty() => None,
            () = stop.ordered() => return,
        };
        waiting.extend(next);
        while let Ok(next) = untold.try_recv() {
            waiting.push_back(next);
        }
        while let Some(first) = waiting.front_mut() {
            let told = first.told.take();
            match answers.announce(first.removal.to_bytes()).await {
                Ok(at) => {
                    inner.removals.stands(first.number, at);
                    waiting.pop_front();
                    // Who gave the order need not wait any more.
                    let _ = told.map(|told| told.send(true));
                }
                // The log would not take it however often it is told: too long. What it names is in everything.
                Err(StoreError::Refused(_))
                    if first.removal != Removal::All && first.removal.to_bytes().len() > LONG =>
                {
                    first.removal = Removal::All;
                    first.told = told;
                }
                Err(_) => {
                    let others = waiting.iter_mut().filter_map(|one| one.told.take());
                    for told in others.chain(told) {
                        // Who gave the order need not wait any more.
                        let _ = told.send(false);
                    }
                    break;
                }
            }
        }
        if waiting.len() > UNTOLD {
            let number = inner.removals.add(Removal::All);
            inner.removals.wrote(number);
            waiting.clear();
            waiting.push_back(Untold { number, removal: Removal::All, told: None });
        }
    }
}

/// Whether other nodes have been told.
pub(super) async fn was_told(told: oneshot::Receiver<bool>, patience: Duration) -> bool {
    // At the end nobody answers, and nobody asks any more.
    matches!(timeout(patience, told).await, Ok(Ok(true) | Err(_)))
}
