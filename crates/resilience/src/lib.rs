//! Keeping failures small: a breaker stops asking what does not answer, a retry budget keeps repetitions from burying it.
//!
//! Both are plain state without tasks or timers; the caller says what time it is.

mod breaker;
mod retry_budget;

pub use breaker::{Breaker, BreakerSettings, BreakerState};
pub use retry_budget::RetryBudget;
