//! `[edge]`, and what a `[[route]]` may say about the way to the app.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use schemars::JsonSchema;
use seaworthy_config::{ByteSize, Findings, HumanDuration, Profile, Section};
use serde::{Deserialize, Serialize};

use crate::{
    error_pages::ErrorPolicy,
    files::FilesPolicy,
    routing::Pattern,
    tls::{AcmeSettings, TlsSettings},
};

/// The public HTTP side.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Settings {
    /// Address and port to serve on. Left empty it is `127.0.0.1:8080`, or `[::]:80` where HTTPS follows from `hosts`.
    /// `0.0.0.0:8080` serves everyone who reaches the machine. Beside HTTPS it only redirects (see `redirect`).
    pub listen: String,
    /// Address and port to serve HTTPS on. Left empty it is `[::]:443` when there are `hosts` and `listen` is no loopback
    /// address, and none otherwise; `off` is none in any case (for names behind a proxy that ends TLS).
    pub https: String,
    /// The names that the app is served under. Requests for any other are refused, and with HTTPS these names get their
    /// certificates. Empty serves every name.
    pub hosts: Vec<String>,
    /// Whether plain HTTP only redirects to HTTPS once that is there.
    pub redirect: bool,
    /// Cores that serve requests, each with its own runtime; `0` takes all.
    pub workers: usize,
    /// What happens to a 5xx answer of the app: `unstructured` replaces bodies that are not JSON (error pages and stack
    /// traces) by problem details with the request id, `all` replaces every one, `pass` hands them on as they are.
    pub errors: ErrorPolicy,
    /// Proxies in front of us, as addresses or networks (`10.0.0.0/8`). What they say in `X-Forwarded-For`, `-Proto` and
    /// `-Host` or in `Forwarded` is believed; what anyone else says is removed.
    pub trusted_proxies: Vec<String>,
    /// Whether connections begin with a PROXY protocol header, version 1 or 2. With `trusted_proxies` only theirs do, and
    /// must.
    pub proxy_protocol: bool,
    /// What happens to the trace context (W3C `traceparent`) of a request: `accept` continues a valid one and starts one
    /// when there is none, `restart` always starts a new one, `off` passes it as it is.
    pub trace: TracePolicy,
    /// What happens to a request that asks, in a header, to be taken for one of another method (`X-HTTP-Method-Override`,
    /// `X-HTTP-Method`, `X-Method-Override`): `refuse` answers 400, `pass` hands it on;
    /// where uploads come in pieces it is heeded either way (tus 1.0). Routes, limits and caches go by the
    /// method of the request itself: pass it only where the app does not heed such a header, or where nothing that you set
    /// here depends on the method.
    pub method_override: MethodOverride,
    /// How long we go on serving when told to stop, not ready any more, so that a balancer that asks `/readyz` sends its
    /// clients elsewhere first.
    pub drain_delay: HumanDuration,
    /// How long each step may take.
    pub timeouts: Timeouts,
    /// How much one client, and all of them, may have.
    pub limits: Limits,
    /// How requests are spread over instances, and what happens to one that fails.
    pub balance: Balance,
    /// Certificates that you have, and what clients must speak.
    pub tls: TlsSettings,
    /// Certificates that an authority issues. Without this table, `hosts` that have no certificate and are public names
    /// get theirs from Let's Encrypt, whose terms you accept by naming them.
    pub acme: Option<AcmeSettings>,
}

/// `https` of someone who wants none.
const OFF: &str = "off";

/// What happens to the trace context of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TracePolicy {
    /// A valid one goes on; without one a new one starts.
    #[default]
    Accept,
    /// Always a new one.
    Restart,
    /// Passed as it is.
    Off,
}

/// What happens to a request that asks to be taken for one of another method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MethodOverride {
    /// It is answered 400.
    #[default]
    Refuse,
    /// The app's affair.
    Pass,
}

/// Limits on time. Each names what it waits for; none is a wall clock over a whole upload or download.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Timeouts {
    /// A client's whole request head, from its first byte; also a TLS handshake. A slower one is answered 408 and closed.
    pub request_head: HumanDuration,
    /// How long a connection may be idle between requests.
    pub keep_alive: HumanDuration,
    /// Between two pieces of a request's body.
    pub request_body_idle: HumanDuration,
    /// Bytes a second that a request's body must bring on average while we wait for it, after the first ten seconds of
    /// waiting; 0 for no such limit.
    pub request_body_rate: ByteSize,
    /// A new connection to the app.
    pub connect: HumanDuration,
    /// From the end of the request to the app's first byte. Then the client gets a 504 and the app's request is cancelled.
    pub first_byte: HumanDuration,
    /// Between two pieces of the app's answer; `0s` for no limit. Streams of events need one longer than their pauses.
    pub response_idle: HumanDuration,
    /// How long a client may take nothing of an answer that waits for it.
    pub response_write: HumanDuration,
    /// From the head of the request to the last byte of the answer; `0s` for no limit.
    pub total: HumanDuration,
}

/// Limits on numbers and sizes.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Limits {
    /// Client connections in all; `0` takes what the limit on open files allows.
    pub connections: usize,
    /// Connections of one client address; `0` for no such limit. Loopback and `trusted_proxies` have none.
    pub connections_per_address: usize,
    /// Bytes of a request's head. A larger one is answered 431.
    pub head: ByteSize,
    /// Bytes of a request's target (path and query). A longer one is answered 414.
    pub target: ByteSize,
    /// Header lines of a request, and of an answer of the app; at most 256. More than 100 cost time at each request.
    pub headers: usize,
    /// Requests at a time on one HTTP/2 connection.
    pub streams: u32,
}

/// Spreading requests over instances.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Balance {
    /// Failed connections in a row after which an instance gets no requests for a while; `0` never does that.
    pub eject_after: u32,
    /// How long, the first time; it doubles while the failures go on, up to a minute.
    pub eject_for: HumanDuration,
    /// Repeated requests, as a share of all requests: more are not repeated, so that a failing app is not buried.
    pub retry_share: f64,
}

/// What one `[[route]]` may change of `[edge]`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RoutePolicy {
    /// Which requests: a path such as `/api/documents/{id}` or `/static/*`, with a method before it when it matters.
    pub r#match: String,
    /// In place of `edge.timeouts.first_byte`.
    pub first_byte: Option<HumanDuration>,
    /// In place of `edge.timeouts.connect`.
    pub connect: Option<HumanDuration>,
    /// In place of `edge.timeouts.request_body_idle`.
    pub request_body_idle: Option<HumanDuration>,
    /// In place of `edge.timeouts.response_idle`.
    pub response_idle: Option<HumanDuration>,
    /// In place of `edge.timeouts.total`.
    pub total: Option<HumanDuration>,
    /// In place of `edge.errors`.
    pub errors: Option<ErrorPolicy>,
    /// Files of a folder in place of the app: `files = { root = "dist" }`.
    pub files: Option<FilesPolicy>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: String::new(),
            https: String::new(),
            hosts: Vec::new(),
            redirect: true,
            workers: 0,
            errors: ErrorPolicy::Unstructured,
            trusted_proxies: Vec::new(),
            proxy_protocol: false,
            trace: TracePolicy::Accept,
            method_override: MethodOverride::Refuse,
            drain_delay: HumanDuration::seconds(0),
            timeouts: Timeouts::default(),
            limits: Limits::default(),
            balance: Balance::default(),
            tls: TlsSettings::default(),
            acme: None,
        }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            request_head: HumanDuration::seconds(10),
            keep_alive: HumanDuration::seconds(75),
            request_body_idle: HumanDuration::seconds(30),
            request_body_rate: ByteSize(500),
            connect: HumanDuration::seconds(5),
            first_byte: HumanDuration::seconds(60),
            response_idle: HumanDuration::seconds(300),
            response_write: HumanDuration::seconds(60),
            total: HumanDuration::seconds(0),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 0,
            connections_per_address: 4096,
            head: ByteSize(64 * 1024),
            target: ByteSize(16 * 1024),
            headers: 100,
            streams: 128,
        }
    }
}

impl Default for Balance {
    fn default() -> Self {
        Self { eject_after: 5, eject_for: HumanDuration::seconds(5), retry_share: 0.2 }
    }
}

impl Timeouts {
    /// These, with what a route says in place of them.
    #[must_use]
    pub fn for_route(&self, route: &RoutePolicy) -> Self {
        Self {
            first_byte: route.first_byte.unwrap_or(self.first_byte),
            connect: route.connect.unwrap_or(self.connect),
            request_body_idle: route.request_body_idle.unwrap_or(self.request_body_idle),
            response_idle: route.response_idle.unwrap_or(self.response_idle),
            total: route.total.unwrap_or(self.total),
            ..*self
        }
    }
}

impl Section for Settings {
    const KEY: &'static str = "edge";

    fn validate(&self, findings: &mut Findings) {
        self.validate_addresses(findings);
        if self.workers > 1024 {
            findings.add("edge.workers", "SEA_CONFIG_RANGE", "more than 1024 workers", "use 0 for one a core");
        }
        for (index, proxy) in self.trusted_proxies.iter().enumerate() {
            if network(proxy).is_none() {
                let message = format!("`{proxy}` is neither an address nor a network");
                let help = "write for example \"10.0.0.7\" or \"10.0.0.0/8\"";
                findings.add(format!("edge.trusted_proxies.{index}"), "SEA_CONFIG_ADDRESS", message, help);
            }
        }
        if self.https_address().is_some() {
            self.tls.validate("edge.tls", findings);
            if let Some(acme) = &self.acme {
                acme.validate("edge.acme", &self.hosts, findings);
            }
        }
        self.timeouts.validate(findings);
        self.limits.validate(findings);
        if !(0.0..=10.0).contains(&self.balance.retry_share) {
            let help = "0.2 repeats at most one request for five that came";
            findings.add("edge.balance.retry_share", "SEA_CONFIG_RANGE", "not a share between 0 and 10", help);
        }
    }

    fn validate_for(&self, profile: &Profile, findings: &mut Findings) {
        let public = |address: &str| address.parse::<SocketAddr>().is_ok_and(|address| !address.ip().is_loopback());
        if !profile.is_production() {
            return;
        }
        if self.https_address().is_some() && !self.redirect && public(self.plain_address()) {
            let help = "leave `redirect` out, or let `listen` be a loopback address";
            let message = "everyone could use the app in the clear beside HTTPS, which production does not allow";
            findings.add("edge.redirect", "SEA_CONFIG_INSECURE", message, help);
        }
    }
}

impl Settings {
    /// The default address of plain HTTP.
    const LOOPBACK: &str = "127.0.0.1:8080";

    /// Where plain HTTP is served.
    pub fn plain_address(&self) -> &str {
        match (self.listen.as_str(), self.https.as_str()) {
            ("", "") if !self.hosts.is_empty() => "[::]:80",
            ("", _) => Self::LOOPBACK,
            (address, _) => address,
        }
    }

    /// Where HTTPS is served, when it is.
    pub fn https_address(&self) -> Option<&str> {
        match self.https.as_str() {
            OFF => None,
            // An address of this machine alone is no wish to serve everyone.
            "" => (!self.hosts.is_empty() && !is_loopback(&self.listen)).then_some("[::]:443"),
            address => Some(address),
        }
    }

    /// How certificates are obtained for hosts that have none: as `[edge.acme]` says, or from Let's Encrypt for public names.
    pub fn acme(&self) -> Option<AcmeSettings> {
        let public = !self.hosts.is_empty() && self.hosts.iter().all(|host| is_public_name(host));
        self.acme.clone().or_else(|| public.then(AcmeSettings::default))
    }

    /// The networks of `trusted_proxies`; what does not parse was refused by `validate`.
    pub(crate) fn trusted_networks(&self) -> Vec<IpNet> {
        self.trusted_proxies.iter().filter_map(|text| network(text)).collect()
    }

    fn validate_addresses(&self, findings: &mut Findings) {
        let mut address = |key: &str, text: &str| {
            if text.parse::<SocketAddr>().is_err() {
                let message = format!("`{text}` is not an address with a port");
                let help = "write an address with numbers: \"127.0.0.1:8080\" for this machine alone, \"0.0.0.0:8080\" or \
                            \"[::]:8080\" for everyone who reaches it";
                findings.add(format!("edge.{key}"), "SEA_CONFIG_ADDRESS", message, help);
            }
        };
        if !self.listen.is_empty() {
            address("listen", &self.listen);
        }
        if !self.https.is_empty() && self.https != OFF {
            address("https", &self.https);
        }
        for (index, host) in self.hosts.iter().enumerate() {
            if !is_host_name(host) {
                let message = format!("`{host}` is not a host name");
                let help = "write the name alone, for example \"app.example.com\", without scheme, port or path";
                findings.add(format!("edge.hosts.{index}"), "SEA_CONFIG_HOST", message, help);
            }
        }
    }
}

impl RoutePolicy {
    /// Checks what types cannot say; `path` is the place of this route in the config.
    pub fn validate(&self, path: &str, findings: &mut Findings) {
        if let Err(error) = self.r#match.parse::<Pattern>() {
            let help = "write for example \"GET /api/documents/{id}\" or \"/static/*\"";
            findings.add(format!("{path}.match"), "SEA_CONFIG_PATTERN", error.to_string(), help);
        }
        if let Some(files) = &self.files {
            files.validate(&format!("{path}.files"), findings);
        }
    }
}

fn is_loopback(address: &str) -> bool {
    address.parse::<SocketAddr>().is_ok_and(|address| address.ip().is_loopback())
}

fn network(text: &str) -> Option<IpNet> {
    text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

/// Names under which the world could reach us: neither addresses nor what RFC 2606 and 6761 set aside, and no wildcards,
/// which no challenge of ours can prove.
fn is_public_name(host: &str) -> bool {
    const RESERVED: [&str; 8] = ["localhost", "test", "example", "invalid", "local", "internal", "lan", "home.arpa"];
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let reserved = |name: &&str| host == **name || host.ends_with(&format!(".{name}"));
    host.contains('.') && host.parse::<IpAddr>().is_err() && !host.starts_with("*.") && !RESERVED.iter().any(reserved)
}

/// A DNS name or an address; a wildcard label may come first.
fn is_host_name(text: &str) -> bool {
    let name = text.strip_prefix("*.").unwrap_or(text);
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    text.parse::<IpAddr>().is_ok() || (name.len() <= 253 && name.split('.').all(label))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn https_and_its_certificates_follow_from_hosts() {
        let plain = Settings::default();
        assert_eq!((plain.plain_address(), plain.https_address()), ("127.0.0.1:8080", None));
        let named = |host: &str| Settings { hosts: vec![host.into()], ..Settings::default() };
        let public = named("app.example.com");
        assert_eq!((public.plain_address(), public.https_address()), ("[::]:80", Some("[::]:443")));
        assert!(public.acme().is_some());
        for host in ["localhost", "shop.test", "192.0.2.1", "*.example.com", "intranet", "a.home.arpa"] {
            assert!(named(host).acme().is_none(), "{host}");
        }
        let local = Settings { listen: "127.0.0.1:8080".into(), ..named("app.example.com") };
        assert_eq!(local.https_address(), None);
        let behind = Settings { https: "off".into(), ..named("app.example.com") };
        assert_eq!((behind.plain_address(), behind.https_address()), ("127.0.0.1:8080", None));
    }

    #[test]
    fn what_types_cannot_say_is_found() {
        let settings = Settings {
            listen: "8080".into(),
            hosts: vec!["https://a.test".into()],
            trusted_proxies: vec!["10.0.0.0/8".into(), "proxy".into()],
            limits: Limits { headers: 1000, ..Limits::default() },
            ..Settings::default()
        };
        let mut findings = Findings::default();
        settings.validate(&mut findings);
        let paths: Vec<String> = findings.into_list().into_iter().map(|(path, _)| path).collect();
        assert_eq!(paths, ["edge.listen", "edge.hosts.0", "edge.trusted_proxies.1", "edge.limits.headers"]);
    }

    #[test]
    fn production_refuses_to_serve_everyone_in_the_clear() {
        let count = |settings: &Settings, profile: &str| {
            let mut findings = Findings::default();
            settings.validate_for(&Profile::named(profile), &mut findings);
            findings.into_list().len()
        };
        let open = Settings { hosts: vec!["a.example.com".into()], redirect: false, ..Settings::default() };
        assert_eq!((count(&open, "production"), count(&open, "staging")), (1, 0));
        let local = Settings { listen: "127.0.0.1:80".into(), https: "[::]:443".into(), ..open };
        assert_eq!(count(&local, "production"), 0);
    }
}
