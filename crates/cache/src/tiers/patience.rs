//! A disk that hangs is waited for a few times, and then left alone for a while: else each request that is not in memory
//! would take half a second longer for as long as it hangs.

use std::{
    future::Future,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use seaworthy_resilience::{Breaker, BreakerSettings, BreakerState};
use tokio::time::{Instant, timeout};

/// So many answers, asked for one after another, are late before it is left alone: those of one hiccup count as one.
const LATE: u32 = 3;
/// Then one request in so long a time tries again.
const PAUSE: Duration = Duration::from_secs(5);

/// Waits for the disk where that is worth while.
#[derive(Debug)]
pub(super) struct Patience {
    each: Duration,
    breaker: Breaker,
    /// When a late answer was counted last.
    counted: Mutex<Option<Instant>>,
}

impl Patience {
    /// Each answer is waited for so long.
    pub(super) fn new(each: Duration) -> Self {
        let settings = BreakerSettings { failures: LATE, pause: PAUSE, longest: PAUSE };
        Self { each, breaker: Breaker::new(settings, Instant::now().into_std()), counted: Mutex::default() }
    }

    /// The disk's answer; `None` when it does not come in time, or is not waited for.
    pub(super) async fn ask<T>(&self, answer: impl Future<Output = T>) -> Option<T> {
        let asked = Instant::now();
        if !self.breaker.allows(|| asked.into_std()) {
            return None;
        }
        let answer = timeout(self.each, answer).await.ok();
        match answer {
            Some(_) => self.answered(asked),
            None => self.was_late(asked),
        }
        answer
    }

    fn answered(&self, asked: Instant) {
        let was_open = self.breaker.state(asked.into_std()) != BreakerState::Closed;
        self.breaker.succeeded();
        if was_open {
            tracing::info!("the disk of the cache answers again");
        }
    }

    fn was_late(&self, asked: Instant) {
        let now = Instant::now();
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        if counted.is_some_and(|counted| asked < counted) {
            return;
        }
        *counted = Some(now);
        drop(counted);
        if self.breaker.failed(now.into_std()) {
            tracing::warn!(
                code = "SEA_CACHE_DISK",
                patience = ?self.each,
                "the disk of the cache does not answer in time: answers come from the app, and it is tried again every 5 s"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    const PATIENCE: Duration = Duration::from_millis(500);

    /// How long a request waits for nothing.
    async fn waits(patience: &Patience) -> Duration {
        let began = Instant::now();
        assert_eq!(patience.ask(pending::<()>()).await, None);
        began.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_disk_that_hangs_is_waited_for_a_few_times_alone() {
        let patience = Patience::new(PATIENCE);
        for _ in 0..LATE {
            assert!(waits(&patience).await >= PATIENCE);
        }
        for _ in 0..100 {
            assert_eq!(waits(&patience).await, Duration::ZERO);
        }
        tokio::time::advance(PAUSE).await;
        let (one, other) = tokio::join!(waits(&patience), waits(&patience));
        assert!(one >= PATIENCE, "one tries again");
        assert_eq!(other, Duration::ZERO, "for all");
        assert_eq!(waits(&patience).await, Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn one_hiccup_is_late_once_however_many_ask() {
        let patience = Patience::new(PATIENCE);
        let many = || futures_util::future::join_all((0..100).map(|_| waits(&patience)));
        many().await;
        assert_eq!(patience.ask(ready(1)).await, Some(1), "it is asked all the same");
        for _ in 0..LATE {
            assert!(many().await.iter().all(|waited| *waited >= PATIENCE));
        }
        assert_eq!(patience.ask(ready(1)).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_answers_again_is_asked_again() {
        let patience = Patience::new(PATIENCE);
        for _ in 0..LATE {
            waits(&patience).await;
        }
        assert_eq!(patience.ask(ready(1)).await, None, "not yet");
        tokio::time::advance(PAUSE).await;
        for answer in 0..5 {
            assert_eq!(patience.ask(ready(answer)).await, Some(answer));
        }
        assert!(waits(&patience).await >= PATIENCE, "late once is not yet late often");
        assert_eq!(patience.ask(ready(1)).await, Some(1));
    }
}
