//! Failures by account: counted by all nodes in the store, by this one while there is none, or it does not answer.

use std::{
    collections::HashMap,
    fmt,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use seaworthy_store::{BackOff, Guess, Guessed, Redis};

/// Sign-ins are rare beside other requests.
const SHARDS: usize = 16;
/// So many accounts, and places, a shard: some 15 MB in all at the very most.
const MOST_A_SHARD: usize = 4_096;
/// Of so many the least important one makes room for another.
const LOOKED_AT: usize = 8;
/// How long the place of a success is remembered.
const PLACE_KEPT: Duration = Duration::from_secs(30 * 86_400);

/// Who has failed how often, on all routes of this process. Clones are one.
#[derive(Clone, Default)]
pub struct Guesses(Arc<Inner>);

#[derive(Default)]
struct Inner {
    store: Option<Redis>,
    shards: [Mutex<Shard>; SHARDS],
}

/// An account is in one shard, with all its places.
#[derive(Default)]
struct Shard {
    /// By account, or account and place where that is known.
    failures: HashMap<(u128, Option<u128>), Failures>,
    /// From where accounts have been reached, until when that is remembered.
    places: HashMap<(u128, u128), Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u64,
    until: Instant,
    forgotten: Instant,
}

impl Guesses {
    /// Counts in this store, together with other nodes.
    pub fn shared(store: Option<Redis>) -> Self {
        Self(Arc::new(Inner { store, ..Inner::default() }))
    }

    /// Asks whether a try may be made, and counts it as failed for the time being.
    pub(super) async fn begin(&self, guess: Guess, back_off: &BackOff, now: Instant) -> Guessed {
        if let Some(store) = self.store()
            && let Ok(guessed) = store.guess(guess, back_off).await
        {
            // So that the loss of the store opens nothing.
            self.shard(guess).mirror(guess, guessed, back_off, now);
            return guessed;
        }
        self.shard(guess).begin(guess, back_off, now)
    }

    /// It has succeeded: failures are forgotten, and the place is remembered.
    pub(super) async fn succeeded(&self, guess: Guess, now: Instant) {
        self.shard(guess).succeeded(guess, now);
        if let Some(store) = self.store() {
            // Not told, the pause ends by itself.
            let _ = store.succeeded(guess).await;
        }
    }

    /// It has told nothing.
    pub(super) async fn taken_back(&self, guess: Guess, failures: u64, now: Instant) {
        self.shard(guess).taken_back(guess, failures, now);
        if let Some(store) = self.store() {
            let _ = store.taken_back(guess, failures).await;
        }
    }

    fn store(&self) -> Option<&Redis> {
        self.0.store.as_ref().filter(|store| store.is_up())
    }

    fn shard(&self, guess: Guess) -> MutexGuard<'_, Shard> {
        // The account is a hash already.
        let place = (guess.account % SHARDS as u128) as usize;
        self.0.shards[place].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Guesses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guesses").finish_non_exhaustive()
    }
}

impl Shard {
    fn key(&self, guess: Guess, now: Instant) -> (u128, Option<u128>) {
        let known = self.places.get(&(guess.account, guess.place)).is_some_and(|until| *until > now);
        (guess.account, known.then_some(guess.place))
    }

    fn begin(&mut self, guess: Guess, back_off: &BackOff, now: Instant) -> Guessed {
        let key = self.key(guess, now);
        let known = self.failures.get(&key).filter(|failures| failures.forgotten > now);
        let (count, until) = known.map_or((0, now), |failures| (failures.count, failures.until));
        if until > now {
            return Guessed { allowed: false, failures: count, pause: until - now };
        }
        let failures = count + 1;
        let pause = back_off.pause(failures);
        self.put(key, failures, pause, back_off, now);
        Guessed { allowed: true, failures, pause }
    }

    /// What the store has said, kept here too.
    fn mirror(&mut self, guess: Guess, guessed: Guessed, back_off: &BackOff, now: Instant) {
        let key = self.key(guess, now);
        self.put(key, guessed.failures, guessed.pause, back_off, now);
    }

    fn put(&mut self, key: (u128, Option<u128>), count: u64, pause: Duration, back_off: &BackOff, now: Instant) {
        make_room(&mut self.failures, &key, |failures| (failures.forgotten > now, failures.count));
        let until = now + pause;
        self.failures.insert(key, Failures { count, until, forgotten: until + back_off.kept });
    }

    fn succeeded(&mut self, guess: Guess, now: Instant) {
        self.failures.remove(&(guess.account, None));
        self.failures.remove(&(guess.account, Some(guess.place)));
        let key = (guess.account, guess.place);
        make_room(&mut self.places, &key, |until| *until);
        self.places.insert(key, now + PLACE_KEPT);
    }

    /// Only the last try is taken back: an older one may have been waited for by others.
    fn taken_back(&mut self, guess: Guess, failures: u64, now: Instant) {
        let key = self.key(guess, now);
        if let Some(known) = self.failures.get_mut(&key)
            && known.count == failures
        {
            known.count -= 1;
            known.until = now;
        }
    }
}

/// With too many entries the least of a few goes: strangers of a crowd before an account that is under attack.
fn make_room<K: Copy + Eq + Hash, V, O: Ord>(map: &mut HashMap<K, V>, newcomer: &K, worth: impl Fn(&V) -> O) {
    if map.len() < MOST_A_SHARD || map.contains_key(newcomer) {
        return;
    }
    let least = map.iter().take(LOOKED_AT).min_by_key(|(_, value)| worth(value)).map(|(key, _)| *key);
    if let Some(least) = least {
        map.remove(&least);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACK_OFF: BackOff = BackOff {
        free: 3,
        first: Duration::from_secs(1),
        longest: Duration::from_secs(8),
        kept: Duration::from_secs(3_600),
    };

    fn guess(account: u128, place: u128) -> Guess {
        Guess { account, place }
    }

    #[tokio::test]
    async fn pauses_grow_and_a_success_ends_them() {
        let (guesses, start) = (Guesses::default(), Instant::now());
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let try_at = async |place, seconds| {
            let guessed = guesses.begin(guess(1, place), &BACK_OFF, at(seconds)).await;
            (guessed.allowed, guessed.pause.as_secs())
        };
        for place in 0..3 {
            assert_eq!(try_at(place, 0).await, (true, 0));
        }
        assert_eq!(try_at(3, 0).await, (true, 1), "from wherever");
        assert_eq!(try_at(4, 0).await, (false, 1));
        assert_eq!(guesses.begin(guess(2, 4), &BACK_OFF, at(0)).await.failures, 1, "another account");
        assert_eq!([try_at(5, 1).await, try_at(5, 3).await, try_at(5, 7).await], [(true, 2), (true, 4), (true, 8)]);
        assert_eq!((try_at(5, 14).await, try_at(5, 15).await), ((false, 1), (true, 8)), "no longer than the longest");
        guesses.succeeded(guess(1, 5), at(23)).await;
        assert_eq!(try_at(6, 23).await, (true, 0));
    }

    #[tokio::test]
    async fn the_owner_at_the_usual_place_is_not_locked_out_by_strangers() {
        let (guesses, now) = (Guesses::default(), Instant::now());
        guesses.succeeded(guess(1, 7), now).await;
        for stranger in 100..110 {
            guesses.begin(guess(1, stranger), &BACK_OFF, now).await;
        }
        assert!(!guesses.begin(guess(1, 200), &BACK_OFF, now).await.allowed);
        assert!(guesses.begin(guess(1, 7), &BACK_OFF, now).await.allowed);
        for _ in 0..3 {
            guesses.begin(guess(1, 7), &BACK_OFF, now).await;
        }
        assert!(!guesses.begin(guess(1, 7), &BACK_OFF, now).await.allowed, "that place may not guess either");
        let later = now + PLACE_KEPT + Duration::from_secs(1);
        assert_eq!(guesses.begin(guess(1, 7), &BACK_OFF, later).await.failures, 1);
    }

    #[tokio::test]
    async fn what_told_nothing_is_taken_back_and_an_older_try_is_not() {
        let (guesses, now) = (Guesses::default(), Instant::now());
        for _ in 0..10 {
            let guessed = guesses.begin(guess(1, 1), &BACK_OFF, now).await;
            assert!(guessed.allowed);
            guesses.taken_back(guess(1, 1), guessed.failures, now).await;
        }
        let first = guesses.begin(guess(1, 1), &BACK_OFF, now).await;
        for _ in 0..3 {
            guesses.begin(guess(1, 2), &BACK_OFF, now).await;
        }
        guesses.taken_back(guess(1, 1), first.failures, now).await;
        assert!(!guesses.begin(guess(1, 1), &BACK_OFF, now).await.allowed);
    }

    #[tokio::test]
    async fn memory_is_bounded_and_a_crowd_does_not_wash_out_an_attacked_account() {
        let (guesses, now) = (Guesses::default(), Instant::now());
        for _ in 0..4 {
            guesses.begin(guess(0, 1), &BACK_OFF, now).await;
        }
        for account in 1..(SHARDS * MOST_A_SHARD + 40_000) as u128 {
            guesses.begin(guess(account, account), &BACK_OFF, now).await;
            guesses.succeeded(guess(account ^ (1 << 100), account), now).await;
        }
        let most = guesses.0.shards.iter().map(|shard| shard.lock().unwrap().failures.len()).max().unwrap();
        let places = guesses.0.shards.iter().map(|shard| shard.lock().unwrap().places.len()).max().unwrap();
        assert!(most <= MOST_A_SHARD && places <= MOST_A_SHARD, "{most} {places}");
        assert!(!guesses.begin(guess(0, 2), &BACK_OFF, now).await.allowed);
    }
}
