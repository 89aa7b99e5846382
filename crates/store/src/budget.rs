//! Budgets of rates: the generic cell rate algorithm as one script.

use std::time::Duration;

/// Grants at most ARGV[4] and at least ARGV[3] units, of ARGV[1] microseconds each, from a window of ARGV[2]. One number is
/// kept: the moment at which the budget is whole again, by the server's clock.
pub(crate) const SCRIPT: &str = r"
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local unit, window, least, most = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local whole = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now)
if whole > now + window then whole = now + window end
local room = math.floor((now + window - whole) / unit + 0.000001)
local granted = math.min(room, most)
if granted < least then granted = 0 end
if granted > 0 then
  whole = whole + granted * unit
  redis.call('SET', KEYS[1], string.format('%.3f', whole), 'PX', math.ceil((whole - now) / 1000) + 1)
end
return { granted, math.floor(whole - now) }";

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Take<'a> {
    /// Whose budget, the same on every node.
    pub key: &'a str,
    /// What one unit is worth, in nanoseconds.
    pub unit: u64,
    /// The window, in nanoseconds.
    pub window: u64,
    /// So many units are needed; fewer are none.
    pub least: u64,
    /// So many would be taken.
    pub most: u64,
}

/// What was granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// Units.
    pub granted: u64,
    /// Until the budget is whole again.
    pub reset: Duration,
}

impl Take<'_> {
    /// The script counts in microseconds: what is worth less keeps its fraction.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let number = |nanos: u64| format!("{:.3}", nanos as f64 / 1_000.0);
        vec![number(self.unit), number(self.window), self.least.to_string(), self.most.to_string()]
    }
}
