//! How many removals wait for the disk.
//!
//! A disk that hangs takes none, while requests go on to remove: each would wait in memory, and be compared with whatever is
//! looked up. So from a number on one that removes everything stands for all that come, and until it is carried out nothing
//! is written: then there is nothing that a single one would have to remove.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// So many wait one by one.
pub(super) const MOST: usize = 1_024;

/// Whoever gives the disk an order that writes or removes holds it while the order is given.
#[derive(Debug, Default)]
pub(super) struct Gate(Mutex<State>);

#[derive(Debug, Default)]
pub(super) struct State {
    /// Removals that wait one by one.
    pub waiting: usize,
    /// One that removes everything waits.
    pub closed: bool,
}

impl Gate {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // Numbers are numbers, whatever a panicking holder was about to do.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
