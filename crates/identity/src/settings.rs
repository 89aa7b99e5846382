//! `[identity]`, and what a `[[route]]` may change of it.

use http::Uri;
use schemars::JsonSchema;
use seaworthy_config::{Findings, HumanDuration, SecretRef, Section};
use serde::Deserialize;

/// Who may ask.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Settings {
    /// Whether requests prove who they are from: `off` (nobody looks), `optional` (a token that is there must be right, and
    /// without one the client is anonymous), `required`.
    pub auth: AuthMode,
    /// Bearer tokens of the `Authorization` header: JSON Web Tokens that your app or your identity provider has signed.
    pub tokens: TokenSettings,
}

/// Whether a request proves who it is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema, PartialOrd, Ord)]
#[serde(rename_all = "lowercase")]
pub enum AuthMode {
    /// Nobody looks.
    #[default]
    Off,
    /// A token that is there must be right; without one the client is anonymous.
    Optional,
    /// Without a right token there is no answer.
    Required,
}

/// How tokens are verified. The kind of each key decides its algorithm, whatever a token says of itself.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TokenSettings {
    /// Keys: public ones as PEM (`PUBLIC KEY`) or JWK, or a shared secret of at least 32 bytes. `env:JWT_SECRET`,
    /// `file:/etc/app/jwt.pem`.
    pub keys: Vec<SecretRef>,
    /// A JSON Web Key Set (RFC 7517): a file, or the `https` address where your identity provider publishes it. It is
    /// fetched again now and then, and when a token names a key that is new.
    pub jwks: Option<String>,
    /// How old a fetched key set may become. A key that its issuer has withdrawn is trusted for so long. A file is read
    /// again every 10 s.
    pub refresh: HumanDuration,
    /// Algorithms that are accepted.
    pub algorithms: Vec<Algorithm>,
    /// Who must have issued a token (`iss`). Needed with the address of a key set.
    pub issuer: Option<String>,
    /// Whom a token must be for (`aud`); one of these is enough. Needed with the address of a key set: its keys sign for
    /// other apps too.
    pub audience: Vec<String>,
    /// By how much clocks may differ.
    pub leeway: HumanDuration,
    /// Which claims tell what. `realm_access.roles` is `roles` within `realm_access`.
    pub claims: ClaimNames,
}

/// Names of claims.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ClaimNames {
    /// The stable id of the user or service.
    pub id: String,
    /// The tenant.
    pub tenant: String,
    /// Roles: a list, or words with spaces between them.
    pub roles: String,
    /// Scopes: the same.
    pub scopes: String,
}

/// A signature algorithm (RFC 7518, 3.1; RFC 8037, 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum Algorithm {
    /// HMAC with SHA-256: a shared secret.
    #[serde(rename = "HS256")]
    Hs256,
    /// RSA with SHA-256 (PKCS #1 v1.5).
    #[serde(rename = "RS256")]
    Rs256,
    /// ECDSA with SHA-256 on P-256.
    #[serde(rename = "ES256")]
    Es256,
    /// Ed25519.
    #[serde(rename = "EdDSA")]
    EdDsa,
}

/// What one `[[route]]` may change of `[identity]`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RoutePolicy {
    /// In place of `identity.auth`.
    pub auth: Option<AuthMode>,
}

impl Default for TokenSettings {
    fn default() -> Self {
        Self {
            keys: Vec::new(),
            jwks: None,
            refresh: HumanDuration::seconds(300),
            algorithms: vec![Algorithm::Hs256, Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa],
            issuer: None,
            audience: Vec::new(),
            leeway: HumanDuration::seconds(30),
            claims: ClaimNames::default(),
        }
    }
}

impl Default for ClaimNames {
    fn default() -> Self {
        Self { id: "sub".into(), tenant: "tenant".into(), roles: "roles".into(), scopes: "scope".into() }
    }
}

impl Algorithm {
    /// As tokens and keys name it. `Ed25519` is the newer name of `EdDSA` with that curve (RFC 9864, 2.2).
    pub(crate) fn from_token(name: &str) -> Option<Self> {
        match name {
            "HS256" => Some(Self::Hs256),
            "RS256" => Some(Self::Rs256),
            "ES256" => Some(Self::Es256),
            "EdDSA" | "Ed25519" => Some(Self::EdDsa),
            _ => None,
        }
    }
}

impl TokenSettings {
    /// Whether there is anything to verify with.
    pub fn has_keys(&self) -> bool {
        !self.keys.is_empty() || self.jwks.is_some()
    }

    /// The address of the key set, when it is no file.
    pub(crate) fn address(&self) -> Option<&str> {
        self.jwks.as_deref().filter(|place| place.contains("://"))
    }

    fn validate_address(&self, address: &str, findings: &mut Findings) {
        let mut add = |key: &str, message: &str, help: &str| {
            findings.add(format!("identity.tokens.{key}"), "SEA_CONFIG_KEY_SET", message, help);
        };
        let uri = address.parse::<Uri>().ok();
        let scheme = uri.as_ref().and_then(Uri::scheme_str);
        let host = uri.as_ref().and_then(Uri::host).unwrap_or_default();
        let has_password = uri.as_ref().and_then(Uri::authority).is_some_and(|named| named.as_str().contains('@'));
        if has_password {
            add("jwks", "a key set is public; the address holds a name or a password", "leave them out");
        }
        let is_here = matches!(host, "localhost" | "127.0.0.1" | "[::1]");
        if !(scheme == Some("https") || (scheme == Some("http") && is_here)) || host.is_empty() {
            let message = format!("whoever stands between could replace the keys of {address}");
            add("jwks", &message, "write an https address; http is for this machine alone");
        }
        if self.issuer.is_none() {
            add("issuer", "anybody's tokens of that identity provider would be let in", "name the `iss` of its tokens");
        }
        if self.audience.is_empty() {
            let message = "tokens that the identity provider made for other apps would be let in";
            add("audience", message, "name the `aud` that tokens for this app have");
        }
    }
}

impl Section for Settings {
    const KEY: &'static str = "identity";

    fn validate(&self, findings: &mut Findings) {
        let tokens = &self.tokens;
        if self.auth != AuthMode::Off && !tokens.has_keys() {
            let help = "name `keys` or `jwks` in [identity.tokens]";
            findings.add("identity.auth", "SEA_CONFIG_CONFLICT", "there is no key to verify a token with", help);
        }
        if let Some(address) = tokens.address() {
            tokens.validate_address(address, findings);
        }
        if tokens.algorithms.is_empty() {
            let help = "name those that your tokens have, or leave the key out";
            findings.add("identity.tokens.algorithms", "SEA_CONFIG_WRONG_VALUE", "no token could be right", help);
        }
        if tokens.leeway > HumanDuration::seconds(300) {
            let help = "clocks that keep time by NTP differ by less than a second; 300 s is the most";
            findings.add("identity.tokens.leeway", "SEA_CONFIG_WRONG_VALUE", "tokens would live on for too long", help);
        }
        if !(HumanDuration::seconds(10)..=HumanDuration::seconds(86_400)).contains(&tokens.refresh) {
            let message = "not a time that a key set may be kept for";
            findings.add("identity.tokens.refresh", "SEA_CONFIG_WRONG_VALUE", message, "write 10 s to 1 d");
        }
        if tokens.claims.id.is_empty() {
            let help = "name the claim with the stable id, usually \"sub\"";
            findings.add("identity.tokens.claims.id", "SEA_CONFIG_WRONG_VALUE", "nobody would have a name", help);
        }
    }
}
