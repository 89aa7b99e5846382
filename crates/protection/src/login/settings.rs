//! `[[route]] login`.

use std::time::Duration;

use schemars::JsonSchema;
use seaworthy_config::{Findings, HumanDuration};
use serde::Deserialize;

use crate::rate_limit::{Per, RatePolicy, RateSetting};

/// A route that signs people in: pauses between tries that fail, by account and by address. `{}` takes every default.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LoginSettings {
    /// Fields that name the account, in JSON, a form or the query. `user.email` is `email` within `user` (`user[email]` in
    /// a form). `authorization` is the name in HTTP Basic, by GET and HEAD too; without it that counts only where nothing else
    /// names an account, by other methods, and only failures.
    pub account: Vec<String>,
    /// So many failures of one account have no pause.
    pub failures: u64,
    /// The pause after the next failure. Each further one doubles it.
    pub pause: HumanDuration,
    /// No pause is longer: nobody is locked out for more than this.
    pub longest_pause: HumanDuration,
    /// Failures that one address may have, whatever accounts it tries: `"30/10m"` when nothing is said, `"off"` for none.
    pub address: RateSetting,
    /// Status codes with which the app says that a sign-in failed. Other answers below 400 are a success; the rest (404,
    /// 429, 5xx) tell nothing.
    pub failed: Vec<u16>,
    /// How the log names an account: `hash` (a stand-in that is the same each time), `plain`, `off`.
    pub log_account: LogAccount,
}

/// How an account is named in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogAccount {
    /// A part of its SHA-256.
    #[default]
    Hash,
    /// In the form in which names are compared.
    Plain,
    /// Not at all.
    Off,
}

impl Default for LoginSettings {
    fn default() -> Self {
        Self {
            account: ["email", "username", "login"].map(str::to_owned).into(),
            failures: 5,
            pause: HumanDuration::seconds(1),
            longest_pause: HumanDuration::seconds(300),
            address: "30/10m".parse().map_or(RateSetting::Off, |policy| RateSetting::At(vec![policy])),
            failed: vec![400, 401, 403, 422],
            log_account: LogAccount::default(),
        }
    }
}

impl LoginSettings {
    /// How long failures are kept when none follows: longer than it takes to wait the longest pause a few times, so that
    /// waiting them out gains nothing.
    pub(super) fn kept(&self) -> Duration {
        self.longest_pause.0.saturating_mul(12).max(Duration::from_secs(3_600))
    }

    /// Everything that is wrong with it; `at` is where it stands.
    pub(crate) fn validate(&self, at: &str, findings: &mut Findings) {
        let mut add = |key: &str, message: String, help: &str| {
            findings.add(format!("{at}.{key}"), "SEA_CONFIG_WRONG_VALUE", message, help);
        };
        let is_name = |name: &String| !name.is_empty() && name.split('.').all(|part| !part.is_empty());
        if !(1..=8).contains(&self.account.len()) || !self.account.iter().all(is_name) {
            add("account", "these are no names of fields".into(), "write one to eight, for example [\"email\"]");
        }
        if !(1..=100).contains(&self.failures) {
            let message = format!("{} free failures are none, or too many", self.failures);
            add("failures", message, "write 1 to 100 (NIST SP 800-63B, 5.2.2)");
        }
        let (first, longest) = (self.pause.0, self.longest_pause.0);
        if first < Duration::from_millis(100) || longest < first || longest > Duration::from_secs(86_400) {
            let message = "pauses must begin at 100 ms or more, and grow to at most a day".to_owned();
            add("longest_pause", message, "write for example pause = \"1s\" and longest_pause = \"5m\"");
        }
        if self.address.policies().iter().any(|policy: &RatePolicy| policy.per() != Per::Address) {
            add("address", "failures are counted by address here".into(), "write for example \"30/10m\"");
        }
        if self.failed.is_empty() || self.failed.iter().any(|status| !(200..=499).contains(status)) {
            let help = "write those with which the app says it: [401], or [200] where it shows the form again";
            add("failed", "these are no status codes of a failed sign-in".into(), help);
        }
    }
}
