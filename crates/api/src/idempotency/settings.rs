//! What is said of `Idempotency-Key`: by `[api]`, by a route, and of the store.

use std::{fmt, path::PathBuf, time::Duration};

use schemars::JsonSchema;
use seaworthy_config::{ByteSize, Findings, HumanDuration};
use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, Visitor, value::MapAccessDeserializer},
};

/// `true`, `false`, `"required"` or a table.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(untagged)]
pub enum IdempotencySetting {
    /// On, and more.
    Policy(IdempotencyPolicy),
    /// On for those who send a key, or off.
    Switch(bool),
    /// `"required"`.
    Word(String),
}

/// How keys are treated.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default)]
pub struct IdempotencyPolicy {
    /// Refuse POST and PATCH without a key.
    pub required: bool,
    /// How long a key and its answer are kept.
    pub ttl: HumanDuration,
    /// How long a repeated request waits for the first one that still runs, before it is answered 409. `"0s"`: not at all.
    pub wait: HumanDuration,
    /// Larger answers pass and are not kept; who repeats such a request is told that it is done.
    pub answer_limit: ByteSize,
    /// Keep answers with which the app says that it failed (5xx), and give them again. Off, the request runs again, which is
    /// right only where a failed request has left nothing behind.
    pub keep_errors: bool,
    /// The cookies that tell who somebody is, where no token was verified; none named: all of them. One that changes between
    /// two tries makes the second try another client's.
    pub cookies: Vec<String>,
}

/// Where keys and answers are kept: an SQLite database of this machine.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default)]
pub struct StoreSettings {
    /// The file. It holds answers of the app, so it is readable by its owner alone.
    pub path: PathBuf,
    /// The most keys. When there are so many, new requests with a key are refused until some have expired.
    pub keys: u64,
    /// The most keys of one client: of one user, token, session or address.
    pub keys_per_client: u64,
    /// The most bytes of kept answers. Beyond it, answers are not kept, and who repeats such a request is told that it is
    /// done.
    pub size: ByteSize,
}

impl Default for IdempotencySetting {
    fn default() -> Self {
        Self::Switch(false)
    }
}

impl Default for IdempotencyPolicy {
    fn default() -> Self {
        Self {
            required: false,
            ttl: HumanDuration::seconds(86_400),
            wait: HumanDuration::seconds(0),
            answer_limit: ByteSize(1 << 20),
            keep_errors: true,
            cookies: Vec::new(),
        }
    }
}

impl Default for StoreSettings {
    fn default() -> Self {
        Self {
            path: ".seaworthy/idempotency.db".into(),
            keys: 1_000_000,
            keys_per_client: 100_000,
            size: ByteSize(1 << 30),
        }
    }
}

impl IdempotencySetting {
    /// What it comes to; `None` is off.
    pub fn policy(&self) -> Option<IdempotencyPolicy> {
        match self {
            Self::Switch(false) => None,
            Self::Switch(true) => Some(IdempotencyPolicy::default()),
            Self::Word(_) => Some(IdempotencyPolicy { required: true, ..IdempotencyPolicy::default() }),
            Self::Policy(policy) => Some(policy.clone()),
        }
    }

    /// Whether keys are looked at.
    pub fn is_on(&self) -> bool {
        !matches!(self, Self::Switch(false))
    }

    pub(crate) fn validate(&self, at: &str, findings: &mut Findings) {
        let Self::Policy(policy) = self else { return };
        let mut wrong = |key: &str, message: &str, help: &str| {
            findings.add(format!("{at}.{key}"), "SEA_CONFIG_WRONG_VALUE", message, help);
        };
        if policy.ttl.0 < Duration::from_secs(60) || policy.ttl.0 > Duration::from_secs(366 * 86_400) {
            wrong("ttl", "a key is kept for a minute at least and for a year at most", "write for example \"24h\"");
        }
        if policy.wait.0 > Duration::from_secs(60) {
            wrong("wait", "a repeated request waits a minute at most", "write for example \"10s\"");
        }
        if policy.answer_limit.0 > 16 << 20 {
            wrong("answer_limit", "whole answers are held in memory up to this size", "write at most \"16MiB\"");
        }
        if policy.cookies.iter().any(|name| name.is_empty() || name.contains(['=', ';', ' ', ','])) {
            wrong("cookies", "this is not the name of a cookie", "write for example [\"sessionid\"]");
        }
    }
}

impl StoreSettings {
    pub(crate) fn validate(&self, at: &str, findings: &mut Findings) {
        let mut wrong = |key: &str, message: &str, help: &str| {
            findings.add(format!("{at}.{key}"), "SEA_CONFIG_WRONG_VALUE", message, help);
        };
        if self.path.as_os_str().is_empty() {
            wrong("path", "the keys need a file", "write for example \".seaworthy/idempotency.db\"");
        }
        if self.keys == 0 || self.keys > 100_000_000 {
            wrong("keys", "between 1 and 100,000,000 keys are kept", "write for example 1000000");
        }
        if self.keys_per_client == 0 {
            wrong("keys_per_client", "each client needs room for one key", "write for example 100000");
        }
    }
}

impl<'de> Deserialize<'de> for IdempotencySetting {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SettingVisitor)
    }
}

/// By hand and not `untagged`: a wrong value in the table keeps its own message.
struct SettingVisitor;

impl<'de> Visitor<'de> for SettingVisitor {
    type Value = IdempotencySetting;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("true, false, \"required\", or a table like { ttl = \"24h\" }")
    }

    fn visit_bool<E>(self, on: bool) -> Result<IdempotencySetting, E> {
        Ok(IdempotencySetting::Switch(on))
    }

    fn visit_str<E: de::Error>(self, word: &str) -> Result<IdempotencySetting, E> {
        match word {
            "required" => Ok(IdempotencySetting::Word(word.into())),
            _ => Err(E::invalid_value(de::Unexpected::Str(word), &self)),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<IdempotencySetting, A::Error> {
        IdempotencyPolicy::deserialize(MapAccessDeserializer::new(map)).map(IdempotencySetting::Policy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wrong_value_is_named() {
        let policy = IdempotencyPolicy {
            ttl: HumanDuration::seconds(1),
            wait: HumanDuration::seconds(600),
            answer_limit: ByteSize(1 << 30),
            cookies: vec!["a=b".into()],
            ..IdempotencyPolicy::default()
        };
        let mut findings = Findings::default();
        IdempotencySetting::Policy(policy).validate("api.idempotency", &mut findings);
        let store = StoreSettings { path: "".into(), keys: 0, keys_per_client: 0, ..StoreSettings::default() };
        store.validate("s", &mut findings);
        let paths: Vec<String> = findings.into_list().into_iter().map(|(path, _)| path).collect();
        let wanted = ["ttl", "wait", "answer_limit", "cookies"].map(|key| format!("api.idempotency.{key}"));
        assert_eq!(paths, [&wanted[..], &["s.path", "s.keys", "s.keys_per_client"].map(String::from)].concat());
        let mut fine = Findings::default();
        IdempotencySetting::Policy(IdempotencyPolicy::default()).validate("x", &mut fine);
        StoreSettings::default().validate("x", &mut fine);
        assert!(fine.is_empty());
    }
}
