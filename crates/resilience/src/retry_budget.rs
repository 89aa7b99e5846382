//! A retry budget: repetitions are a share of the requests that came, so that a failing service is not asked twice as
//! often as a healthy one.

use std::sync::atomic::{AtomicI64, Ordering};

/// What one repetition costs; a request brings in its share of this.
const UNIT: i64 = 1000;
/// Repetitions that are there from the start, for services with little traffic.
const RESERVE: i64 = 10 * UNIT;
/// Most that is saved up in quiet times.
const SAVED: i64 = 100 * UNIT;

/// Counts requests in and repetitions out. Lock-free.
#[derive(Debug)]
pub struct RetryBudget {
    share: i64,
    balance: AtomicI64,
}

impl RetryBudget {
    /// `share` is repetitions for each request: 0.2 allows one in five. Zero or less allows none at all.
    pub fn new(share: f64) -> Self {
        let share = (share * UNIT as f64) as i64;
        Self { share, balance: AtomicI64::new(if share > 0 { RESERVE } else { 0 }) }
    }

    /// A request came.
    pub fn deposit(&self) {
        if self.balance.load(Ordering::Relaxed) < SAVED {
            self.balance.fetch_add(self.share, Ordering::Relaxed);
        }
    }

    /// Whether one may be repeated; it is paid for when so.
    pub fn withdraw(&self) -> bool {
        let enough = |balance: i64| (balance >= UNIT).then_some(balance - UNIT);
        self.balance.fetch_update(Ordering::Relaxed, Ordering::Relaxed, enough).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spent(budget: &RetryBudget) -> usize {
        std::iter::from_fn(|| budget.withdraw().then_some(())).count()
    }

    #[test]
    fn repetitions_are_a_share_of_requests() {
        let budget = RetryBudget::new(0.2);
        assert_eq!(spent(&budget), 10);
        for _ in 0..50 {
            budget.deposit();
        }
        assert_eq!(spent(&budget), 10);
        for _ in 0..100_000 {
            budget.deposit();
        }
        assert_eq!(spent(&budget), 100);
        assert_eq!(spent(&RetryBudget::new(0.0)), 0);
    }
}
