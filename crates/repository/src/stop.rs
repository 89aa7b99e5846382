//! When a look is to end before it is done: its time is over, or nobody waits for it any more.
//!
//! A look blocks a thread that nobody can take away from it, so it must look up now and then. What reads files and what
//! asks Git does; what holds processes ends them at once.

use std::{
    panic::resume_unwind,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// Tells a look, and all that it has started, to end.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

/// Tells it when this is dropped.
#[derive(Debug)]
pub struct StopOnDrop(Stop);

/// What a look that was told to end unwinds with.
struct Stopped;

impl Stop {
    /// Ends whoever listens.
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether to end.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Ends whoever listens once the guard is gone: with the future that waits for a look, the look ends too.
    #[must_use]
    pub fn when_dropped(&self) -> StopOnDrop {
        StopOnDrop(self.clone())
    }

    /// Does not return when the look is to end: it unwinds to whoever began it. That is no panic and says nothing. Half of
    /// an answer would be worse: what is worked out once for many must never be kept when it is not whole.
    pub fn check(&self) {
        if self.is_set() {
            resume_unwind(Box::new(Stopped));
        }
    }
}

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.set();
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    #[test]
    fn what_waits_takes_with_it_what_works() {
        let stop = Stop::default();
        let guard = stop.when_dropped();
        stop.check();
        drop(guard);
        assert!(stop.is_set());
        let broken_off = catch_unwind(AssertUnwindSafe(|| stop.check()));
        assert!(broken_off.is_err_and(|why| why.is::<Stopped>()));
    }
}
