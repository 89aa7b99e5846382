//! How much of the code that a page loads is ever used.

use serde_json::{Value, json};

use crate::{error::BrowserError, page::Page};

/// Code by use, in characters of its text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// All of it.
    pub total: u64,
    /// What was run.
    pub used: u64,
}

impl Usage {
    /// The part that nothing used, between 0 and 1.
    pub fn unused(self) -> f64 {
        if self.total == 0 { 0.0 } else { 1.0 - self.used as f64 / self.total as f64 }
    }
}

impl Page {
    /// Counts what scripts run from now on; to be said before the page is opened.
    ///
    /// # Errors
    /// When the browser has ended.
    pub async fn count_usage(&self) -> Result<(), BrowserError> {
        self.call("Profiler.enable", json!({})).await?;
        self.call("Profiler.startPreciseCoverage", json!({"callCount": false, "detailed": true})).await.map(drop)
    }

    /// What was counted for scripts whose address is wanted.
    ///
    /// # Errors
    /// When it was not asked for before.
    pub async fn usage(&self, wanted: impl Fn(&str) -> bool) -> Result<Usage, BrowserError> {
        let taken = self.call("Profiler.takePreciseCoverage", json!({})).await?;
        self.connection.tell(&self.session, "Profiler.disable", json!({}));
        let scripts = taken["result"].as_array().map(Vec::as_slice).unwrap_or_default();
        let mut usage = Usage::default();
        for script in scripts.iter().filter(|script| script["url"].as_str().is_some_and(&wanted)) {
            let (total, used) = used(script);
            usage.total += total;
            usage.used += used;
        }
        Ok(usage)
    }
}

/// Ranges nest: an inner one says otherwise than the one around it.
fn used(script: &Value) -> (u64, u64) {
    let functions = script["functions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut ranges: Vec<(u64, u64, bool)> = Vec::new();
    for range in functions.iter().flat_map(|one| one["ranges"].as_array().into_iter().flatten()) {
        let number = |key: &str| range[key].as_u64().unwrap_or_default();
        ranges.push((number("startOffset"), number("endOffset"), number("count") > 0));
    }
    // The outer one first, where two begin at the same place.
    ranges.sort_by_key(|(start, end, _)| (*start, std::cmp::Reverse(*end)));
    let total = ranges.iter().map(|(_, end, _)| *end).max().unwrap_or_default();
    let (mut used, mut at, mut open): (u64, u64, Vec<(u64, bool)>) = (0, 0, Vec::new());
    let mut advance = |to: u64, open: &mut Vec<(u64, bool)>| {
        while let Some((end, runs)) = open.last().copied() {
            let until = end.min(to);
            used += if runs { until.saturating_sub(at) } else { 0 };
            at = at.max(until);
            if end > to {
                break;
            }
            open.pop();
        }
        at = at.max(to);
    };
    for (start, end, runs) in ranges {
        advance(start, &mut open);
        open.push((end, runs));
    }
    advance(total, &mut open);
    (total, used)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inner_ranges_say_otherwise_than_the_one_around_them() {
        let range = |start: u64, end: u64, count: u64| json!({"startOffset": start, "endOffset": end, "count": count});
        let script = json!({"functions": [
            {"ranges": [range(0, 100, 1)]},
            {"ranges": [range(10, 40, 0), range(20, 30, 1)]},
            {"ranges": [range(90, 100, 0)]},
        ]});
        assert_eq!(used(&script), (100, 70));
        assert_eq!(used(&json!({})), (0, 0));
        assert!((Usage { total: 100, used: 70 }.unused() - 0.3).abs() < 1e-9);
    }
}
