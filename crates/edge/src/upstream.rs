//! The app as the edge sees it: instances that come and go while requests come in, and the choice among them.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use metrics::Counter;
use seaworthy_core::{Traffic, UpstreamAddress};
use seaworthy_resilience::{Breaker, BreakerSettings, RetryBudget};

use crate::settings::{Balance, Limits};

/// Requests by instance.
const REQUESTS: &str = "seaworthy_upstream_requests_total";
/// The longest that a failing instance is left alone.
const LONGEST_EJECTION: Duration = Duration::from_secs(60);

/// Where requests go now: any number of instances, or none while the app may not receive any.
#[derive(Debug)]
pub struct Upstream {
    endpoints: ArcSwap<Vec<Arc<Endpoint>>>,
    /// Closed ones that still answer.
    draining: Mutex<Vec<Arc<Endpoint>>>,
    balance: ArcSwap<Balance>,
    /// Header lines that an answer may have.
    headers: AtomicUsize,
    pub(crate) budget: ArcSwap<RetryBudget>,
}

/// One running instance.
#[derive(Debug)]
pub(crate) struct Endpoint {
    /// `app-1`.
    pub instance: String,
    pub address: UpstreamAddress,
    /// What the health check says.
    well: AtomicBool,
    /// No new requests: it is on its way out.
    closed: AtomicBool,
    in_flight: AtomicUsize,
    breaker: Breaker,
    requests: Counter,
}

/// Why no instance can be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoEndpoint {
    /// None is there.
    Empty,
    /// All have failed lately; the next trial is due after this long.
    Ejected(Duration),
}

/// One request at an instance, counted from the choice to the last byte of the answer.
#[derive(Debug)]
pub(crate) struct Load(Arc<Endpoint>);

impl Default for Upstream {
    fn default() -> Self {
        Self::new(Balance::default())
    }
}

impl Upstream {
    /// Without instances yet.
    pub fn new(balance: Balance) -> Self {
        metrics::describe_counter!(REQUESTS, "Requests sent to each instance of the app, repetitions included.");
        Self {
            endpoints: ArcSwap::default(),
            draining: Mutex::default(),
            budget: ArcSwap::from_pointee(RetryBudget::new(balance.retry_share)),
            balance: ArcSwap::from_pointee(balance),
            headers: AtomicUsize::new(Limits::default().headers),
        }
    }

    /// Header lines that an answer may have, on connections that are made from now on.
    pub(crate) fn allow_headers(&self, most: usize) {
        self.headers.store(most, Ordering::Relaxed);
    }

    pub(crate) fn allowed_headers(&self) -> usize {
        self.headers.load(Ordering::Relaxed)
    }

    /// Holds for instances that come from now on, and for repetitions at once.
    pub fn replace_balance(&self, balance: Balance) {
        if **self.balance.load() != balance {
            self.budget.store(Arc::new(RetryBudget::new(balance.retry_share)));
            self.balance.store(Arc::new(balance));
        }
    }

    /// The instance for the next request: the less busy of two that are drawn by lot ("two random choices": nearly as even
    /// as asking all of them, and many nodes do not run after the same one). `avoid` has failed this request already.
    pub(crate) fn choose(&self, avoid: Option<&Arc<Endpoint>>) -> Result<Load, NoEndpoint> {
        let endpoints = self.endpoints.load();
        let chosen = match endpoints.as_slice() {
            [] => return Err(NoEndpoint::Empty),
            [only] => only.is_usable().then_some(only),
            several => two_choices(several, avoid),
        };
        match chosen {
            Some(endpoint) => Ok(Load::new(endpoint.clone())),
            None => {
                let now = Instant::now();
                let next = endpoints.iter().map(|endpoint| endpoint.breaker.remaining(now)).min();
                Err(NoEndpoint::Ejected(next.unwrap_or_default()))
            }
        }
    }

    /// Whether a request that failed at one instance has another to go to.
    pub(crate) fn has_several(&self) -> bool {
        self.endpoints.load().len() > 1
    }

    fn draining(&self) -> MutexGuard<'_, Vec<Arc<Endpoint>>> {
        // A list is a list, whatever its holder was about to do.
        self.draining.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, address: &UpstreamAddress) -> Option<Arc<Endpoint>> {
        self.endpoints.load().iter().find(|endpoint| endpoint.address == *address).cloned()
    }
}

impl Traffic for Upstream {
    fn open(&self, instance: &str, address: UpstreamAddress) {
        let balance = **self.balance.load();
        let settings = BreakerSettings {
            failures: balance.eject_after,
            pause: balance.eject_for.0,
            longest: LONGEST_EJECTION.max(balance.eject_for.0),
        };
        let endpoint = Arc::new(Endpoint {
            instance: instance.to_owned(),
            address,
            well: AtomicBool::new(true),
            closed: AtomicBool::new(false),
            in_flight: AtomicUsize::new(0),
            breaker: Breaker::new(settings, Instant::now()),
            requests: metrics::counter!(REQUESTS, "instance" => instance.to_owned()),
        });
        self.endpoints.rcu(|list| {
            let mut list: Vec<_> = list.iter().filter(|known| known.address != endpoint.address).cloned().collect();
            list.push(endpoint.clone());
            list
        });
    }

    fn close(&self, address: &UpstreamAddress) {
        if let Some(endpoint) = self.find(address) {
            endpoint.closed.store(true, Ordering::Relaxed);
            self.endpoints
                .rcu(|list| list.iter().filter(|known| known.address != *address).cloned().collect::<Vec<_>>());
            let mut draining = self.draining();
            draining.retain(|known| known.load() > 0);
            draining.push(endpoint);
        }
    }

    fn set_well(&self, address: &UpstreamAddress, well: bool) {
        if let Some(endpoint) = self.find(address) {
            endpoint.well.store(well, Ordering::Relaxed);
            if well {
                endpoint.breaker.succeeded();
            }
        }
    }

    fn in_flight(&self, address: &UpstreamAddress) -> usize {
        let open = self.find(address).map_or(0, |endpoint| endpoint.load());
        let closed = self.draining().iter().filter(|known| known.address == *address).map(|known| known.load()).sum();
        open.max(closed)
    }
}

/// Draws two, takes the less busy one that is usable, and looks at all only when neither is.
fn two_choices<'a>(endpoints: &'a [Arc<Endpoint>], avoid: Option<&Arc<Endpoint>>) -> Option<&'a Arc<Endpoint>> {
    let count = endpoints.len();
    let first = fastrand::usize(..count);
    let second = (first + 1 + fastrand::usize(..count - 1)) % count;
    let avoided = |endpoint: &Arc<Endpoint>| avoid.is_some_and(|avoid| Arc::ptr_eq(avoid, endpoint));
    let good = |endpoint: &Arc<Endpoint>| !avoided(endpoint) && endpoint.is_well();
    let (first, second) = (&endpoints[first], &endpoints[second]);
    let (lighter, heavier) = if first.load() <= second.load() { (first, second) } else { (second, first) };
    // The breaker is asked last: its yes is a trial, and not to be wasted.
    let take = |endpoint: &&'a Arc<Endpoint>| endpoint.is_usable();
    [lighter, heavier]
        .into_iter()
        .filter(|endpoint| good(endpoint))
        .find(take)
        .or_else(|| endpoints.iter().filter(|endpoint| good(endpoint)).find(take))
        // Nobody is well: a failing health check is not yet a failing service.
        .or_else(|| endpoints.iter().filter(|endpoint| !avoided(endpoint)).find(take))
        .or_else(|| endpoints.iter().find(take))
}

impl Endpoint {
    fn is_well(&self) -> bool {
        self.well.load(Ordering::Relaxed)
    }

    fn is_usable(&self) -> bool {
        self.breaker.allows(Instant::now)
    }

    fn load(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Whether kept connections to it are still of use.
    pub(crate) fn is_open(&self) -> bool {
        !self.closed.load(Ordering::Relaxed)
    }

    pub(crate) fn succeeded(&self) {
        self.breaker.succeeded();
    }

    /// A connection could not be made, or broke before its answer.
    pub(crate) fn failed(&self) {
        if self.breaker.failed(Instant::now()) {
            tracing::warn!(instance = self.instance, address = %self.address, "instance fails: no requests for a while");
        }
    }
}

impl Load {
    fn new(endpoint: Arc<Endpoint>) -> Self {
        endpoint.in_flight.fetch_add(1, Ordering::Relaxed);
        endpoint.requests.increment(1);
        Self(endpoint)
    }

    pub(crate) fn endpoint(&self) -> &Arc<Endpoint> {
        &self.0
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upstream(count: u16) -> Upstream {
        let upstream = Upstream::default();
        for number in 0..count {
            upstream.open(&format!("app-{number}"), address(number));
        }
        upstream
    }

    fn address(number: u16) -> UpstreamAddress {
        format!("http://127.0.0.1:{}", 9000 + number).parse().unwrap()
    }

    fn chosen(upstream: &Upstream) -> String {
        upstream.choose(None).unwrap().endpoint().instance.clone()
    }

    #[test]
    fn requests_spread_by_load() {
        let upstream = upstream(4);
        let held: Vec<Load> = (0..400).map(|_| upstream.choose(None).unwrap()).collect();
        for number in 0..4 {
            let load = upstream.in_flight(&address(number));
            assert!((80..=120).contains(&load), "{load}");
        }
        drop(held);
        assert_eq!(upstream.in_flight(&address(0)), 0);
    }

    #[test]
    fn unwell_and_failing_ones_get_nothing_while_others_are_there() {
        let upstream = upstream(3);
        upstream.set_well(&address(0), false);
        let failing = upstream.find(&address(1)).unwrap();
        for _ in 0..5 {
            failing.failed();
        }
        assert!((0..200).all(|_| chosen(&upstream) == "app-2"));
        let last = upstream.find(&address(2)).unwrap();
        // The one that failed this request is avoided, even for an unwell one.
        assert_eq!(upstream.choose(Some(&last)).unwrap().endpoint().instance, "app-0");
        upstream.close(&address(2));
        assert_eq!(chosen(&upstream), "app-0");
        upstream.set_well(&address(1), true);
        assert!((0..200).all(|_| chosen(&upstream) == "app-1"));
    }

    #[test]
    fn none_and_all_failing_are_told_apart() {
        let upstream = upstream(1);
        let only = upstream.find(&address(0)).unwrap();
        for _ in 0..5 {
            only.failed();
        }
        assert!(matches!(upstream.choose(None), Err(NoEndpoint::Ejected(left)) if left > Duration::from_secs(4)));
        upstream.close(&address(0));
        assert_eq!(upstream.choose(None).unwrap_err(), NoEndpoint::Empty);
    }

    #[test]
    fn a_closed_one_is_counted_until_it_has_answered() {
        let upstream = upstream(1);
        let load = upstream.choose(None).unwrap();
        upstream.close(&address(0));
        assert_eq!(upstream.in_flight(&address(0)), 1);
        drop(load);
        assert_eq!(upstream.in_flight(&address(0)), 0);
    }
}
