//! A fixed limit: so many requests at once.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// How many there are now.
#[derive(Debug, Default)]
pub(super) struct Places(AtomicUsize);

/// One of them, until it is dropped.
#[derive(Debug)]
pub(super) struct Place(Arc<Places>);

impl Places {
    /// A place, when fewer than `most` are taken.
    pub(super) fn take(self: &Arc<Self>, most: usize) -> Option<Place> {
        let place = Place(self.clone());
        // Counted first: of two that come for the last place one alone gets it. The place that is dropped counts back.
        (self.0.fetch_add(1, Ordering::Relaxed) < most).then_some(place)
    }

    #[cfg(test)]
    pub(super) fn taken(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_free_again_when_it_is_dropped() {
        let places = Arc::new(Places::default());
        let taken: Vec<Place> = (0..5).filter_map(|_| places.take(3)).collect();
        assert_eq!((taken.len(), places.0.load(Ordering::Relaxed)), (3, 3));
        drop(taken);
        assert!(places.take(1).is_some());
        assert_eq!(places.0.load(Ordering::Relaxed), 0);
    }
}
