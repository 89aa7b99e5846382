//! `[protection.headers.csp]`, and what a `[[route]]` may change of it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use seaworthy_config::Findings;
use serde::Deserialize;

use super::policy::Policy;

/// Where browsers send reports unless another place is named.
const REPORTS: &str = "/.well-known/csp-reports";
/// The name of that place in `Reporting-Endpoints`.
pub(super) const REPORT_GROUP: &str = "seaworthy-csp";
/// Shorter texts could be guessed, or stand in a page by chance.
const MARKER_LENGTH: usize = 16;

/// The content security policy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default)]
pub struct CspSettings {
    /// The policy, as a table of directives or as its text; `off` for none. Left out it stops plugins and `<base>` tricks and
    /// leaves scripts alone; with `report_only` it is strict, so that reports tell what pages need. `frame-ancestors` comes
    /// from `frame`.
    pub directives: Option<Directives>,
    /// Whether each HTML answer gets a fresh nonce, in the policy and in its `<script>`, `<style>` and preloading `<link>`
    /// tags. Inline event handlers and `javascript:` links stop working. Such answers are not compressed, and no shared
    /// cache may keep them.
    pub nonces: bool,
    /// With it, only tags whose `nonce` attribute is exactly this text get the nonce, so that markup that somebody planted
    /// in a page gets none. At least 16 characters that nobody can guess, written into the app's templates; it never
    /// reaches a browser.
    #[schemars(extend("writeOnly" = true))]
    pub nonce_marker: String,
    /// Whether browsers only report what the policy would forbid. Framing is limited all the same.
    pub report_only: bool,
    /// Where browsers send reports: a path, which is then answered here; an address with `https://`; or `off`. Left out it
    /// is `/.well-known/csp-reports` with `report_only`, and `off` without. `seaworthy csp` shows what came, and the policy
    /// that would allow it.
    pub report: Option<String>,
}

/// What one `[[route]]` may change of `[protection.headers.csp]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default)]
pub struct CspOverrides {
    /// In place of `protection.headers.csp.directives`, all of them.
    pub directives: Option<Directives>,
    /// In place of `protection.headers.csp.nonces`.
    pub nonces: Option<bool>,
    /// In place of `protection.headers.csp.report_only`.
    pub report_only: Option<bool>,
}

/// A policy as people write it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "neither a policy's text, \"off\", nor a table of directives with a text or list each")]
pub enum Directives {
    /// As it stands in the header, or `off`.
    Text(String),
    /// Directive by directive.
    Table(BTreeMap<String, Sources>),
}

/// What one directive allows.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "neither a text, a list of texts, nor true or false")]
pub enum Sources {
    /// `true` for a directive that takes nothing; `false` leaves it out.
    Flag(bool),
    /// With spaces between them.
    Text(String),
    /// One by one.
    List(Vec<String>),
}

impl CspSettings {
    /// These settings with what a route changes.
    pub(in crate::headers) fn with(&self, route: Option<&CspOverrides>) -> Self {
        let Some(route) = route else { return self.clone() };
        Self {
            directives: route.directives.clone().or_else(|| self.directives.clone()),
            nonces: route.nonces.unwrap_or(self.nonces),
            report_only: route.report_only.unwrap_or(self.report_only),
            nonce_marker: self.nonce_marker.clone(),
            report: self.report.clone(),
        }
    }

    /// Where browsers send reports, when they do.
    pub(in crate::headers) fn report_to(&self) -> Option<&str> {
        match self.report.as_deref() {
            Some("off" | "") => None,
            None => self.report_only.then_some(REPORTS),
            place => place,
        }
    }

    /// The policy that is meant; `None` when it is off. What is wrong with it, `validate` has said.
    pub(in crate::headers) fn policy(&self) -> Option<Policy> {
        match &self.directives {
            Some(Directives::Text(text)) if matches!(text.trim(), "off" | "") => None,
            Some(directives) => Some(Policy::read(directives).0),
            None if self.report_only => Some(Policy::strict()),
            None => Some(Policy::mild()),
        }
    }

    /// Everything that is wrong with it; `at` is where it stands.
    pub(in crate::headers) fn validate(&self, at: &str, findings: &mut Findings) {
        const CODE: &str = "SEA_CONFIG_CSP";
        let off = self.policy().is_none();
        let policy = self.directives.as_ref().filter(|_| !off).map(Policy::read);
        for (directive, fault) in policy.iter().flat_map(|(_, faults)| faults) {
            let path = match (&self.directives, directive) {
                (Some(Directives::Table(_)), Some(directive)) => format!("{at}.directives.{directive}"),
                _ => format!("{at}.directives"),
            };
            findings.add(path, CODE, &fault.message, &fault.help);
        }
        if off && (self.nonces || self.report_only) {
            let help = "leave `directives` out, or write a policy";
            findings.add(format!("{at}.directives"), CODE, "nonces and reports need a policy, and it is off", help);
        }
        let readable = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\'' | b'<' | b'>' | b'&');
        let marker = &self.nonce_marker;
        if !marker.is_empty() && (marker.len() < MARKER_LENGTH || !marker.bytes().all(readable)) {
            let help = "write 16 or more random letters and digits, for example from `openssl rand -hex 16`";
            findings.add(format!("{at}.nonce_marker"), CODE, "this text could be guessed, or misread in a page", help);
        }
        if let Some(place) = self.report_to()
            && !is_report_place(place)
        {
            let message = format!("`{place}` is no place for reports");
            let help =
                "write a path without query such as \"/.well-known/csp-reports\", an address with https://, or \"off\"";
            findings.add(format!("{at}.report"), CODE, message, help);
        }
    }
}

/// What can stand in the policy, in `Reporting-Endpoints` and, when it is a path, in the table of routes.
fn is_report_place(place: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'/');
    if let Some(rest) = place.strip_prefix("https://") {
        let readable = |byte: u8| plain(byte) || matches!(byte, b':' | b'?' | b'=' | b'&' | b'%');
        return !rest.is_empty() && !rest.starts_with('/') && rest.bytes().all(readable);
    }
    place.starts_with('/') && place.len() > 1 && !place.starts_with("//") && place.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (CspSettings, Vec<String>) {
        let settings: CspSettings = toml_like(text);
        let mut findings = Findings::default();
        settings.validate("csp", &mut findings);
        (settings, findings.into_list().into_iter().map(|(path, _)| path).collect())
    }

    fn toml_like(json: &str) -> CspSettings {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_policy_is_a_table_or_a_text() {
        let (table, faults) = read(
            r#"{"directives":{"default-src":"'self'","img-src":["'self'","data:"],"upgrade-insecure-requests":true}}"#,
        );
        assert_eq!(faults, Vec::<String>::new());
        let text = table.policy().unwrap().to_string();
        assert_eq!(text, "default-src 'self'; img-src 'self' data:; upgrade-insecure-requests");
        let (same, faults) = read(&format!("{{\"directives\":\"{text}\"}}"));
        assert!(faults.is_empty());
        assert_eq!(same.policy().unwrap().to_string(), text);
        assert!(read(r#"{"directives":"off"}"#).0.policy().is_none());
        let error = serde_json::from_str::<CspSettings>(r#"{"directives":7}"#).unwrap_err().to_string();
        assert!(error.contains("neither a policy's text"), "{error}");
    }

    #[test]
    fn faults_name_their_directive() {
        assert_eq!(read(r#"{"directives":{"script-src":"self"}}"#).1, ["csp.directives.script-src"]);
        assert_eq!(read(r#"{"directives":"script-src self"}"#).1, ["csp.directives"]);
        assert_eq!(read(r#"{"directives":"off","nonces":true}"#).1, ["csp.directives"]);
        assert_eq!(read(r#"{"nonce_marker":"short"}"#).1, ["csp.nonce_marker"]);
        for (place, right) in [
            ("/csp", true),
            ("off", true),
            ("https://reports.example/csp?key=1", true),
            ("csp", false),
            ("//evil.example", false),
            ("/a;b", false),
            ("/a\\\"b", false),
            ("/a{b}", false),
            ("http://reports.example/", false),
        ] {
            let faults = read(&format!("{{\"report\":\"{place}\"}}")).1;
            assert_eq!(faults.is_empty(), right, "{place}: {faults:?}");
        }
    }

    #[test]
    fn reports_go_somewhere_when_nothing_is_forbidden_yet() {
        let learning = CspSettings { report_only: true, ..CspSettings::default() };
        assert_eq!(learning.report_to(), Some(REPORTS));
        assert!(learning.policy().unwrap().to_string().contains("default-src 'self'"));
        assert_eq!(CspSettings::default().report_to(), None);
        let quiet = CspSettings { report: Some("off".into()), ..learning };
        assert_eq!(quiet.report_to(), None);
    }
}
