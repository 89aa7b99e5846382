//! The same counts for what has failed: budgets of failures by client address.

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{Counter, RateLimits, limiter::Key, policy::RatePolicy};

/// How many failures each address may have.
pub(crate) struct Failures(Vec<Arc<Counter>>);

/// What became of one that was counted in advance.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Allowance {
    refused: Option<Duration>,
    /// The time until there is more again, when it was the last.
    last: Option<Duration>,
}

impl RateLimits {
    /// Budgets of failures, all of which must hold. None: nothing is counted.
    pub(crate) fn failures(&self, name: &str, policies: &[RatePolicy]) -> Failures {
        Failures(policies.iter().map(|policy| self.counter(name, policy)).collect())
    }
}

impl Failures {
    /// Counts a failure in advance, so that many at once are no way round.
    pub(crate) async fn take(&self, client: Option<IpAddr>) -> Allowance {
        let (key, now) = (Key::of(client), Instant::now());
        let mut allowance = Allowance::default();
        let mut taken = Vec::with_capacity(self.0.len());
        for counter in &self.0 {
            let decision = match counter.decide_now(key, 1, now) {
                Some(decision) => decision,
                None => counter.decide(key, 1).await,
            };
            if !decision.allowed {
                allowance.refused = allowance.refused.max(Some(decision.retry));
            } else {
                taken.push(counter);
                if decision.remaining == 0 {
                    allowance.last = allowance.last.max(Some(decision.next));
                }
            }
        }
        if allowance.refused.is_some() {
            allowance.last = None;
            taken.iter().for_each(|counter| counter.give_back(key, 1));
        }
        allowance
    }

    /// It was none.
    pub(crate) fn give_back(&self, client: Option<IpAddr>) {
        self.0.iter().for_each(|counter| counter.give_back(Key::of(client), 1));
    }
}

impl Allowance {
    /// Whether the try may be made.
    pub(crate) fn is_allowed(&self) -> bool {
        self.refused.is_none()
    }

    /// Whether it is the last one for a while.
    pub(crate) fn is_last(&self) -> bool {
        self.last.is_some()
    }

    /// Until one more may be made.
    pub(crate) fn retry(&self) -> Duration {
        self.refused.or(self.last).unwrap_or_default()
    }
}
