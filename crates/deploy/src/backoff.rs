//! How long to wait before the next start, and when an app that keeps ending is in a crash loop.

use std::time::Duration;

use crate::plan::Pacing;

/// The ends of one instance so far.
#[derive(Debug)]
pub(crate) struct Backoff {
    early_ends: u32,
    random: fastrand::Rng,
}

/// What follows from one more end.
#[derive(Debug)]
pub(crate) struct Next {
    /// Before the next start.
    pub pause: Duration,
    /// How many ends in a row came early.
    pub early_ends: u32,
    /// It is in a crash loop.
    pub crash_loop: bool,
    /// Since this end.
    pub began: bool,
}

impl Backoff {
    /// With its own source of chance.
    pub(crate) fn new(random: fastrand::Rng) -> Self {
        Self { early_ends: 0, random }
    }

    /// Notes an end after the instance was well for this long.
    pub(crate) fn ended(&mut self, well_for: Duration, pacing: &Pacing) -> Next {
        self.early_ends = if well_for >= pacing.steady { 0 } else { self.early_ends.saturating_add(1) };
        let doublings = self.early_ends.saturating_sub(1).min(16);
        let crash_loop = self.early_ends >= pacing.crash_loop;
        let whole = match crash_loop {
            true => pacing.longest_pause,
            false => pacing.first_pause.saturating_mul(1 << doublings).min(pacing.longest_pause),
        };
        Next {
            pause: whole.mul_f64(0.5 + self.random.f64() / 2.0),
            early_ends: self.early_ends,
            crash_loop,
            began: self.early_ends == pacing.crash_loop,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_differ() {
        let pacing = Pacing { crash_loop: u32::MAX, ..Pacing::default() };
        let mut backoff = Backoff::new(fastrand::Rng::with_seed(1));
        let pauses: Vec<Duration> = (0..20).map(|_| backoff.ended(Duration::ZERO, &pacing).pause).collect();
        let (first, longest) = (pacing.first_pause, pacing.longest_pause);
        assert!(pauses[0] >= first / 2 && pauses[0] <= first);
        assert!(pauses[3] >= first * 4 && pauses[3] <= first * 8);
        assert!(pauses[19] <= longest && pauses[19] >= longest / 2);
        assert_ne!(pauses[18], pauses[19]);
    }

    #[test]
    fn five_early_ends_are_a_crash_loop_and_one_steady_life_ends_it() {
        let pacing = Pacing::default();
        let mut backoff = Backoff::new(fastrand::Rng::with_seed(1));
        let early = Duration::from_secs(59);
        for _ in 0..4 {
            assert!(!backoff.ended(early, &pacing).crash_loop);
        }
        let fifth = backoff.ended(early, &pacing);
        assert!(fifth.crash_loop && fifth.began && fifth.early_ends == 5);
        assert!(fifth.pause >= pacing.longest_pause / 2);
        let sixth = backoff.ended(early, &pacing);
        assert!(sixth.crash_loop && !sixth.began, "said once");
        let steady = backoff.ended(Duration::from_secs(60), &pacing);
        assert!(!steady.crash_loop && steady.pause <= pacing.first_pause);
    }
}
