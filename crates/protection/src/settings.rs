//! `[protection]`, and what a `[[route]]` may change of it.

use http::{HeaderName, Method, Uri};
use schemars::JsonSchema;
use seaworthy_config::{ByteSize, Findings, HumanDuration, Section};
use serde::Deserialize;

use crate::{
    disclosure::Traces,
    headers::{HeaderOverrides, HeaderSettings},
    login::LoginSettings,
    overload::{self, OverloadSettings, Priority},
    rate_limit::{RateHeaders, RatePolicy, RateSetting},
};

/// Limits and security headers.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Settings {
    /// The largest request body. More is answered 413, and the app never sees more than this.
    pub body_limit: ByteSize,
    /// Security headers of every response.
    pub headers: HeaderSettings,
    /// What happens to an error answer that shows a stack trace, or is the debug page of a framework: `replace` puts a
    /// problem with the request id in its place and says so in the log, `pass` lets it through.
    pub traces: Traces,
    /// Which other sites' pages may read answers.
    pub cors: CorsSettings,
    /// The most requests of one client: `"100/min"` or `"100/min per address"`, `per user` (who is anonymous counts by
    /// address), `per tenant`, `per route` (all clients together); a list of up to four that all hold, or `"off"`. Each
    /// route counts for itself. More is answered 429, and the app never sees it.
    pub rate: Option<RateSetting>,
    /// What happens when there is more to do than the app can.
    pub overload: OverloadSettings,
    /// How answers tell of the rate: `standard` (`RateLimit`, `RateLimit-Policy`), `both` with the older `X-RateLimit-*`, or
    /// `off`.
    pub rate_headers: RateHeaders,
}

/// CORS. Without origins it is the app's own affair; with them it is decided here, and what the app says of it is replaced.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default)]
pub struct CorsSettings {
    /// Origins whose pages may: `https://app.example.com`, with the port when it is not the scheme's own. `*` is every page
    /// of the web, and goes without credentials.
    pub origins: Vec<String>,
    /// Whether those pages may send cookies and other credentials, and read what comes back.
    pub credentials: bool,
    /// Methods that they may use.
    pub methods: Vec<String>,
    /// Request headers that they may send; none listed: those that they ask for.
    pub headers: Vec<String>,
    /// Response headers that they may read, beside the few that every page may.
    pub expose: Vec<String>,
    /// How long a browser may remember the answer to a preflight.
    pub max_age: HumanDuration,
}

/// What one `[[route]]` may change of `[protection]`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RoutePolicy {
    /// In place of `protection.body_limit`.
    pub body_limit: Option<ByteSize>,
    /// In place of `protection.rate`.
    pub rate: Option<RateSetting>,
    /// How much of each rate one request takes: 1, or more where it is dear.
    pub cost: Option<u64>,
    /// The most requests of this route at once, each until its answer was sent. More is answered 503.
    pub concurrency: Option<u32>,
    /// What matters when not all can be served: `high`, `normal` or `low`.
    pub priority: Priority,
    /// In place of `protection.overload.latency_target`, for a route that may take longer, or must not. It is judged apart.
    pub latency_target: Option<HumanDuration>,
    /// The route signs people in: pauses between tries that fail (back-off), by account and by address.
    pub login: Option<LoginSettings>,
    /// In place of `protection.traces`.
    pub traces: Option<Traces>,
    /// In place of `protection.cors`.
    pub cors: Option<CorsSettings>,
    /// In place of single keys of `protection.headers`.
    pub headers: Option<HeaderOverrides>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            body_limit: ByteSize(1 << 30),
            headers: HeaderSettings::default(),
            traces: Traces::Replace,
            cors: CorsSettings::default(),
            rate: None,
            rate_headers: RateHeaders::default(),
            overload: OverloadSettings::default(),
        }
    }
}

impl Default for CorsSettings {
    fn default() -> Self {
        let list = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        Self {
            origins: Vec::new(),
            credentials: false,
            methods: list(&["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]),
            headers: Vec::new(),
            expose: list(&["x-request-id", "retry-after", "ratelimit", "ratelimit-policy"]),
            max_age: HumanDuration::seconds(600),
        }
    }
}

impl CorsSettings {
    /// The same for a place where a protocol of ours is spoken: pages may use its methods too, send its fields and read
    /// them. Which pages is as configured.
    #[must_use]
    pub fn with(mut self, methods: &[&str], headers: &[&str], expose: &[&str]) -> Self {
        let add = |list: &mut Vec<String>, more: &[&str]| {
            let missing = more.iter().filter(|name| !list.iter().any(|known| known.eq_ignore_ascii_case(name)));
            let missing: Vec<String> = missing.map(|name| (*name).to_owned()).collect();
            list.extend(missing);
        };
        add(&mut self.methods, methods);
        // None listed: those that a page asks for.
        if !self.headers.is_empty() {
            add(&mut self.headers, headers);
        }
        add(&mut self.expose, expose);
        self
    }

    /// Everything that is wrong with it; `at` is where it stands.
    fn validate(&self, at: &str, findings: &mut Findings) {
        for origin in self.origins.iter().filter(|origin| !is_origin(origin)) {
            let message = format!("`{origin}` is not an origin");
            let help = "write scheme and host, and the port when it is not the usual one, without a path: \"https://app.example.com\"";
            findings.add(format!("{at}.origins"), "SEA_CONFIG_ORIGIN", message, help);
        }
        if self.credentials && self.origins.iter().any(|origin| origin == "*") {
            let message = "every page of the web may not act with your users' cookies";
            findings.add(
                format!("{at}.credentials"),
                "SEA_CONFIG_CONFLICT",
                message,
                "name the origins, or leave credentials out",
            );
        }
        for method in self.methods.iter().filter(|method| {
            // Browsers compare them letter by letter.
            Method::from_bytes(method.as_bytes()).is_err() || method.bytes().any(|letter| letter.is_ascii_lowercase())
        }) {
            let message = format!("`{method}` is not a method");
            findings.add(format!("{at}.methods"), "SEA_CONFIG_WRONG_VALUE", message, "write for example \"GET\"");
        }
        for (key, names) in [("headers", &self.headers), ("expose", &self.expose)] {
            for name in names.iter().filter(|name| HeaderName::from_bytes(name.as_bytes()).is_err()) {
                let message = format!("`{name}` is not the name of a header");
                findings.add(
                    format!("{at}.{key}"),
                    "SEA_CONFIG_HEADER",
                    message,
                    "write for example \"x-total-count\"",
                );
            }
        }
    }
}

/// As browsers write it: scheme, host in small letters, and the port only when it is not the scheme's own.
fn is_origin(text: &str) -> bool {
    if text == "*" {
        return true;
    }
    let Ok(uri) = text.parse::<Uri>() else { return false };
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else { return false };
    let usual = matches!((scheme, authority.port_u16()), ("https", Some(443)) | ("http", Some(80)));
    let written = format!("{scheme}://{authority}");
    !usual && written == text && written == written.to_lowercase() && !authority.as_str().contains(['@', '*'])
}

impl RoutePolicy {
    /// Everything that is wrong with it; `at` is where it stands.
    pub fn validate(&self, at: &str, findings: &mut Findings) {
        if let Some(cors) = &self.cors {
            cors.validate(&format!("{at}.cors"), findings);
        }
        if let Some(headers) = &self.headers {
            headers.validate(&format!("{at}.headers"), findings);
        }
        overload::validate(self.concurrency, self.latency_target, at, findings);
        if let Some(login) = &self.login {
            login.validate(&format!("{at}.login"), findings);
        }
        let Some(cost) = self.cost else { return };
        let smallest = self.rate.iter().flat_map(RateSetting::policies).map(RatePolicy::requests).min();
        if cost == 0 || smallest.is_some_and(|smallest| cost > smallest) {
            let message = format!("no request that costs {cost} can be counted against the rate");
            let help = "write at least 1, and at most the smallest number of the route's rates";
            findings.add(format!("{at}.cost"), "SEA_CONFIG_WRONG_VALUE", message, help);
        }
    }
}

impl Section for Settings {
    const KEY: &'static str = "protection";

    fn validate(&self, findings: &mut Findings) {
        self.cors.validate("protection.cors", findings);
        self.headers.validate("protection.headers", findings);
        self.overload.validate(findings);
    }
}

#[cfg(test)]
mod tests {
    use seaworthy_config::Findings;

    use super::{CorsSettings, RoutePolicy, is_origin};

    #[test]
    fn a_protocol_of_ours_adds_what_it_needs_and_takes_nothing() {
        let list = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let own = CorsSettings { methods: list(&["GET"]), expose: list(&["X-Own"]), ..CorsSettings::default() };
        let with = own.clone().with(&["GET", "PATCH"], &["tus-resumable"], &["x-own", "location"]);
        assert_eq!((with.methods, with.expose), (list(&["GET", "PATCH"]), list(&["X-Own", "location"])));
        assert!(with.headers.is_empty(), "those that a page asks for");
        let named = CorsSettings { headers: list(&["authorization"]), ..own };
        assert_eq!(named.with(&[], &["tus-resumable"], &[]).headers, list(&["authorization", "tus-resumable"]));
    }

    #[test]
    fn what_cannot_limit_is_said() {
        let wrong = |text: &str| {
            let mut findings = Findings::default();
            serde_json::from_str::<RoutePolicy>(text).unwrap().validate("route.0", &mut findings);
            findings.into_list().into_iter().map(|(at, _)| at).collect::<Vec<_>>()
        };
        assert!(wrong(r#"{"login":{},"concurrency":1,"latency_target":"1s","priority":"low"}"#).is_empty());
        for (text, at) in [
            (r#"{"concurrency":0}"#, "concurrency"),
            (r#"{"latency_target":"1ms"}"#, "latency_target"),
            (r#"{"login":{"account":[]}}"#, "login.account"),
            (r#"{"login":{"account":["user..name"]}}"#, "login.account"),
            (r#"{"login":{"failures":0}}"#, "login.failures"),
            (r#"{"login":{"pause":"10m"}}"#, "login.longest_pause"),
            (r#"{"login":{"address":"5/min per user"}}"#, "login.address"),
            (r#"{"login":{"failed":[500]}}"#, "login.failed"),
        ] {
            assert_eq!(wrong(text), [format!("route.0.{at}")], "{text}");
        }
    }

    #[test]
    fn an_origin_is_written_as_a_browser_sends_it() {
        for right in ["https://app.example.com", "http://localhost:3000", "https://[::1]:8443", "*"] {
            assert!(is_origin(right), "{right}");
        }
        for wrong in [
            "app.example.com",
            "https://app.example.com/",
            "https://app.example.com:443",
            "https://App.example.com",
            "https://*.example.com",
            "https://user@app.example.com",
            "null",
            "",
        ] {
            assert!(!is_origin(wrong), "{wrong}");
        }
    }
}
