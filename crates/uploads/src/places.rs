//! Places for looking at files: so many at once, and never all of them for one route.
//!
//! Looking at a file takes a thread, often a core, and with a scanner minutes. A route may have another place only while it
//! has fewer than are free (dynamic thresholds, Choudhury and Hahne 1998): so one alone has half of them, and however long
//! its scans take, the next one finds some. Who waits longest among the routes that have least is next.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{sync::oneshot, time::timeout};

/// All places.
#[derive(Debug, Clone)]
pub(crate) struct Places(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    free: usize,
    held: HashMap<Arc<str>, usize>,
    waiting: VecDeque<(Arc<str>, oneshot::Sender<Place>)>,
}

/// One place, until it is dropped. To be held by whoever looks, and not by whoever waits for it: a client that hangs up
/// does not end the looking.
#[derive(Debug)]
pub(crate) struct Place {
    route: Arc<str>,
    places: Places,
}

impl Places {
    /// So many for all routes; one route alone gets half of them.
    pub(crate) fn new(all: usize) -> Self {
        Self(Arc::new(Mutex::new(State { free: all.max(2), held: HashMap::new(), waiting: VecDeque::new() })))
    }

    /// A place for a file of this route; `None` when none was free in time.
    pub(crate) async fn take(&self, route: &str, within: Duration) -> Option<Place> {
        let (given, got) = oneshot::channel();
        self.change(|state| state.waiting.push_back((route.into(), given)));
        // Who has given up is passed over, and a place that came too late goes back as it is dropped.
        timeout(within, got).await.ok()?.ok()
    }

    /// Changes the state, and gives what is free to those who are next.
    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut state);
        state.waiting.retain(|(_, given)| !given.is_closed());
        let mut granted = Vec::new();
        while let Some((route, given)) = state.next() {
            granted.push((given, Place { route, places: self.clone() }));
        }
        // A place that nobody takes any more comes back here, so not under the lock.
        drop(state);
        for (given, place) in granted {
            drop(given.send(place));
        }
    }

    #[cfg(test)]
    pub(crate) fn held(&self, route: &str) -> usize {
        self.0.lock().unwrap().held_by(route)
    }
}

impl State {
    fn held_by(&self, route: &str) -> usize {
        self.held.get(route).copied().unwrap_or_default()
    }

    fn next(&mut self) -> Option<(Arc<str>, oneshot::Sender<Place>)> {
        let may = |(_, (route, _)): &(usize, &(Arc<str>, _))| self.held_by(route) < self.free;
        let waiting = self.waiting.iter().enumerate().filter(may);
        // The first of those that are equal.
        let (at, _) = waiting.min_by_key(|(_, (route, _))| self.held_by(route))?;
        let (route, given) = self.waiting.remove(at)?;
        self.free -= 1;
        *self.held.entry(route.clone()).or_default() += 1;
        Some((route, given))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let places = self.places.clone();
        places.change(|state| {
            state.free += 1;
            if let Some(held) = state.held.get_mut(&self.route) {
                *held -= 1;
                if *held == 0 {
                    state.held.remove(&self.route);
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, task::Poll};

    use super::*;

    const SOON: Duration = Duration::from_millis(50);
    const LATE: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn a_route_with_long_scans_leaves_places_to_others() {
        let places = Places::new(8);
        let mut long = Vec::new();
        while let Some(place) = places.take("long", SOON).await {
            long.push(place);
        }
        assert_eq!(long.len(), 4, "half of them, and the next one waits");
        // Many of it wait, and were there first.
        let mut waiting: Vec<_> = (0..20).map(|_| Box::pin(places.take("long", LATE))).collect();
        for one in &mut waiting {
            assert!(poll_fn(|cx| Poll::Ready(one.as_mut().poll(cx).is_pending())).await);
        }
        let other = places.take("other", SOON).await;
        assert!(other.is_some() && places.take("third", SOON).await.is_some());
        drop(waiting);
        drop((long, other));
        assert_eq!((places.held("long"), places.held("other")), (0, 0));
        assert!(places.take("long", SOON).await.is_some());
    }

    #[tokio::test]
    async fn a_place_that_is_freed_goes_to_the_route_that_has_least() {
        let places = Places::new(4);
        let mut held = vec![places.take("a", SOON).await.unwrap(), places.take("a", SOON).await.unwrap()];
        let b = places.take("b", SOON).await.unwrap();
        let (first, second) = (places.take("a", LATE), places.take("c", LATE));
        let (mut first, mut second) = (Box::pin(first), Box::pin(second));
        tokio::select! {
            biased;
            _ = &mut first => panic!("it has two, and one is free"),
            got = &mut second => assert!(got.is_some(), "it has none"),
        }
        // Nobody waits for this one any more: its place is not lost.
        drop(first);
        held.clear();
        drop(b);
        assert_eq!((places.held("a"), places.held("b"), places.held("c")), (0, 0, 0));
    }
}
