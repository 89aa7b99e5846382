//! `[cache]`, and what a `[[route]]` says of it.

use std::{fmt, path::PathBuf, time::Duration};

use http::HeaderName;
use schemars::JsonSchema;
use seaworthy_config::{ByteSize, Findings, HumanDuration, Section};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor, value::MapAccessDeserializer},
};

use crate::{
    compression::CompressionSetting,
    policy::{Per, Policy},
};

/// A smaller disk cache is a mistake: of its largest answers it could hold none.
const LEAST_DISK: u64 = 8 << 20;

/// The HTTP cache (RFC 9111), and ETags. Nothing is cached until a route, or `policy` here, asks for it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Settings {
    /// What routes do that have no `cache` of their own: `true` keeps what the app's headers allow, a table says more (its
    /// keys are those of a route's `cache`).
    pub policy: CacheSetting,
    /// Memory for stored answers, of all routes and cores together. When it is full, what was not asked for lately goes.
    pub memory: ByteSize,
    /// Keep answers on the disk too, up to so many bytes: what the memory gives up is found there, also after a restart or
    /// a crash. `"0B"` is off. What belongs there is what is dear to make and read again; answers for one user are written
    /// to the disk as well.
    pub disk: ByteSize,
    /// The file for that, an SQLite database, readable by its owner alone. One process uses it at a time.
    pub disk_path: PathBuf,
    /// Share answers between nodes, in the Redis or Valkey of `[store] redis`: what one node has fetched is a hit on the
    /// others, and what is removed on one is removed on all. A change takes effect after a restart.
    pub shared: bool,
    /// Larger answers pass and are not stored.
    pub largest: ByteSize,
    /// How long a request waits for another one that already fetches the same answer, before it asks the app itself.
    pub wait: HumanDuration,
    /// Tell in `Cache-Status` (RFC 9211) what the cache did, on answers of routes with a cache.
    pub status: bool,
    /// Answers to GET up to this size that have no ETag get one, and a client that has the same already gets 304. They are
    /// held until they are whole. `"0B"` is off; answers without `Content-Length`, and event streams, always pass.
    pub etags: ByteSize,
    /// Compress answers for clients that take it (RFC 9110, 12.5.3): `true`, or a table that says how. Streams of events,
    /// parts, and what is compressed already stay as they are. Compressed answers are what the cache keeps.
    pub compression: CompressionSetting,
}

/// What one `[[route]]` says of the cache.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RoutePolicy {
    /// In place of `cache.policy`: `true`, `false`, or a table.
    pub cache: Option<CacheSetting>,
    /// In place of `cache.etags`.
    pub etags: Option<ByteSize>,
    /// In place of `cache.compression`: `true`, `false`, or a table.
    pub compression: Option<CompressionSetting>,
}

/// `true`, `false` or a table.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(untagged)]
pub enum CacheSetting {
    /// On, and more.
    Policy(PolicySettings),
    /// By the app's headers alone, or not at all.
    Switch(bool),
}

/// What is cached where the app's headers do not say it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PolicySettings {
    /// How long answers stay fresh that say nothing of it: of status 200, 203, 204, 300, 301 and 308. What the app says
    /// (`Cache-Control`, `Expires`) goes before it.
    pub ttl: Option<HumanDuration>,
    /// Who shares an answer: `all`, or only requests of one `principal` or `tenant`. Where the route knows who asks (`auth`),
    /// that is what counts, whatever token it is; else `Authorization` and cookies. Left out, requests with cookies or
    /// `Authorization` share only what the app's headers allow.
    pub per: Option<Per>,
    /// With `per = "principal"`, the cookies that tell who somebody is; none named: all of them, but of requests whose token
    /// was verified none.
    pub cookies: Vec<String>,
    /// Request headers by which answers differ although the app sends no `Vary`.
    pub vary: Vec<String>,
    /// Methods besides HEAD: `["GET"]`, or `["GET", "POST"]` where a POST only asks (a search). POSTs are told apart by
    /// their whole body.
    pub methods: Vec<String>,
    /// A POST with a larger body passes by the cache.
    pub body_limit: ByteSize,
    /// For so long a stale answer is still given, and refreshed behind it, where the app does not say (RFC 5861, 3).
    pub stale_while_revalidate: Option<HumanDuration>,
    /// For so long a stale answer stands in for an app that fails, where the app does not say (RFC 5861, 4).
    pub stale_if_error: Option<HumanDuration>,
    /// Also store answers with `Set-Cookie` that the app calls fresh: everyone gets that cookie.
    pub share_set_cookie: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            policy: CacheSetting::default(),
            memory: ByteSize(64 << 20),
            disk: ByteSize(0),
            disk_path: ".seaworthy/cache.db".into(),
            shared: false,
            largest: ByteSize(4 << 20),
            wait: HumanDuration::seconds(5),
            status: true,
            etags: ByteSize(0),
            compression: CompressionSetting::default(),
        }
    }
}

impl Default for CacheSetting {
    fn default() -> Self {
        Self::Switch(false)
    }
}

impl Default for PolicySettings {
    fn default() -> Self {
        Self {
            ttl: None,
            per: None,
            cookies: Vec::new(),
            vary: Vec::new(),
            methods: vec!["GET".into()],
            body_limit: ByteSize(64 << 10),
            stale_while_revalidate: None,
            stale_if_error: None,
            share_set_cookie: false,
        }
    }
}

impl CacheSetting {
    /// What it comes to; `None` is no cache.
    pub fn policy(&self) -> Option<Policy> {
        match self {
            Self::Switch(false) => None,
            Self::Switch(true) => Some(Policy::default()),
            Self::Policy(settings) => Some(settings.policy()),
        }
    }

    /// Whether anything is cached.
    pub fn is_on(&self) -> bool {
        !matches!(self, Self::Switch(false))
    }

    /// Whether answers are cached for everyone although the app says nothing of it.
    pub fn is_for_everyone(&self) -> bool {
        let partitioned = |per| matches!(per, Some(Per::Principal | Per::Tenant));
        matches!(self, Self::Policy(policy) if policy.ttl.is_some() && !partitioned(policy.per))
    }

    /// Everything that is wrong with it; `at` is where it stands.
    fn validate(&self, at: &str, findings: &mut Findings) {
        if let Self::Policy(policy) = self {
            policy.validate(at, findings);
        }
    }
}

impl PolicySettings {
    /// What validation would have refused is left out.
    fn policy(&self) -> Policy {
        let time = |setting: Option<HumanDuration>| setting.map(|time| time.0);
        let search = self.methods.iter().any(|method| method == "POST");
        Policy {
            ttl: time(self.ttl),
            per: self.per,
            cookies: self.cookies.clone(),
            vary: self.vary.iter().filter_map(|name| name.parse().ok()).collect(),
            search: search.then(|| usize::try_from(self.body_limit.0).unwrap_or(usize::MAX)),
            stale_while_revalidate: time(self.stale_while_revalidate),
            stale_if_error: time(self.stale_if_error),
            share_set_cookie: self.share_set_cookie,
        }
    }

    fn validate(&self, at: &str, findings: &mut Findings) {
        if self.ttl.is_some_and(|ttl| ttl.0 < Duration::from_secs(1)) {
            let message = "nothing is fresh for less than a second";
            findings.add(
                format!("{at}.ttl"),
                "SEA_CONFIG_WRONG_VALUE",
                message,
                "write for example \"10m\", or cache = false",
            );
        }
        let partitioned = matches!(self.per, Some(Per::Principal | Per::Tenant));
        if !self.cookies.is_empty() && !partitioned {
            let message = "`cookies` names who somebody is, and answers here are not kept by that";
            findings.add(format!("{at}.cookies"), "SEA_CONFIG_CONFLICT", message, "add per = \"principal\"");
        }
        for name in self.vary.iter().filter(|name| HeaderName::from_bytes(name.as_bytes()).is_err()) {
            let message = format!("`{name}` is not the name of a header");
            findings.add(format!("{at}.vary"), "SEA_CONFIG_HEADER", message, "write for example \"accept-language\"");
        }
        for name in self.cookies.iter().filter(|name| name.is_empty() || name.contains(['=', ';', ' ', ','])) {
            let message = format!("`{name}` is not the name of a cookie");
            findings.add(format!("{at}.cookies"), "SEA_CONFIG_WRONG_VALUE", message, "write for example \"sessionid\"");
        }
        if self.methods.iter().any(|method| !matches!(method.as_str(), "GET" | "POST"))
            || !self.methods.contains(&"GET".to_owned())
        {
            let message = "answers to GET are cached, and to POST where that is asked for";
            findings.add(
                format!("{at}.methods"),
                "SEA_CONFIG_WRONG_VALUE",
                message,
                "write [\"GET\"] or [\"GET\", \"POST\"]",
            );
        }
        if self.body_limit.0 > 16 << 20 {
            let message = "whole bodies are held in memory up to this size";
            findings.add(format!("{at}.body_limit"), "SEA_CONFIG_WRONG_VALUE", message, "write at most \"16MiB\"");
        }
    }
}

impl RoutePolicy {
    /// Everything that is wrong with it; `at` is where it stands.
    pub fn validate(&self, at: &str, findings: &mut Findings) {
        if let Some(cache) = &self.cache {
            cache.validate(&format!("{at}.cache"), findings);
        }
        validate_etags(self.etags, at, findings);
        if let Some(compression) = &self.compression {
            compression.validate(&format!("{at}.compression"), findings);
        }
    }
}

fn validate_etags(etags: Option<ByteSize>, at: &str, findings: &mut Findings) {
    if etags.is_some_and(|limit| limit.0 > 64 << 20) {
        let message = "whole answers are held in memory up to this size";
        findings.add(format!("{at}.etags"), "SEA_CONFIG_WRONG_VALUE", message, "write at most \"64MiB\"");
    }
}

impl Section for Settings {
    const KEY: &'static str = "cache";

    fn validate(&self, findings: &mut Findings) {
        self.policy.validate("cache.policy", findings);
        validate_etags(Some(self.etags), "cache", findings);
        self.compression.validate("cache.compression", findings);
        if self.disk.0 > 0 && self.disk.0 < LEAST_DISK {
            let message = format!("{} hold next to nothing", self.disk);
            let help = "write at least \"8MiB\", for example \"1GB\", or \"0B\" for none";
            findings.add("cache.disk", "SEA_CONFIG_WRONG_VALUE", message, help);
        }
        if self.disk_path.as_os_str().is_empty() {
            let help = "write for example \".seaworthy/cache.db\"";
            findings.add("cache.disk_path", "SEA_CONFIG_EMPTY", "the disk cache needs a file", help);
        }
        if self.largest.0 > self.memory.0 / 2 {
            let message = format!("one answer may take {} of {}", self.largest, self.memory);
            let help = "keep it to half of cache.memory at most, so that one answer does not empty the cache";
            findings.add("cache.largest", "SEA_CONFIG_CONFLICT", message, help);
        }
    }
}

impl<'de> Deserialize<'de> for CacheSetting {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SettingVisitor)
    }
}

/// By hand and not `untagged`: a wrong value in the table keeps its own message.
struct SettingVisitor;

impl<'de> Visitor<'de> for SettingVisitor {
    type Value = CacheSetting;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("true, false, or a table like { ttl = \"10m\" }")
    }

    fn visit_bool<E>(self, on: bool) -> Result<CacheSetting, E> {
        Ok(CacheSetting::Switch(on))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<CacheSetting, A::Error> {
        PolicySettings::deserialize(MapAccessDeserializer::new(map)).map(CacheSetting::Policy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(settings: PolicySettings) -> Vec<String> {
        let mut findings = Findings::default();
        RoutePolicy { cache: Some(CacheSetting::Policy(settings)), ..RoutePolicy::default() }
            .validate("route.0", &mut findings);
        findings.into_list().into_iter().map(|(path, finding)| format!("{path} {}", finding.code)).collect()
    }

    #[test]
    fn every_wrong_policy_is_named() {
        assert_eq!(codes(PolicySettings::default()), Vec::<String>::new());
        let wrong = PolicySettings {
            ttl: Some(HumanDuration(Duration::from_millis(5))),
            cookies: vec!["session".into(), "a=b".into()],
            vary: vec!["a b".into()],
            methods: vec!["DELETE".into()],
            body_limit: ByteSize(1 << 30),
            ..PolicySettings::default()
        };
        let found = codes(wrong);
        assert_eq!(
            found,
            [
                "route.0.cache.ttl SEA_CONFIG_WRONG_VALUE",
                "route.0.cache.cookies SEA_CONFIG_CONFLICT",
                "route.0.cache.vary SEA_CONFIG_HEADER",
                "route.0.cache.cookies SEA_CONFIG_WRONG_VALUE",
                "route.0.cache.methods SEA_CONFIG_WRONG_VALUE",
                "route.0.cache.body_limit SEA_CONFIG_WRONG_VALUE",
            ]
        );
    }

    #[test]
    fn off_is_the_default() {
        assert!(Settings::default().policy.policy().is_none());
        assert!(CacheSetting::Switch(true).policy().is_some());
        let mut findings = Findings::default();
        Settings { largest: ByteSize(1 << 30), ..Settings::default() }.validate(&mut findings);
        assert!(!findings.is_empty());
    }
}
