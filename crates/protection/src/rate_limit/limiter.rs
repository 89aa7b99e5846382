//! The counts: the generic cell rate algorithm, one number a client.
//!
//! For each client it keeps the moment at which its budget will be whole again. A request moves that moment on by the time
//! that one request is worth; it is refused when the moment would be more than the whole window ahead. So a client may
//! spend its budget at once, gets it back evenly, and never more than the rate over any window and the one after it.

use std::{
    collections::{HashMap, hash_map::RandomState},
    hash::{BuildHasher, Hash, Hasher},
    net::{IpAddr, Ipv6Addr},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use seaworthy_core::{Principal, RequestContext};

use super::policy::{Per, RatePolicy};

/// Locks are held for tens of nanoseconds; with so many of them two cores rarely want the same one.
const SHARDS: usize = 64;
/// So many clients a shard: a quarter of a million for each route that has a rate, some 16 MB at the very most.
const MOST_A_SHARD: usize = 4_096;

/// Who is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    /// An address; of IPv6 its first half, for whoever has one has the whole network.
    Client(IpAddr),
    /// A user or a service, by fingerprint.
    Principal(u128),
    /// A tenant, by fingerprint.
    Tenant(u128),
    /// All clients of the route.
    Route,
    /// Nobody knows who asks: they share one budget.
    Unknown,
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Decision {
    /// It may pass.
    pub allowed: bool,
    /// So many more may follow at once.
    pub remaining: u64,
    /// Until the budget is whole again.
    pub reset: Duration,
    /// Until it grows by one.
    pub next: Duration,
    /// Until one more may pass.
    pub retry: Duration,
}

/// Counts for one policy.
#[derive(Debug)]
pub(super) struct Limiter {
    /// What one request of cost 1 is worth, in nanoseconds.
    interval: u64,
    /// The window.
    window: u64,
    began: Instant,
    hasher: RandomState,
    shards: Vec<Mutex<Shard>>,
}

#[derive(Debug, Default)]
struct Shard {
    /// When each budget is whole again, in nanoseconds since the limiter began.
    whole_at: HashMap<Key, u64>,
    swept_at: u64,
}

impl Hash for Key {
    /// One number: each piece that is hashed costs as much as what it is for. Those of different kinds may be the same.
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u128(match self {
            Self::Client(IpAddr::V4(address)) => u32::from(*address).into(),
            Self::Client(IpAddr::V6(address)) => u128::from(*address),
            Self::Principal(fingerprint) | Self::Tenant(fingerprint) => *fingerprint,
            Self::Route => 1 << 64,
            Self::Unknown => 2 << 64,
        });
    }
}

impl Key {
    /// Who is counted for a request.
    pub(super) fn whose(per: Per, context: Option<&RequestContext>) -> Self {
        let principal = context.and_then(|context| context.principal.get());
        let client = || Self::of(context.and_then(|context| context.client));
        let somebody = |principal: &Principal| Self::Principal(principal.fingerprint());
        match per {
            Per::Route => Self::Route,
            Per::Address => client(),
            Per::User => principal.map_or_else(client, somebody),
            Per::Tenant => match principal.map(Principal::tenant_fingerprint) {
                Some(Some(tenant)) => Self::Tenant(tenant),
                _ => principal.map_or_else(client, somebody),
            },
        }
    }

    pub(super) fn of(client: Option<IpAddr>) -> Self {
        match client {
            Some(IpAddr::V6(address)) => match address.to_ipv4_mapped() {
                Some(address) => Self::Client(address.into()),
                None => {
                    let network = u128::from(address) & !u128::from(u64::MAX);
                    Self::Client(Ipv6Addr::from(network).into())
                }
            },
            Some(address) => Self::Client(address),
            None => Self::Unknown,
        }
    }
}

impl Decision {
    /// Whole seconds, never too few.
    pub(super) fn retry_after_seconds(&self) -> u64 {
        ceiling(self.retry).max(1)
    }

    /// Whole seconds, never too few.
    pub(super) fn next_seconds(&self) -> u64 {
        ceiling(if self.allowed { self.next } else { self.retry })
    }

    /// Whole seconds, never too few.
    pub(super) fn reset_seconds(&self) -> u64 {
        ceiling(self.reset)
    }
}

/// Whole seconds, never too few.
pub(crate) fn ceiling(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

impl Limiter {
    pub(super) fn new(policy: &RatePolicy, now: Instant) -> Self {
        let window = u64::try_from(policy.window.as_nanos()).unwrap_or(u64::MAX / 4);
        Self {
            interval: (window / policy.requests.get()).max(1),
            window,
            began: now,
            hasher: RandomState::new(),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
        }
    }

    /// Counts a request of this cost, if it may pass. One of several `nodes` holds its share of the rate. A request that
    /// costs more than there ever is takes all of it.
    pub(super) fn decide(&self, key: Key, cost: u64, nodes: u64, now: Instant) -> Decision {
        let interval = self.interval(cost, nodes);
        let worth = interval * cost;
        let now = self.since(now);
        let mut shard = self.shard(key);
        shard.sweep(now, self.window);
        // Looked up once: hashing is half of what this costs.
        let known = shard.whole_at.get_mut(&key);
        let before = known.as_ref().map_or(0, |known| **known).max(now);
        let after = before + worth;
        let allowed = after <= now + self.window;
        let whole_at = if allowed { after } else { before };
        match known {
            _ if !allowed => {}
            Some(known) => *known = after,
            None => shard.remember(key, after),
        }
        let spare = (now + self.window).saturating_sub(whole_at);
        Decision {
            allowed,
            remaining: spare / interval,
            reset: Duration::from_nanos(whole_at - now),
            next: Duration::from_nanos(if whole_at == now { 0 } else { (whole_at - now - 1) % interval + 1 }),
            retry: Duration::from_nanos((whole_at + worth).saturating_sub(now + self.window)),
        }
    }

    /// Counts what has passed by somebody else's word.
    pub(super) fn charge(&self, key: Key, cost: u64, nodes: u64, now: Instant) {
        let worth = self.interval(cost, nodes) * cost;
        let now = self.since(now);
        let mut shard = self.shard(key);
        shard.sweep(now, self.window);
        let before = shard.whole_at.get(&key).copied().unwrap_or(0).max(now);
        shard.remember(key, (before + worth).min(now + self.window));
    }

    /// Gives back what a request took that another rate has refused.
    pub(super) fn give_back(&self, key: Key, cost: u64, nodes: u64) {
        let worth = self.interval(cost, nodes) * cost;
        if let Some(whole_at) = self.shard(key).whole_at.get_mut(&key) {
            *whole_at = whole_at.saturating_sub(worth);
        }
    }

    /// What a request of cost 1 is worth to one of so many nodes.
    fn interval(&self, cost: u64, nodes: u64) -> u64 {
        self.interval.saturating_mul(nodes).min(self.window / cost.max(1)).max(1)
    }

    fn since(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.began).as_nanos()).unwrap_or(u64::MAX / 2)
    }

    fn shard(&self, key: Key) -> MutexGuard<'_, Shard> {
        let place = (self.hasher.hash_one(key) >> 32) as usize % SHARDS;
        self.shards[place].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shard {
    /// A budget that is whole again need not be remembered.
    fn sweep(&mut self, now: u64, window: u64) {
        let full = self.whole_at.len() >= MOST_A_SHARD;
        // A look at all of them is dear: a crowd must not cause one with each request.
        let due = if full { window / 8 } else { window };
        if now.saturating_sub(self.swept_at) >= due {
            self.swept_at = now;
            self.whole_at.retain(|_, whole_at| *whole_at > now);
            self.whole_at.shrink_to(self.whole_at.len() * 2);
        }
    }

    /// When there is no room, somebody's budget is forgotten: a stranger's in an attack's crowd, most likely.
    fn remember(&mut self, key: Key, whole_at: u64) {
        if self.whole_at.len() >= MOST_A_SHARD
            && !self.whole_at.contains_key(&key)
            && let Some(somebody) = self.whole_at.keys().next().copied()
        {
            self.whole_at.remove(&somebody);
        }
        self.whole_at.insert(key, whole_at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter(policy: &str) -> (Limiter, Instant) {
        let now = Instant::now();
        (Limiter::new(&policy.parse().unwrap(), now), now)
    }

    #[test]
    fn the_whole_budget_at_once_then_evenly() {
        let (limiter, now) = limiter("10/s");
        let at = |millis: u64| limiter.decide(Key::Unknown, 1, 1, now + Duration::from_millis(millis));
        for left in (0..10).rev() {
            let decision = at(0);
            assert_eq!((decision.allowed, decision.remaining), (true, left));
        }
        assert_eq!((at(0).allowed, at(0).retry), (false, Duration::from_millis(100)));
        assert!(!at(99).allowed && at(100).allowed && !at(150).allowed && at(200).allowed);
        let later = at(5_000);
        assert_eq!((later.allowed, later.remaining, later.reset), (true, 9, Duration::from_millis(100)));
    }

    #[test]
    fn over_a_long_time_it_is_the_rate_exactly() {
        let (limiter, now) = limiter("1000/s");
        // 10,000 a second for ten seconds.
        let passed = (0..100_000_u64)
            .filter(|step| limiter.decide(Key::Unknown, 1, 1, now + Duration::from_micros(step * 100)).allowed)
            .count();
        assert!((10_990..=11_000).contains(&passed), "{passed}: the first budget, and a thousand a second");
    }

    #[test]
    fn a_dear_request_takes_more() {
        let (limiter, now) = limiter("12/min");
        let dear = || limiter.decide(Key::Route, 5, 1, now);
        assert_eq!([dear().remaining, dear().remaining], [7, 2]);
        let refused = dear();
        assert_eq!((refused.allowed, refused.retry), (false, Duration::from_secs(15)));
        limiter.give_back(Key::Route, 5, 1);
        assert_eq!(dear().remaining, 2);
        let dearer = |key| limiter.decide(key, 13, 1, now).allowed;
        assert!(dearer(Key::Principal(1)) && !dearer(Key::Principal(1)), "it passes alone");
    }

    #[test]
    fn one_of_three_nodes_holds_a_third_less_what_it_let_pass_before() {
        let (limiter, now) = limiter("12/min");
        let passed = |key| (0..20).filter(|_| limiter.decide(key, 1, 3, now).allowed).count();
        assert_eq!(passed(Key::Route), 4);
        limiter.charge(Key::Unknown, 3, 3, now);
        assert_eq!(passed(Key::Unknown), 1);
        limiter.charge(Key::Principal(1), 12, 3, now);
        let refused = limiter.decide(Key::Principal(1), 1, 3, now);
        assert_eq!((refused.allowed, refused.retry), (false, Duration::from_secs(15)), "no more than a window");
    }

    #[test]
    fn a_network_is_one_client_and_a_mapped_address_is_the_address() {
        let key = |text: &str| Key::of(Some(text.parse().unwrap()));
        assert_eq!(key("2001:db8:1:2::1"), key("2001:db8:1:2:ffff::9"));
        assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
        assert_eq!(key("::ffff:192.0.2.1"), key("192.0.2.1"));
        assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
    }

    #[test]
    fn memory_is_bounded_however_many_ask() {
        let (limiter, now) = limiter("1/h");
        for number in 0..(SHARDS * MOST_A_SHARD + 50_000) as u32 {
            limiter.decide(Key::Client(IpAddr::V4(number.into())), 1, 1, now);
        }
        let kept: usize = limiter.shards.iter().map(|shard| shard.lock().unwrap().whole_at.len()).sum();
        assert!(kept <= SHARDS * MOST_A_SHARD, "{kept}");
        // Whoever is known takes nobody's place.
        let full = limiter.shards.iter().find(|shard| shard.lock().unwrap().whole_at.len() == MOST_A_SHARD).unwrap();
        let before = full.lock().unwrap().whole_at.clone();
        let known = *before.keys().next().unwrap();
        for _ in 0..1_000 {
            limiter.decide(known, 1, 1, now);
            limiter.charge(known, 1, 1, now);
        }
        assert!(full.lock().unwrap().whole_at.keys().all(|key| before.contains_key(key)));
        assert_eq!(full.lock().unwrap().whole_at.len(), MOST_A_SHARD);
        let (limiter, now) = self::limiter("1/s");
        limiter.decide(Key::Unknown, 1, 1, now);
        limiter.decide(Key::Unknown, 1, 1, now + Duration::from_secs(3));
        assert_eq!(limiter.shards.iter().map(|shard| shard.lock().unwrap().whole_at.len()).sum::<usize>(), 1);
    }
}
