//! What was looked at.

use schemars::JsonSchema;
use seaworthy_core::Clock;
use serde::Serialize;

/// What was looked at, from where, when.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
pub struct Target {
    /// The public address.
    pub url: Option<String>,
    /// The admin API.
    pub admin: Option<String>,
    /// The source.
    pub repo: Option<String>,
    /// The commit that is checked out there.
    pub commit: Option<String>,
    /// Where the prober stood.
    pub vantage: String,
    /// Our version.
    pub seaworthy: String,
    /// When the run began.
    pub time: String,
}

impl Target {
    /// The same target, looked at now.
    pub fn at(self, clock: &dyn Clock) -> Self {
        Self { time: crate::ledger::timestamp(clock.unix_micros()), ..self }
    }
}
