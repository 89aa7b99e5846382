//! What was looked at.

use schemars::JsonSchema;
use seaworthy_core::Clock;
use serde::{Deserialize, Serialize};

/// What was looked at, from where, when.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Target {
    /// The public address.
    pub url: Option<String>,
    /// The admin API.
    pub admin: Option<String>,
    /// The source.
    pub repo: Option<String>,
    /// The commit that is checked out there; with `+changes` and a hash of them when the files are others.
    pub commit: Option<String>,
    /// Which release the live app said it was; without `check.release_path` nobody asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// The config's profile.
    pub environment: Option<String>,
    /// SHA-256 of the config: its files, what variables lay over them, and the command that drills start.
    pub config: Option<String>,
    /// Where the prober stood.
    pub vantage: String,
    /// Our version.
    pub seaworthy: String,
    /// When the run began.
    pub time: String,
}

impl Target {
    /// Whether this is the same app in the same environment, of whatever release.
    pub fn is_same_place(&self, other: &Self) -> bool {
        // Without the Seaworthy around it an app is another one.
        (&self.url, &self.admin, &self.repo, &self.environment)
            == (&other.url, &other.admin, &other.repo, &other.environment)
    }

    /// The same target, looked at now.
    pub fn at(self, clock: &dyn Clock) -> Self {
        Self { time: crate::ledger::second(crate::ledger::time(clock)), ..self }
    }
}
