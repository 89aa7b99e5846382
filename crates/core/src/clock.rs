//! Wall-clock time, passed in so that evidence and logs can be tested with a fixed hour.

use std::time::{SystemTime, UNIX_EPOCH};

/// Tells the time of day. Durations are measured with `Instant`, never with this.
pub trait Clock: Send + Sync + 'static {
    /// Microseconds since 1970-01-01T00:00:00Z.
    fn unix_micros(&self) -> i64;
}

/// The operating system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn unix_micros(&self) -> i64 {
        // A clock set before 1970 reads as 0: wrong by its owner's wish, and no reason to stop a request.
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as i64)
    }
}

/// A clock that stands still, for tests.
#[derive(Debug, Clone, Copy)]
pub struct FixedClock(pub i64);

impl Clock for FixedClock {
    fn unix_micros(&self) -> i64 {
        self.0
    }
}
