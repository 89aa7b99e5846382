//! `[api] version_prefix`, and a route's `rewrite` and `strip_prefix`.

use schemars::JsonSchema;
use seaworthy_config::Findings;
use serde::{Deserialize, Serialize};

use super::{
    path::{below, is_plain},
    template::Template,
};

/// What happens to a request without the version prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Unversioned {
    /// It is answered 404.
    #[default]
    NotFound,
    /// It is redirected to the same path below the prefix: 308, which keeps method and body.
    Redirect,
}

/// A version prefix for a whole app. Its keys are those of `[api]`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PrefixSettings {
    /// Mounts the app below a version: with `"/v1"`, the app's `/items` is served at `/v1/items`. Routes still match what
    /// clients ask for (`/v1/items`). The app hears of the prefix in `X-Forwarded-Prefix`.
    pub version_prefix: Option<String>,
    /// What happens to a request without the prefix: `not-found` (404) or `redirect` (308 to the same path below it). Routes
    /// with `files`, a `rewrite` of their own or `versioned = false` are not asked for it.
    pub unversioned: Unversioned,
    /// Put what was taken off a path back into `Location`, `Content-Location` and the paths of cookies. Needed where the app
    /// does not heed `X-Forwarded-Prefix`.
    pub map_back: bool,
}

/// Another path for one route. Its keys are those of `[[route]]`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RewritePolicy {
    /// The path that the app sees: `{name}` and a `*` at the end stand for what `match` has there. The query stays.
    pub rewrite: Option<String>,
    /// Takes this off the beginning of the path: with `"/v1"`, the app sees `/items` for `/v1/items`, and hears of the rest in
    /// `X-Forwarded-Prefix`.
    pub strip_prefix: Option<String>,
    /// `false`: these requests need no `api.version_prefix`, and the app sees their path as it is. For health checks and
    /// webhooks.
    pub versioned: Option<bool>,
    /// In place of `api.map_back`.
    pub map_back: Option<bool>,
}

impl PrefixSettings {
    pub(crate) fn validate(&self, at: &str, findings: &mut Findings) {
        if let Some(prefix) = &self.version_prefix {
            validate_prefix(prefix, format!("{at}.version_prefix"), findings);
        }
    }
}

impl RewritePolicy {
    /// Everything that is wrong with it; `at` is where it stands, `path` what the route matches.
    pub(crate) fn validate(&self, at: &str, matched: &str, files: bool, findings: &mut Findings) {
        let path = path_of(matched);
        let mut wrong =
            |key: &str, code, message: String, help| findings.add(format!("{at}.{key}"), code, message, help);
        if self.rewrite.is_some() && self.strip_prefix.is_some() {
            let help = "keep the one that says where the app has it";
            wrong("strip_prefix", "SEA_CONFIG_CONFLICT", "`rewrite` names the whole path already".into(), help);
        }
        if files && (self.rewrite.is_some() || self.strip_prefix.is_some()) {
            let key = if self.rewrite.is_some() { "rewrite" } else { "strip_prefix" };
            let message = "this route serves files, and no app sees its paths".into();
            wrong(key, "SEA_CONFIG_CONFLICT", message, "leave it out; `files` has its own `root`");
        }
        if let Some(to) = &self.rewrite {
            match Template::new(path, to) {
                Err(why) => {
                    let help = "write for example match = \"/v1/*\" and rewrite = \"/api/*\"";
                    wrong("rewrite", "SEA_CONFIG_WRONG_VALUE", format!("`{to}` is no path to rewrite to: {why}"), help);
                }
                Ok(template) if self.map_back == Some(true) && template.prefix().is_none() => {
                    let message = "only a rewrite of `/…/*` to `/…/*` can be turned round".to_owned();
                    wrong("map_back", "SEA_CONFIG_CONFLICT", message, "leave map_back out here");
                }
                Ok(_) => {}
            }
        }
        if let Some(prefix) = &self.strip_prefix {
            if below(path, prefix).is_none() {
                let message = format!("`{prefix}` is not how the paths of this route begin");
                wrong(
                    "strip_prefix",
                    "SEA_CONFIG_WRONG_VALUE",
                    message,
                    "write whole segments of `match`, from its start",
                );
            }
            validate_prefix(prefix, format!("{at}.strip_prefix"), findings);
        }
    }
}

/// The path of `GET /a`.
pub(super) fn path_of(matched: &str) -> &str {
    matched.trim().split_once(char::is_whitespace).map_or(matched.trim(), |(_, path)| path.trim())
}

fn validate_prefix(prefix: &str, at: String, findings: &mut Findings) {
    let usable =
        is_plain(prefix) && prefix.len() > 1 && !prefix.ends_with('/') && !prefix.contains(['{', '}', '*', '?']);
    if !usable || http::HeaderValue::from_str(prefix).is_err() {
        let message = format!("`{prefix}` is not the beginning of a path");
        findings.add(at, "SEA_CONFIG_WRONG_VALUE", message, "write for example \"/v1\", without a slash at the end");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wrong_value_is_named() {
        let told = |policy: RewritePolicy, files| {
            let mut findings = Findings::default();
            policy.validate("r", "GET /v1/{id}", files, &mut findings);
            findings
                .into_list()
                .into_iter()
                .map(|(path, finding)| format!("{path} {}", finding.code))
                .collect::<Vec<_>>()
        };
        let some = |text: &str| Some(text.to_owned());
        let both = RewritePolicy { rewrite: some("/{id}"), strip_prefix: some("/v1"), ..RewritePolicy::default() };
        assert_eq!(told(both, false), ["r.strip_prefix SEA_CONFIG_CONFLICT"]);
        let strip = |prefix: &str| RewritePolicy { strip_prefix: some(prefix), ..RewritePolicy::default() };
        assert_eq!(told(strip("/v1"), false), Vec::<String>::new());
        assert_eq!(told(strip("/v1"), true), ["r.strip_prefix SEA_CONFIG_CONFLICT"]);
        assert_eq!(told(strip("/v"), false), ["r.strip_prefix SEA_CONFIG_WRONG_VALUE"]);
        assert_eq!(told(strip("v1/"), false).len(), 2);
        let rewrite = |to: &str| RewritePolicy { rewrite: some(to), map_back: Some(true), ..RewritePolicy::default() };
        assert_eq!(told(rewrite("/{other}"), false), ["r.rewrite SEA_CONFIG_WRONG_VALUE"]);
        assert_eq!(told(rewrite("/{id}"), false), ["r.map_back SEA_CONFIG_CONFLICT"]);
        for wrong in ["/", "v1", "/v1/", "/v1/..", "//v1", "/*", "/%76"] {
            let mut findings = Findings::default();
            let settings = PrefixSettings { version_prefix: some(wrong), ..PrefixSettings::default() };
            settings.validate("api", &mut findings);
            assert!(!findings.is_empty(), "{wrong}");
        }
    }
}
