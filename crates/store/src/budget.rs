//! Budgets of rates: the generic cell rate algorithm as one script.

use std::time::Duration;

/// Grants at most ARGV[4] and at least ARGV[3] units, of ARGV[1] microseconds each, from a window of ARGV[2], after it has
/// charged the ARGV[5] that were let pass without asking, as of ARGV[6] microseconds ago. One number is kept: the moment at
/// which the budget is whole again, by the server's clock. What is charged may overdraw the budget, by a window at most.
pub(crate) const SCRIPT: &str = r"
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local unit, window, least, most = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local owed, age = tonumber(ARGV[5]), tonumber(ARGV[6])
local whole = tonumber(redis.call('GET', KEYS[1]) or '0')
if owed > 0 then whole = math.max(whole, now - age) + owed * unit end
whole = math.min(math.max(whole, now), now + 2 * window)
local room = math.floor((now + window - whole) / unit + 0.000001)
local granted = math.max(math.min(room, most), 0)
if granted < least then granted = 0 end
if granted > 0 or owed > 0 then
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
    /// So many were let pass without asking, and are charged first.
    pub owed: u64,
    /// How long ago the first of them was.
    pub owed_for: Duration,
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
        let owed_for = self.owed_for.as_micros().to_string();
        let counts = [self.least, self.most, self.owed].map(|count| count.to_string());
        [vec![number(self.unit), number(self.window)], counts.to_vec(), vec![owed_for]].concat()
    }
}
