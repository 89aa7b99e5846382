//! `[protection.overload]`, and the priority of a route.

use std::time::Duration;

use schemars::JsonSchema;
use seaworthy_config::{Findings, HumanDuration};
use serde::Deserialize;

/// What happens when there is more to do than the app can. Without any of these nothing is refused for that reason.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct OverloadSettings {
    /// The most requests at once, all routes together, each until its answer was sent. Of low priority 60 % of it, of normal
    /// 90 %.
    pub concurrency: Option<u32>,
    /// Load shedding: when more than half of the app's answers begin later than this, fewer requests are let in at once,
    /// until they do not; those of low priority are refused first.
    pub latency_target: Option<HumanDuration>,
}

/// What matters when not all can be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// Refused last.
    High,
    /// The rest.
    #[default]
    Normal,
    /// Refused first.
    Low,
}

impl Priority {
    /// So much of a limit it may fill: what is left is for those above it.
    pub(super) fn share(self, limit: usize) -> usize {
        let percent = match self {
            Self::High => 100,
            Self::Normal => 90,
            Self::Low => 60,
        };
        (limit.saturating_mul(percent) / 100).max(1)
    }
}

impl OverloadSettings {
    /// Everything that is wrong with it.
    pub(crate) fn validate(&self, findings: &mut Findings) {
        validate(self.concurrency, self.latency_target, "protection.overload", findings);
    }
}

/// The same for a route.
pub(crate) fn validate(concurrency: Option<u32>, target: Option<HumanDuration>, at: &str, findings: &mut Findings) {
    if concurrency == Some(0) {
        let message = "no request would pass";
        findings.add(
            format!("{at}.concurrency"),
            "SEA_CONFIG_WRONG_VALUE",
            message,
            "write at least 1, or leave it out",
        );
    }
    if target.is_some_and(|target| !(Duration::from_millis(5)..=Duration::from_secs(60)).contains(&target.0)) {
        let message = "the app cannot be judged by this";
        findings.add(format!("{at}.latency_target"), "SEA_CONFIG_WRONG_VALUE", message, "write 5ms to 60s");
    }
}
