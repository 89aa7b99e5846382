//! Tries at an account, with growing pauses between those that fail.
//!
//! A try counts as failed from its beginning, so that many at once are no way round; one that succeeds forgets the
//! failures, and one that told nothing is taken back. Where an account has been reached from an address, tries from there
//! are counted apart: strangers cannot lock the owner out of the usual place.

use std::time::Duration;

/// KEYS: the account; that it was reached from this address; the account from this address. ARGV: failures that are free,
/// the first pause, the longest, how long failures are kept (milliseconds).
pub(crate) const TRY: &str = r"
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local free, first, longest, kept = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local key = KEYS[1]
if redis.call('EXISTS', KEYS[2]) == 1 then key = KEYS[3] end
local seen = redis.call('HMGET', key, 'failures', 'until')
local failures, locked = tonumber(seen[1] or '0'), tonumber(seen[2] or '0')
if locked > now then return { 0, failures, locked - now } end
failures = failures + 1
local pause = 0
if failures > free then pause = math.min(longest, first * 2 ^ math.min(failures - free - 1, 30)) end
redis.call('HSET', key, 'failures', failures, 'until', now + pause)
redis.call('PEXPIRE', key, kept + pause)
return { 1, failures, pause }";

/// The same KEYS. ARGV: how long a place is remembered (milliseconds).
pub(crate) const SUCCEEDED: &str = r"
redis.call('DEL', KEYS[1], KEYS[3])
redis.call('SET', KEYS[2], '1', 'PX', ARGV[1])
return 1";

/// The same KEYS. ARGV: the number of failures that this try had come to. Only the last one is taken back.
pub(crate) const TAKEN_BACK: &str = r"
local key = KEYS[1]
if redis.call('EXISTS', KEYS[2]) == 1 then key = KEYS[3] end
local failures = tonumber(redis.call('HGET', key, 'failures') or '0')
if failures > 0 and failures == tonumber(ARGV[1]) then
  redis.call('HSET', key, 'failures', failures - 1, 'until', 0)
end
return 1";

/// Who tries what: stand-ins that tell nobody the name or the address, the same on every node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guess {
    /// The account.
    pub account: u128,
    /// The place that it is tried from.
    pub place: u128,
}

/// How pauses grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackOff {
    /// So many failures have no pause.
    pub free: u64,
    /// The first pause; each further failure doubles it.
    pub first: Duration,
    /// No pause is longer.
    pub longest: Duration,
    /// Without a further failure for so long, all are forgotten.
    pub kept: Duration,
}

/// What became of a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guessed {
    /// It may be made.
    pub allowed: bool,
    /// Failures in a row, this one included when it may be made.
    pub failures: u64,
    /// Until the next one may be made.
    pub pause: Duration,
}

/// How long the address of a success is remembered.
pub(crate) const PLACE_KEPT: Duration = Duration::from_secs(30 * 86_400);

impl Guess {
    /// Keys of one slot, for a cluster.
    pub(crate) fn keys(&self) -> Vec<String> {
        let account = format!("seaworthy:login:{{{:032x}}}", self.account);
        vec![
            account.clone(),
            format!("{account}:known:{:032x}", self.place),
            format!("{account}:at:{:032x}", self.place),
        ]
    }
}

impl BackOff {
    /// The pause after so many failures in a row.
    pub fn pause(&self, failures: u64) -> Duration {
        match failures.checked_sub(self.free + 1) {
            None => Duration::ZERO,
            Some(doublings) => {
                let factor = 1_u32.checked_shl(u32::try_from(doublings).unwrap_or(u32::MAX)).unwrap_or(u32::MAX);
                self.first.saturating_mul(factor).min(self.longest)
            }
        }
    }

    pub(crate) fn arguments(&self) -> Vec<String> {
        let millis = |duration: Duration| duration.as_millis().to_string();
        vec![self.free.to_string(), millis(self.first), millis(self.longest), millis(self.kept)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let back_off = BackOff {
            free: 3,
            first: Duration::from_secs(1),
            longest: Duration::from_secs(60),
            kept: Duration::from_secs(720),
        };
        let pauses = [0, 3, 4, 5, 6, 9, 10, 40, u64::MAX].map(|failures| back_off.pause(failures).as_secs());
        assert_eq!(pauses, [0, 0, 1, 2, 4, 32, 60, 60, 60]);
    }
}
