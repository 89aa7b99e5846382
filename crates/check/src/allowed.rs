//! What a team names for probes that write: where people sign in, where a text may be left, where files are taken.

use schemars::JsonSchema;
use seaworthy_config::{Findings, SecretRef};
use serde::Deserialize;

use crate::subject::LoginHint;

/// A route that signs people in.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LoginSettings {
    /// The path that takes a POST.
    pub path: String,
    /// The field with the account's name.
    pub account_field: String,
    /// The field with the password.
    pub password_field: String,
    /// It takes a form, and not JSON.
    pub form: bool,
    /// An account for tests; it will be locked for a moment. Without it a made-up name is tried.
    pub account: Option<String>,
    /// Its password: `env:CHECK_PASSWORD`.
    pub password: Option<SecretRef>,
}

impl Default for LoginSettings {
    fn default() -> Self {
        Self {
            path: "/login".into(),
            account_field: "email".into(),
            password_field: "password".into(),
            form: false,
            account: None,
            password: None,
        }
    }
}

impl LoginSettings {
    /// For the probes.
    pub(crate) fn hint(&self) -> LoginHint {
        let password = self.password.as_ref().and_then(|password| password.resolve().ok());
        LoginHint {
            path: self.path.clone(),
            fields: (self.account_field.clone(), self.password_field.clone()),
            form: self.form,
            owner: self.account.clone().zip(password),
        }
    }
}

/// Where a marked text may be written.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Canary {
    /// A path that takes a POST.
    pub post: String,
    /// Its body, with `{canary}` where the text goes: JSON, or a form (`text={canary}`).
    pub body: String,
    /// Pages that show what was written.
    pub pages: Vec<String>,
}

impl Canary {
    /// Everything that is wrong with it.
    pub(crate) fn validate(&self, findings: &mut Findings) {
        let is_path = |path: &String| path.starts_with('/') && path.parse::<http::Uri>().is_ok();
        for path in [&self.post].into_iter().chain(&self.pages).filter(|path| !is_path(path)) {
            let help = "begin it with `/`, and write spaces and the like percent-encoded";
            findings.add("check.canary", "SEA_CONFIG_PATH", format!("`{path}` is not a path"), help);
        }
        if !self.body.contains("{canary}") || self.pages.is_empty() {
            let help = "write { post = \"/comments\", body = '{\"text\": \"{canary}\"}', pages = [\"/comments\"] }";
            let what = "the canary has no place in its body, or no page that shows it";
            findings.add("check.canary", "SEA_CONFIG_WRONG_VALUE", what, help);
        }
    }
}

/// The method and the path of `POST /api/documents`.
pub(crate) fn upload_route(text: &str) -> Option<(&str, &str)> {
    let (method, path) = text.split_once(' ')?;
    let is_path = path.starts_with('/') && !path.contains(['{', '*']) && path.parse::<http::Uri>().is_ok();
    (matches!(method, "POST" | "PUT" | "PATCH") && is_path).then_some((method, path))
}
