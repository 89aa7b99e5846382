//! When a certificate is renewed, and when a failed attempt is repeated.

use std::time::Duration;

/// How an attempt failed, which says how soon it may be repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The authority could not be reached, or broke: it counts nothing against us.
    Unreachable,
    /// It refused, or did not find the challenge answered. Let's Encrypt allows five of these a host and hour.
    Refused,
}

/// The time to renew, in Unix seconds: inside the window that the authority suggests (RFC 9773, 4.2), else when a third
/// of the lifetime is left. `seed` spreads the certificates of the world over the window and is the same on every node.
pub(super) fn renew_at(not_before: i64, not_after: i64, window: Option<(i64, i64)>, seed: u64) -> i64 {
    let lifetime = (not_after - not_before).max(0);
    match window {
        // No later than a sixth of the lifetime before the end, whatever the authority suggests.
        Some((start, end)) if start < end => {
            let span = (end - start).unsigned_abs();
            let inside = start.saturating_add_unsigned(seed % span);
            inside.min(not_after - lifetime / 6)
        }
        _ => not_after - lifetime / 3,
    }
}

/// The pause after so many failures in a row: it doubles, up to a limit, and is made shorter by up to a quarter so that
/// nodes and sites do not come back together. `random` is in 0..1.
pub(super) fn pause(kind: Kind, attempts: u32, random: f64) -> Duration {
    let (first, limit) = match kind {
        Kind::Unreachable => (2, 5 * 60),
        Kind::Refused => (4 * 60, 60 * 60),
    };
    let doubled = 1_u64.checked_shl(attempts.saturating_sub(1)).unwrap_or(u64::MAX).saturating_mul(first).min(limit);
    Duration::from_secs(doubled).mul_f64(1.0 - random / 4.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400;

    #[test]
    fn renewed_with_a_third_left_or_inside_the_window() {
        assert_eq!(renew_at(0, 90 * DAY, None, 0), 60 * DAY);
        assert_eq!(renew_at(0, 6 * DAY, None, 9), 4 * DAY);
        for seed in [0, 1, 12_345, u64::MAX] {
            let at = renew_at(0, 90 * DAY, Some((58 * DAY, 60 * DAY)), seed);
            assert!((58 * DAY..60 * DAY).contains(&at), "{at}");
        }
        assert_eq!(renew_at(0, 90 * DAY, Some((95 * DAY, 96 * DAY)), 0), 75 * DAY, "never after its end");
        assert_eq!(renew_at(0, 90 * DAY, Some((-2 * DAY, -DAY)), 0), -2 * DAY, "a window in the past means now");
        assert_eq!(renew_at(0, 90 * DAY, Some((5, 5)), 0), 60 * DAY, "an empty window says nothing");
    }

    #[test]
    fn pauses_double_to_a_limit_and_refusals_stay_under_five_an_hour() {
        assert_eq!(pause(Kind::Unreachable, 1, 0.0), Duration::from_secs(2));
        assert_eq!(pause(Kind::Unreachable, 3, 0.0), Duration::from_secs(8));
        assert_eq!(pause(Kind::Unreachable, 200, 0.0), Duration::from_secs(300));
        let mut at = Duration::ZERO;
        let mut within_the_hour = 1;
        for attempts in 1..10 {
            at += pause(Kind::Refused, attempts, 1.0);
            within_the_hour += u32::from(at < Duration::from_secs(3600));
        }
        assert!(within_the_hour <= 5, "{within_the_hour}");
    }
}
