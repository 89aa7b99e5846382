//! A disk that hangs is waited for a few times, and then left alone for a while: else each request that is not in memory
//! would take half a second longer for as long as it hangs.

use std::{
    future::Future,
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
    time::Duration,
};

use tokio::time::{Instant, timeout};

/// So many answers, asked for one after another, are late before it is left alone: those of one hiccup count as one.
const LATE: u32 = 3;
/// Then one request in so long a time tries again.
const PAUSE: Duration = Duration::from_secs(5);

/// Knows whether the disk is worth asking.
#[derive(Debug)]
pub(super) struct Breaker {
    patience: Duration,
    began: Instant,
    /// Late answers since the last one in time.
    late: AtomicU32,
    /// Milliseconds after the beginning at which the last of them was counted.
    counted: AtomicU64,
    /// And at which it may be asked again.
    asked_again: AtomicU64,
}

impl Breaker {
    /// Each answer is waited for so long.
    pub(super) fn new(patience: Duration) -> Self {
        let (late, counted, asked_again) = Default::default();
        Self { patience, began: Instant::now(), late, counted, asked_again }
    }

    /// The disk's answer; `None` when it does not come in time, or is not waited for.
    pub(super) async fn ask<T>(&self, answer: impl Future<Output = T>) -> Option<T> {
        if !self.may_ask() {
            return None;
        }
        let asked = self.now();
        let answer = timeout(self.patience, answer).await.ok();
        match answer {
            Some(_) => self.answered(),
            None => self.was_late(asked),
        }
        answer
    }

    fn may_ask(&self) -> bool {
        let (now, again) = (self.now(), self.asked_again.load(Ordering::Relaxed));
        if self.late.load(Ordering::Relaxed) < LATE {
            return true;
        }
        // One of those who come at that moment tries for all of them.
        now >= again
            && self.asked_again.compare_exchange(again, next(now), Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    fn answered(&self) {
        // Read first: a store of each request would take the line of the cache from the other cores.
        if self.late.load(Ordering::Relaxed) > 0 && self.late.swap(0, Ordering::Relaxed) >= LATE {
            tracing::info!("the disk of the cache answers again");
        }
    }

    fn was_late(&self, asked: u64) {
        let (now, counted) = (self.now(), self.counted.load(Ordering::Relaxed));
        let counts = asked >= counted
            && self.counted.compare_exchange(counted, now, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if !counts {
            return;
        }
        self.asked_again.store(next(now), Ordering::Relaxed);
        if self.late.fetch_add(1, Ordering::Relaxed) + 1 == LATE {
            tracing::warn!(
                code = "SEA_CACHE_DISK",
                patience = ?self.patience,
                "the disk of the cache does not answer in time: answers come from the app, and it is tried again every 5 s"
            );
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

fn next(now: u64) -> u64 {
    now.saturating_add(PAUSE.as_millis() as u64)
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    const PATIENCE: Duration = Duration::from_millis(500);

    /// How long a request waits for nothing.
    async fn waits(breaker: &Breaker) -> Duration {
        let began = Instant::now();
        assert_eq!(breaker.ask(pending::<()>()).await, None);
        began.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_disk_that_hangs_is_waited_for_a_few_times_alone() {
        let breaker = Breaker::new(PATIENCE);
        for _ in 0..LATE {
            assert!(waits(&breaker).await >= PATIENCE);
        }
        for _ in 0..100 {
            assert_eq!(waits(&breaker).await, Duration::ZERO);
        }
        tokio::time::advance(PAUSE).await;
        let (one, other) = tokio::join!(waits(&breaker), waits(&breaker));
        assert!(one >= PATIENCE, "one tries again");
        assert_eq!(other, Duration::ZERO, "for all");
        assert_eq!(waits(&breaker).await, Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn one_hiccup_is_late_once_however_many_ask() {
        let breaker = Breaker::new(PATIENCE);
        let many = || futures_util::future::join_all((0..100).map(|_| waits(&breaker)));
        many().await;
        assert_eq!(breaker.ask(ready(1)).await, Some(1), "it is asked all the same");
        for _ in 0..LATE {
            assert!(many().await.iter().all(|waited| *waited >= PATIENCE));
        }
        assert_eq!(breaker.ask(ready(1)).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_answers_again_is_asked_again() {
        let breaker = Breaker::new(PATIENCE);
        for _ in 0..LATE {
            waits(&breaker).await;
        }
        assert_eq!(breaker.ask(ready(1)).await, None, "not yet");
        tokio::time::advance(PAUSE).await;
        for answer in 0..5 {
            assert_eq!(breaker.ask(ready(answer)).await, Some(answer));
        }
        assert!(waits(&breaker).await >= PATIENCE, "late once is not yet late often");
        assert_eq!(breaker.ask(ready(1)).await, Some(1));
    }
}
