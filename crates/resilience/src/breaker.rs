//! A breaker: after some failures in a row nothing is sent for a while, then one trial at a time, until one succeeds.

use std::{
    sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    time::{Duration, Instant},
};

/// When a breaker opens, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerSettings {
    /// Failures in a row that open it; 0 never does.
    pub failures: u32,
    /// How long it stays open the first time. Each further failure of a trial doubles it.
    pub pause: Duration,
    /// The longest that it stays open.
    pub longest: Duration,
}

/// What a breaker does now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// Everything passes.
    Closed,
    /// Nothing passes.
    Open,
    /// The pause is over: the next one is a trial.
    HalfOpen,
}

/// Counts failures in a row. Lock-free; in the normal case it reads one number and no clock.
#[derive(Debug)]
pub struct Breaker {
    settings: BreakerSettings,
    origin: Instant,
    failures: AtomicU32,
    /// How often it has opened since the last success.
    openings: AtomicU32,
    /// Microseconds after `origin` until which it is open; 0 while it is closed.
    open_until: AtomicU64,
    /// A trial is on its way.
    trial: AtomicBool,
}

impl Breaker {
    /// A closed one. `now` is where its clock begins.
    pub fn new(settings: BreakerSettings, now: Instant) -> Self {
        Self {
            settings,
            origin: now,
            failures: AtomicU32::new(0),
            openings: AtomicU32::new(0),
            open_until: AtomicU64::new(0),
            trial: AtomicBool::new(false),
        }
    }

    /// Whether something may be sent. In the half-open state one caller gets a yes for each pause: a trial that is never
    /// reported back blocks nothing.
    pub fn allows(&self, now: impl FnOnce() -> Instant) -> bool {
        let until = self.open_until.load(Ordering::Relaxed);
        if until == 0 {
            return true;
        }
        let now = self.micros(now());
        if now < until {
            return false;
        }
        let next = now + micros(self.pause());
        let won = self.open_until.compare_exchange(until, next, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if won {
            self.trial.store(true, Ordering::Relaxed);
        }
        won
    }

    /// Something succeeded: closed again.
    pub fn succeeded(&self) {
        if self.failures.load(Ordering::Relaxed) > 0 {
            self.failures.store(0, Ordering::Relaxed);
            self.openings.store(0, Ordering::Relaxed);
            self.open_until.store(0, Ordering::Relaxed);
            self.trial.store(false, Ordering::Relaxed);
        }
    }

    /// Something failed. True when this opened the breaker.
    pub fn failed(&self, now: Instant) -> bool {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if self.settings.failures == 0 || failures < self.settings.failures {
            return false;
        }
        let is_open = self.open_until.load(Ordering::Relaxed) != 0;
        if is_open && !self.trial.swap(false, Ordering::Relaxed) {
            // It began before the breaker opened, with many others when an instance died: no reason to wait longer.
            return false;
        }
        if is_open {
            self.openings.fetch_add(1, Ordering::Relaxed);
        }
        self.open_until.store(self.micros(now) + micros(self.pause()), Ordering::Relaxed);
        !is_open
    }

    /// What it does now.
    pub fn state(&self, now: Instant) -> BreakerState {
        match self.open_until.load(Ordering::Relaxed) {
            0 => BreakerState::Closed,
            until if self.micros(now) < until => BreakerState::Open,
            _ => BreakerState::HalfOpen,
        }
    }

    /// How long nothing will pass, as far as is known.
    pub fn remaining(&self, now: Instant) -> Duration {
        let until = self.open_until.load(Ordering::Relaxed);
        Duration::from_micros(until.saturating_sub(self.micros(now)))
    }

    fn pause(&self) -> Duration {
        let doublings = self.openings.load(Ordering::Relaxed).min(16);
        self.settings.pause.saturating_mul(1 << doublings).min(self.settings.longest.max(self.settings.pause))
    }

    fn micros(&self, now: Instant) -> u64 {
        // Never 0, which means closed.
        micros(now.saturating_duration_since(self.origin)).saturating_add(1)
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: BreakerSettings =
        BreakerSettings { failures: 3, pause: Duration::from_secs(5), longest: Duration::from_secs(15) };

    fn after(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn opens_after_failures_in_a_row_and_lets_one_trial_through() {
        let start = Instant::now();
        let breaker = Breaker::new(SETTINGS, start);
        assert!(!breaker.failed(start) && !breaker.failed(start));
        breaker.succeeded();
        assert!(!breaker.failed(start) && !breaker.failed(start));
        assert!(breaker.allows(|| start));
        assert!(breaker.failed(start));
        assert_eq!(breaker.state(after(start, 4)), BreakerState::Open);
        assert!(!breaker.allows(|| after(start, 4)));
        assert_eq!(breaker.remaining(after(start, 4)), Duration::from_micros(1_000_000));
        assert_eq!(breaker.state(after(start, 6)), BreakerState::HalfOpen);
        assert!(breaker.allows(|| after(start, 6)));
        assert!(!breaker.allows(|| after(start, 6)), "one trial at a time");
        breaker.succeeded();
        assert!(breaker.allows(|| after(start, 6)));
    }

    #[test]
    fn a_failed_trial_doubles_the_pause_up_to_a_bound() {
        let start = Instant::now();
        let breaker = Breaker::new(SETTINGS, start);
        for _ in 0..3 {
            breaker.failed(start);
        }
        let mut now = start;
        let mut pauses = Vec::new();
        for _ in 0..4 {
            let pause = breaker.remaining(now);
            pauses.push(pause.as_secs_f64().round() as u64);
            now += pause;
            assert!(breaker.allows(|| now));
            breaker.failed(now);
            breaker.failed(now);
        }
        assert_eq!(pauses, [5, 10, 15, 15]);
    }

    #[test]
    fn a_trial_that_nobody_reports_is_followed_by_another() {
        let start = Instant::now();
        let breaker = Breaker::new(SETTINGS, start);
        for _ in 0..3 {
            breaker.failed(start);
        }
        assert!(breaker.allows(|| after(start, 6)));
        assert!(!breaker.allows(|| after(start, 10)));
        assert!(breaker.allows(|| after(start, 30)));
    }

    #[test]
    fn zero_failures_never_opens() {
        let start = Instant::now();
        let breaker = Breaker::new(BreakerSettings { failures: 0, ..SETTINGS }, start);
        assert!((0..100).all(|_| !breaker.failed(start)));
        assert!(breaker.allows(|| start));
    }
}
