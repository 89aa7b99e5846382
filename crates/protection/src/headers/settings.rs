//! `[protection.headers]`, and what a `[[route]]` may change of it.

use schemars::JsonSchema;
use seaworthy_config::Findings;
use serde::{Deserialize, Serialize};

use super::{
    csp::{CspOverrides, CspSettings},
    values,
};

/// The text that leaves a header out.
pub(super) const OFF: &str = "off";

/// The headers of OWASP's Secure Headers project. Each key takes the header's text, or `off`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default)]
pub struct HeaderSettings {
    /// Add and remove headers at all.
    pub enabled: bool,
    /// What happens where the app sets one of these headers itself: `keep` leaves the app's, `replace` puts ours in its place.
    pub from_app: FromApp,
    /// `X-Content-Type-Options`.
    pub content_type_options: String,
    /// Who may show the app's pages in a frame: `self`, `none`, or origins with spaces between them. Becomes
    /// `frame-ancestors` of the content security policy, and `X-Frame-Options` where that can say the same.
    pub frame: String,
    /// `Referrer-Policy`.
    pub referrer_policy: String,
    /// `Permissions-Policy`.
    pub permissions_policy: String,
    /// `Cross-Origin-Opener-Policy`.
    pub cross_origin_opener_policy: String,
    /// `Cross-Origin-Embedder-Policy`. `require-corp` isolates pages, and breaks those that load what does not agree to it.
    pub cross_origin_embedder_policy: String,
    /// `Cross-Origin-Resource-Policy`. `same-site` keeps images and scripts from other sites' pages; widgets and pictures
    /// that others show stop working.
    pub cross_origin_resource_policy: String,
    /// `Strict-Transport-Security`, on answers over HTTPS alone (RFC 6797, 7.2). With `preload` it must fulfil what the
    /// preload list asks for: a year, and `includeSubDomains`.
    pub strict_transport_security: String,
    /// `Content-Security-Policy`.
    pub csp: CspSettings,
    /// Response headers that are taken away: what tells of the software behind.
    pub remove: Vec<String>,
}

/// Who has the last word on a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FromApp {
    /// The app: it knows its own pages best.
    #[default]
    Keep,
    /// The config.
    Replace,
}

/// What one `[[route]]` may change of `[protection.headers]`; what it leaves out is as there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default)]
pub struct HeaderOverrides {
    /// In place of `protection.headers.enabled`.
    pub enabled: Option<bool>,
    /// In place of `protection.headers.from_app`.
    pub from_app: Option<FromApp>,
    /// In place of `protection.headers.content_type_options`.
    pub content_type_options: Option<String>,
    /// In place of `protection.headers.frame`.
    pub frame: Option<String>,
    /// In place of `protection.headers.referrer_policy`.
    pub referrer_policy: Option<String>,
    /// In place of `protection.headers.permissions_policy`.
    pub permissions_policy: Option<String>,
    /// In place of `protection.headers.cross_origin_opener_policy`.
    pub cross_origin_opener_policy: Option<String>,
    /// In place of `protection.headers.cross_origin_embedder_policy`.
    pub cross_origin_embedder_policy: Option<String>,
    /// In place of `protection.headers.cross_origin_resource_policy`.
    pub cross_origin_resource_policy: Option<String>,
    /// In place of `protection.headers.strict_transport_security`.
    pub strict_transport_security: Option<String>,
    /// In place of keys of `protection.headers.csp`.
    pub csp: Option<CspOverrides>,
    /// In place of `protection.headers.remove`.
    pub remove: Option<Vec<String>>,
}

/// What tells of an app's software, its version or its paths, and is of no use to a client.
const TELLING: [&str; 14] = [
    "server",
    "x-powered-by",
    "x-powered-cms",
    "x-aspnet-version",
    "x-aspnetmvc-version",
    "x-sourcefiles",
    "x-runtime",
    "x-rack-cache",
    "x-generator",
    "x-drupal-cache",
    "x-drupal-dynamic-cache",
    "x-debug-token",
    "x-debug-token-link",
    "x-php-version",
];

impl Default for HeaderSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            from_app: FromApp::Keep,
            content_type_options: "nosniff".into(),
            frame: "self".into(),
            referrer_policy: "strict-origin-when-cross-origin".into(),
            permissions_policy: "camera=(), microphone=(), geolocation=()".into(),
            cross_origin_opener_policy: "same-origin".into(),
            cross_origin_embedder_policy: OFF.into(),
            cross_origin_resource_policy: OFF.into(),
            strict_transport_security: "max-age=31536000".into(),
            csp: CspSettings::default(),
            remove: TELLING.map(str::to_owned).to_vec(),
        }
    }
}

/// The text of a key, unless it leaves the header out.
pub(super) fn on(text: &str) -> Option<&str> {
    Some(text.trim()).filter(|text| !text.is_empty() && *text != OFF)
}

impl HeaderSettings {
    /// These settings with what a route changes.
    #[must_use]
    pub fn with(&self, route: Option<&HeaderOverrides>) -> Self {
        let Some(route) = route else { return self.clone() };
        let text = |theirs: &Option<String>, ours: &String| theirs.as_ref().unwrap_or(ours).clone();
        Self {
            enabled: route.enabled.unwrap_or(self.enabled),
            from_app: route.from_app.unwrap_or(self.from_app),
            content_type_options: text(&route.content_type_options, &self.content_type_options),
            frame: text(&route.frame, &self.frame),
            referrer_policy: text(&route.referrer_policy, &self.referrer_policy),
            permissions_policy: text(&route.permissions_policy, &self.permissions_policy),
            cross_origin_opener_policy: text(&route.cross_origin_opener_policy, &self.cross_origin_opener_policy),
            cross_origin_embedder_policy: text(&route.cross_origin_embedder_policy, &self.cross_origin_embedder_policy),
            cross_origin_resource_policy: text(&route.cross_origin_resource_policy, &self.cross_origin_resource_policy),
            strict_transport_security: text(&route.strict_transport_security, &self.strict_transport_security),
            csp: self.csp.with(route.csp.as_ref()),
            remove: route.remove.as_ref().unwrap_or(&self.remove).clone(),
        }
    }

    /// Key, header and text of each that is one text and nothing more.
    pub(super) fn texts(&self) -> [(&'static str, &'static str, &str); 6] {
        [
            ("content_type_options", "x-content-type-options", &self.content_type_options),
            ("referrer_policy", "referrer-policy", &self.referrer_policy),
            ("permissions_policy", "permissions-policy", &self.permissions_policy),
            ("cross_origin_opener_policy", "cross-origin-opener-policy", &self.cross_origin_opener_policy),
            ("cross_origin_embedder_policy", "cross-origin-embedder-policy", &self.cross_origin_embedder_policy),
            ("cross_origin_resource_policy", "cross-origin-resource-policy", &self.cross_origin_resource_policy),
        ]
    }

    /// Where browsers send reports of what the policy forbids; `None` when they send none.
    pub fn report_to(&self) -> Option<&str> {
        if self.enabled { self.csp.report_to() } else { None }
    }

    /// Everything that is wrong with them; `at` is where they stand.
    pub(crate) fn validate(&self, at: &str, findings: &mut Findings) {
        let mut add = |key: &str, code: &'static str, fault: values::Fault| {
            findings.add(format!("{at}.{key}"), code, fault.message, &fault.help);
        };
        for (key, name, text) in self.texts() {
            if let Some(fault) = on(text).and_then(|text| values::fault(name, text)) {
                add(key, "SEA_CONFIG_HEADER", fault);
            }
        }
        if let Some(fault) = on(&self.strict_transport_security).and_then(values::hsts_fault) {
            add("strict_transport_security", "SEA_CONFIG_HEADER", fault);
        }
        if let Some(fault) = on(&self.frame).and_then(values::frame_fault) {
            add("frame", "SEA_CONFIG_HEADER", fault);
        }
        for name in self.remove.iter().filter(|name| !values::may_be_removed(name)) {
            let message = format!("`{name}` is not the name of a header that can be removed");
            let help = "write for example \"x-powered-by\"; what frames a message or carries its cookies stays".into();
            add("remove", "SEA_CONFIG_HEADER", values::Fault { message, help });
        }
        self.csp.validate(&format!("{at}.csp"), findings);
    }
}

impl HeaderOverrides {
    /// Everything that is wrong with what the route says; `at` is where it stands.
    pub(crate) fn validate(&self, at: &str, findings: &mut Findings) {
        // What the route leaves out is not its fault: here it is off.
        let mut quiet = HeaderSettings::default();
        quiet.csp.directives = None;
        quiet.with(Some(self)).validate(at, findings);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(change: impl FnOnce(&mut HeaderSettings)) -> Vec<String> {
        let mut settings = HeaderSettings::default();
        change(&mut settings);
        let mut findings = Findings::default();
        settings.validate("protection.headers", &mut findings);
        findings.into_list().into_iter().map(|(path, _)| path).collect()
    }

    #[test]
    fn the_defaults_are_right_and_what_is_wrong_is_named() {
        assert!(wrong(|_| {}).is_empty());
        let at = |key: &str| vec![format!("protection.headers.{key}")];
        assert_eq!(wrong(|all| all.referrer_policy = "none".into()), at("referrer_policy"));
        assert_eq!(wrong(|all| all.content_type_options = "sniff".into()), at("content_type_options"));
        assert_eq!(wrong(|all| all.remove = vec!["a b".into()]), at("remove"));
        assert_eq!(wrong(|all| all.remove = vec!["Content-Length".into()]), at("remove"));
        assert_eq!(wrong(|all| all.permissions_policy = "camera=()\n".into()), Vec::<String>::new(), "trimmed");
        assert_eq!(wrong(|all| all.permissions_policy = "camera=(),\nx=()".into()), at("permissions_policy"));
        assert!(wrong(|all| all.strict_transport_security = "off".into()).is_empty());
        assert!(wrong(|all| all.strict_transport_security = String::new()).is_empty());
    }

    #[test]
    fn a_route_changes_only_what_it_names() {
        let route = HeaderOverrides { frame: Some("off".into()), ..HeaderOverrides::default() };
        let all = HeaderSettings { referrer_policy: "no-referrer".into(), ..HeaderSettings::default() };
        let changed = all.with(Some(&route));
        assert_eq!((changed.frame.as_str(), changed.referrer_policy.as_str()), ("off", "no-referrer"));
        assert_eq!(all.with(None), all);
    }
}
