//! Fetching what is to be stored: one request does, and others may wait for it.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio_util::sync::CancellationToken;

use crate::{key::Key, store::Store, stored::Stored};

/// An answer on its way into the store.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    done: CancellationToken,
    /// What it may become was invalidated meanwhile.
    spoilt: AtomicBool,
}

impl Pending {
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
    reserved: usize,
    ended: bool,
}

impl Fill {
    pub(crate) fn new(store: Store, key: Key, pending: Arc<Pending>) -> Self {
        Self { store, key, pending, reserved: 0, ended: false }
    }

    /// Room for so many more bytes; false when there is none.
    pub(crate) fn reserve(&mut self, bytes: usize) -> bool {
        self.reserved += bytes;
        self.store.reserve(bytes)
    }

    /// Hash of a tag, as the store knows it.
    pub(crate) fn tag(&self, tag: &[u8]) -> u64 {
        self.store.hash(tag)
    }

    /// Puts the answer into the store and lets the others go on.
    pub(crate) fn store(mut self, stored: Stored) {
        self.end(Some(Some(stored)));
    }

    /// The answer cannot be stored: nobody need wait for the next one.
    pub(crate) fn refuse(mut self) {
        self.end(Some(None));
    }

    /// `None`: nobody knows what would have come of it.
    fn end(&mut self, outcome: Option<Option<Stored>>) {
        if !std::mem::replace(&mut self.ended, true) {
            self.store.release(std::mem::take(&mut self.reserved));
            match outcome {
                Some(stored) => self.store.finish(&self.key, &self.pending, stored),
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
        Fill::new(store.clone(), key.clone(), pending)
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
                matches!(store.begin(&key("/a")), Begun::Alone(pending) if { store.finish(&key("/a"), &pending, Some(stored(&HeaderMap::new(), HeaderMap::new(), ""))); true })
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
