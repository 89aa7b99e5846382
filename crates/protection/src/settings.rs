//! `[protection]`, and what a `[[route]]` may change of it.

use http::HeaderValue;
use schemars::JsonSchema;
use seaworthy_config::{ByteSize, Findings, Section};
use serde::Deserialize;

/// Limits and security headers.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Settings {
    /// The largest request body. More is answered 413, and the app never sees more than this.
    pub body_limit: ByteSize,
    /// Security headers of every response. One that the app sets itself stays as it is.
    pub headers: HeaderSettings,
}

/// The headers of OWASP's Secure Headers project that are right for nearly every app. An empty text leaves one out.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default)]
pub struct HeaderSettings {
    /// Add them at all.
    pub enabled: bool,
    /// `Content-Security-Policy`. The default stops framing, plugins and `<base>` tricks, and leaves scripts alone.
    pub content_security_policy: String,
    /// `X-Frame-Options`, for browsers that do not read the policy's `frame-ancestors`.
    pub frame_options: String,
    /// `Referrer-Policy`.
    pub referrer_policy: String,
    /// `Permissions-Policy`.
    pub permissions_policy: String,
    /// `Cross-Origin-Opener-Policy`.
    pub cross_origin_opener_policy: String,
    /// `Strict-Transport-Security`, on answers over HTTPS alone (RFC 6797, 7.2).
    pub strict_transport_security: String,
}

/// What one `[[route]]` may change of `[protection]`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RoutePolicy {
    /// In place of `protection.body_limit`.
    pub body_limit: Option<ByteSize>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { body_limit: ByteSize(1 << 30), headers: HeaderSettings::default() }
    }
}

impl Default for HeaderSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            content_security_policy: "frame-ancestors 'self'; object-src 'none'; base-uri 'self'".into(),
            frame_options: "SAMEORIGIN".into(),
            referrer_policy: "strict-origin-when-cross-origin".into(),
            permissions_policy: "camera=(), microphone=(), geolocation=()".into(),
            cross_origin_opener_policy: "same-origin".into(),
            strict_transport_security: "max-age=31536000".into(),
        }
    }
}

impl HeaderSettings {
    /// Name and text of each header that every answer gets; `X-Content-Type-Options` has only one meaning, so it has no key.
    pub(crate) fn pairs(&self) -> [(&'static str, &str); 6] {
        [
            ("x-content-type-options", "nosniff"),
            ("content-security-policy", &self.content_security_policy),
            ("x-frame-options", &self.frame_options),
            ("referrer-policy", &self.referrer_policy),
            ("permissions-policy", &self.permissions_policy),
            ("cross-origin-opener-policy", &self.cross_origin_opener_policy),
        ]
    }
}

impl Section for Settings {
    const KEY: &'static str = "protection";

    fn validate(&self, findings: &mut Findings) {
        let tls = ("strict-transport-security", self.headers.strict_transport_security.as_str());
        for (name, value) in self.headers.pairs().into_iter().chain([tls]) {
            if HeaderValue::from_str(value).is_err() {
                let key = name.strip_prefix("x-").unwrap_or(name).replace('-', "_");
                let message = format!("not a valid value of the header {name}");
                let help = "use visible ASCII characters on one line";
                findings.add(format!("protection.headers.{key}"), "SEA_CONFIG_HEADER", message, help);
            }
        }
    }
}
