//! `[api]`, and what a `[[route]]` says of it.

use schemars::JsonSchema;
use seaworthy_config::{Findings, Section};
use serde::Deserialize;

use crate::{
    deprecation::DeprecatedSettings,
    idempotency::{IdempotencySetting, StoreSettings},
    rewriting::{PrefixSettings, RewritePolicy},
};

/// Habits of an API: requests that may be repeated, versions, operations that will go away.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Settings {
    /// What routes do that have no `idempotency` of their own: `true` lets clients repeat POST and PATCH with an
    /// `Idempotency-Key`, `"required"` refuses those without one, a table says more (its keys are those of a route's
    /// `idempotency`).
    pub idempotency: IdempotencySetting,
    /// Where keys and answers are kept.
    pub idempotency_store: StoreSettings,
    /// The version.
    #[serde(flatten)]
    pub prefix: PrefixSettings,
}

/// What one `[[route]]` says of `[api]`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RoutePolicy {
    /// In place of `api.idempotency`: `true`, `"required"`, `false`, or a table.
    pub idempotency: Option<IdempotencySetting>,
    /// Says in each answer that this operation will go away, and counts who still calls it (`seaworthy deprecated`).
    pub deprecated: Option<DeprecatedSettings>,
    /// Another path.
    #[serde(flatten)]
    pub rewrite: RewritePolicy,
}

impl RoutePolicy {
    /// Everything that is wrong with it; `at` is where it stands, `matched` what the route matches, and `files` whether it
    /// serves a folder.
    pub fn validate(&self, at: &str, matched: &str, files: bool, findings: &mut Findings) {
        if let Some(idempotency) = &self.idempotency {
            idempotency.validate(&format!("{at}.idempotency"), findings);
        }
        if let Some(deprecated) = &self.deprecated {
            deprecated.validate(&format!("{at}.deprecated"), findings);
        }
        self.rewrite.validate(at, matched, files, findings);
    }
}

impl Section for Settings {
    const KEY: &'static str = "api";

    fn validate(&self, findings: &mut Findings) {
        self.idempotency.validate("api.idempotency", findings);
        self.idempotency_store.validate("api.idempotency_store", findings);
        self.prefix.validate("api", findings);
    }
}
