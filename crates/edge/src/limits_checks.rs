//! What the types of `[edge.timeouts]` and `[edge.limits]` cannot say.

use seaworthy_config::Findings;

use crate::settings::{Limits, Timeouts};

impl Timeouts {
    pub(crate) fn validate(&self, findings: &mut Findings) {
        let timeouts = [
            ("request_head", self.request_head),
            ("keep_alive", self.keep_alive),
            ("request_body_idle", self.request_body_idle),
            ("connect", self.connect),
            ("first_byte", self.first_byte),
            ("response_write", self.response_write),
        ];
        for (key, value) in timeouts {
            if value.0.is_zero() {
                let path = format!("edge.timeouts.{key}");
                findings.add(path, "SEA_CONFIG_RANGE", "a timeout of zero refuses every request", "use a longer one");
            }
        }
    }
}

impl Limits {
    pub(crate) fn validate(&self, findings: &mut Findings) {
        let mut range = |key: &str, value: u64, allowed: std::ops::RangeInclusive<u64>| {
            if !allowed.contains(&value) {
                let message = format!("{value} is not between {} and {}", allowed.start(), allowed.end());
                findings.add(format!("edge.limits.{key}"), "SEA_CONFIG_RANGE", message, "use a value in between");
            }
        };
        range("head", self.head.0, 1024..=1024 * 1024);
        range("target", self.target.0, 256..=self.head.0.max(256));
        range("headers", self.headers as u64, 1..=crate::connection::MAX_HEADERS as u64);
        range("streams", self.streams.into(), 1..=10_000);
    }
}
