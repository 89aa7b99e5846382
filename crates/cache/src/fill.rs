//! Fetching what is to be stored: one request does, and others may wait for it.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio_util::sync::CancellationToken;

use crate::{
    key::Key,
    store::Store,
    stored::Stored,
    tiers::{Saved, Tier},
};

/// An answer on its way into the store.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    done: CancellationToken,
    /// What it may become was invalidated meanwhile.
    spoilt: AtomicBool,
    /// The last answer for this key could not be stored, so that none is in a tier.
    hopeless: bool,
}

/// What an answer is written down with below the memory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Through {
    /// Digest of the policy of its route.
    pub policy: [u8; 32],
    /// Up to where the log of removals was known when its fetch began.
    pub since: u64,
    /// It came from other nodes.
    pub from_shared: bool,
}

impl Pending {
    pub(crate) fn new(hopeless: bool) -> Self {
        Self { hopeless, ..Self::default() }
    }

    pub(crate) fn is_hopeless(&self) -> bool {
        self.hopeless
    }

    pub(crate) fn spoil(&self) {
        self.spoilt.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_spoilt(&self) -> bool {
        self.spoilt.load(Ordering::Relaxed)
    }

    /// Resolves when it is stored, or will not be.
    pub(crate) fn done(&self) -> impl Future<Output = ()> + Send + use<> {
        self.done.clone().cancelled_owned()
    }
}

/// The place of whoever fetches. Dropped without an answer it is given up, and those who wait go on.
#[derive(Debug)]
pub(crate) struct Fill {
    store: Store,
    key: Key,
    pending: Arc<Pending>,
    through: Option<Through>,
    reserved: usize,
    ended: bool,
}

impl Fill {
    /// The place that was taken, on a route whose policy has this digest: what comes of it is written to the tiers too.
    pub(crate) fn new(store: Store, key: Key, pending: Arc<Pending>, policy: &[u8; 32]) -> Self {
        let through =
            store.tiers().map(|tiers| Through { policy: *policy, since: tiers.position(), from_shared: false });
        Self { store, key, pending, through, reserved: 0, ended: false }
    }

    /// Whether a tier may have the answer.
    pub(crate) fn may_look(&self) -> bool {
        self.through.is_some() && !self.pending.is_hopeless()
    }

    /// Puts an answer from a tier into the memory; one that other nodes had goes to the disk too. `None`: it was removed
    /// meanwhile.
    pub(crate) fn restore(mut self, tier: Tier, saved: Saved) -> Option<Arc<Stored>> {
        self.through = self.through.filter(|_| tier == Tier::Redis).map(|through| Through {
            since: saved.since,
            from_shared: true,
            ..through
        });
        let stored = Arc::new(saved.stored);
        self.end(Some(Some(stored.clone())));
        Some(stored).filter(|_| !self.pending.is_spoilt())
    }

    #[cfg(test)]
    pub(crate) fn through_for_tests(&self) -> Through {
        self.through.unwrap()
    }

    /// Room for so many more bytes; false when there is none.
    pub(crate) fn reserve(&mut self, bytes: usize) -> bool {
        self.reserved += bytes;
        self.store.reserve(bytes)
    }

    /// Puts the answer into the store and lets the others go on.
    pub(crate) fn store(mut self, stored: Stored) {
        self.end(Some(Some(stored.into())));
    }

    /// The answer cannot be stored: nobody need wait for the next one.
    pub(crate) fn refuse(mut self) {
        self.end(Some(None));
    }

    /// `None`: nobody knows what would have come of it.
    fn end(&mut self, outcome: Option<Option<Arc<Stored>>>) {
        if !std::mem::replace(&mut self.ended, true) {
            self.store.release(std::mem::take(&mut self.reserved));
            match outcome {
                Some(stored) => self.store.finish(&self.key, &self.pending, stored, self.through),
                None => self.store.leave(&self.key, &self.pending),
            }
            self.pending.done.cancel();
        }
    }
}

impl Drop for Fill {
    fn drop(&mut self) {
        self.end(None);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use http::HeaderMap;

    use super::*;
    use crate::{
        shard::tests::key,
        store::{Begun, Found},
        stored::tests::stored,
    };

    pub(crate) fn fill(store: &Store, key: &Key) -> Fill {
        let Begun::Alone(pending) = store.begin(key) else { panic!("somebody fetches it already") };
        Fill::new(store.clone(), key.clone(), pending, &[0; 32])
    }

    pub(crate) fn put(store: &Store, key: &Key, stored: Stored) {
        fill(store, key).store(stored);
    }

    #[tokio::test]
    async fn whoever_waits_goes_on_however_it_ends() {
        let store = Store::default();
        store.resize(1 << 20);
        for stores in [true, false] {
            let fill = fill(&store, &key("/a"));
            let Begun::Busy(pending) = store.begin(&key("/a")) else { panic!() };
            match stores {
                true => fill.store(stored(&HeaderMap::new(), HeaderMap::new(), "")),
                false => drop(fill),
            }
            pending.done().await;
            assert!(
                matches!(store.begin(&key("/a")), Begun::Alone(pending) if { store.finish(&key("/a"), &pending, Some(stored(&HeaderMap::new(), HeaderMap::new(), "").into()), None); true })
            );
        }
    }

    #[test]
    fn what_was_invalidated_on_its_way_is_not_stored() {
        let store = Store::default();
        store.resize(1 << 20);
        let fill = fill(&store, &key("/a"));
        store.invalidate(b"/a", |_| true);
        fill.store(stored(&HeaderMap::new(), HeaderMap::new(), ""));
        assert!(matches!(store.find(&key("/a"), &HeaderMap::new()), Found::Nothing));
    }

    #[test]
    fn room_of_one_that_is_given_up_is_given_back() {
        let store = Store::default();
        store.resize(1 << 20);
        let mut fill = fill(&store, &key("/a"));
        assert!(fill.reserve(1_000));
        assert_eq!(store.bytes(), 1_000);
        drop(fill);
        assert_eq!(store.bytes(), 0);
    }
}
