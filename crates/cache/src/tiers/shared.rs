//! The tier that nodes share, in Redis: answers, each with the place in the log of removals that was known when its fetch
//! began, and that log. A removal is told to all nodes; what cannot be told is kept and told when that is possible again.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use seaworthy_core::Shutdown;
use seaworthy_store::{Answers, Event, Redis, StoreError};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use super::{Inner, Removal, address::Place, keeper::Order, removal::Told, table::Row};
use crate::store::Store;

/// So many removals wait for a log that does not answer; of more one is made that removes everything.
const UNTOLD: usize = 1_024;
/// So many are told at once, so that a busy node does not wait for the way to the server once for each.
const AT_ONCE: usize = 64;
/// So long what is still untold is told at the end.
const LAST_WORDS: Duration = Duration::from_secs(2);
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
        // What the client gives is a slice of what it has read at once, other answers included, and would keep all that.
        Ok(self.answers.read(place).await?.map(|record| Bytes::copy_from_slice(&record)))
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
        control.spawn(follow(store.clone(), inner.clone(), events, control.clone()));
        control.spawn(catch_up(inner.clone(), control.clone()));
        // The connections end after the last word over them.
        let connections = Shutdown::new();
        connections.spawn(answers.clone().run(since, connections.clone()));
        let (inner, stop) = (inner.clone(), control.clone());
        control.spawn(async move {
            announce(inner, answers, untold, stop).await;
            connections.begin();
            connections.finished(sleep(LAST_WORDS)).await;
        });
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
                let told = Told::from_bytes(&bytes);
                let removal = told.removal.clone();
                match inner.removals.learn(id, told) {
                    Some(number) => {
                        store.take_out(&removal);
                        inner.tell(Order::Remove { removal, number, at: Some(id), done: None });
                    }
                    // Our own: it is done already.
                    None => inner.tell(Order::Position(id)),
                }
            }
            Some(Event::Gap { id }) => begin_again(&store, &inner, id),
        }
    }
}

/// Some removals may have been missed.
fn begin_again(store: &Store, inner: &Inner, id: u64) {
    let first = inner.removals.position() == 0;
    let (number, ahead) = inner.removals.begin_again(id);
    let count = store.take_out(&Removal::All);
    inner.tell(Order::Remove { removal: Removal::All, number, at: Some(id), done: None });
    if !first {
        let code = "SEA_CACHE_GAP";
        tracing::error!(code, count, "removals of other nodes may have been missed: the cache begins again, empty");
    }
    if ahead && let Some(shared) = &inner.shared {
        // The log has lost removals, and a node that hears of it only now would not know of them.
        let number = inner.removals.instead_of(&BTreeSet::new());
        shared.tell(Untold { number, removal: Removal::All, told: None });
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

/// Tells removals to the log until it has them.
async fn announce(inner: Arc<Inner>, answers: Answers, mut untold: mpsc::UnboundedReceiver<Untold>, stop: Shutdown) {
    let mut waiting: VecDeque<Untold> = VecDeque::new();
    loop {
        let next = tokio::select! {
            biased;
            next = untold.recv() => next,
            () = sleep(PAUSE), if !waiting.is_empty() => None,
            () = stop.ordered() => break,
        };
        next.into_iter().for_each(|next| take(&mut waiting, next));
        loop {
            while let Ok(next) = untold.try_recv() {
                take(&mut waiting, next);
            }
            bound(&inner, &mut waiting);
            if waiting.is_empty() || !tell_some(&inner, &answers, &mut waiting).await {
                break;
            }
        }
        if stop.has_begun() && !waiting.is_empty() {
            break;
        }
    }
    untold.close();
    while let Ok(next) = untold.try_recv() {
        take(&mut waiting, next);
    }
    bound(&inner, &mut waiting);
    let last = async { while !waiting.is_empty() && tell_some(&inner, &answers, &mut waiting).await {} };
    let in_time = timeout(LAST_WORDS, last).await.is_ok();
    if !in_time || !waiting.is_empty() {
        let code = "SEA_CACHE_GAP";
        tracing::error!(
            code,
            "other nodes could not be told at the end of everything that was removed here: purge again"
        );
    }
}

/// Puts it behind the others, and an equal one that waits already goes with it.
fn take(waiting: &mut VecDeque<Untold>, mut next: Untold) {
    // One that somebody waits for stays, for it is he who is told.
    if let Some(place) = waiting.iter().position(|one| one.told.is_none() && one.removal == next.removal)
        && let Some(equal) = waiting.remove(place)
    {
        // The later of the two is the one that is remembered.
        next.number = next.number.max(equal.number);
    }
    waiting.push_back(next);
}

/// Of too many one is made that removes everything.
fn bound(inner: &Inner, waiting: &mut VecDeque<Untold>) {
    if waiting.len() <= UNTOLD {
        return;
    }
    let numbers = waiting.iter().map(|one| one.number).collect();
    let number = inner.removals.instead_of(&numbers);
    for told in waiting.drain(..).filter_map(|one| one.told) {
        // Who gave the order need not wait any more.
        let _ = told.send(false);
    }
    waiting.push_back(Untold { number, removal: Removal::All, told: None });
}

/// Tells the first of them, at once. Their order does not matter: each counts by its own place. False: not all were taken.
async fn tell_some(inner: &Inner, answers: &Answers, waiting: &mut VecDeque<Untold>) -> bool {
    let mut telling = JoinSet::new();
    for one in waiting.iter().take(AT_ONCE) {
        let (answers, number) = (answers.clone(), one.number);
        let bytes = inner.removals.to_tell(number, &one.removal);
        telling.spawn(async move { (number, answers.announce(bytes).await) });
    }
    let mut all = true;
    while let Some(told) = telling.join_next().await {
        let Ok((number, told)) = told else {
            all = false;
            continue;
        };
        let Some(place) = waiting.iter().position(|one| one.number == number) else { continue };
        match told {
            Ok(at) => {
                inner.removals.stands(number, at);
                let told = waiting.remove(place).and_then(|one| one.told);
                // Who gave the order need not wait any more.
                let _ = told.map(|told| told.send(true));
            }
            // The log would not take it however often it is told: an order that is too long. No client's request is.
            Err(StoreError::Refused(_)) if is_too_long(&waiting[place].removal) => {
                waiting[place].removal = Removal::All;
            }
            Err(_) => all = false,
        }
    }
    if !all {
        for told in waiting.iter_mut().filter_map(|one| one.told.take()) {
            // Who gave the order need not wait any more.
            let _ = told.send(false);
        }
    }
    all
}

/// The log takes 16 KiB.
fn is_too_long(removal: &Removal) -> bool {
    removal.to_tell().to_bytes().len() > 15_000
}

/// Whether other nodes have been told.
pub(super) async fn was_told(told: oneshot::Receiver<bool>, patience: Duration) -> bool {
    // Nobody is left to tell them at the end: then they are not told.
    matches!(timeout(patience, told).await, Ok(Ok(true)))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::tiers::Tiers;

    #[tokio::test]
    async fn what_waits_is_bounded_and_equal_ones_are_one() {
        let tiers = Tiers::open(&Store::default(), Path::new("/nowhere"), 0, None, &Shutdown::new()).await;
        let inner = &tiers.0;
        inner.removals.share();
        let mut waiting = VecDeque::new();
        let untold = |tag| {
            let removal = Removal::Tag(tag);
            Untold { number: inner.removals.add(removal.clone()), removal, told: None }
        };
        for _ in 0..10 {
            take(&mut waiting, untold(7));
        }
        assert_eq!((waiting.len(), waiting[0].number), (1, 9));
        (0..UNTOLD as u64).for_each(|tag| take(&mut waiting, untold(tag)));
        bound(inner, &mut waiting);
        assert_eq!(waiting.len(), UNTOLD);
        let (told, mut was_told) = oneshot::channel();
        take(&mut waiting, Untold { told: Some(told), ..untold(UNTOLD as u64) });
        bound(inner, &mut waiting);
        assert_eq!((waiting.len(), &waiting[0].removal), (1, &Removal::All));
        assert_eq!(was_told.try_recv(), Ok(false), "nobody knows yet");
    }
}
