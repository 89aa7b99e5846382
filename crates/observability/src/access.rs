//! One line a request.

use std::{cell::RefCell, net::IpAddr, time::Duration};

use http::{HeaderValue, Method, Uri};
use jiff::Timestamp;
use seaworthy_core::{Clock, PrincipalKind, RequestContext, SystemClock, TraceContext};
use serde::{Serialize, Serializer};

use crate::sink::LogSink;

/// How a line looks once `auto` is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineFormat {
    /// One JSON object a line.
    Json,
    /// For eyes.
    Text,
}

/// Writes access lines. Clones share the sink.
#[derive(Debug, Clone)]
pub struct AccessLog {
    sink: LogSink,
    format: LineFormat,
}

/// What a line says. The query is left out: it is where tokens end up.
#[derive(Debug)]
pub(crate) struct Entry<'a> {
    pub context: &'a RequestContext,
    pub method: &'a Method,
    pub uri: &'a Uri,
    pub user_agent: Option<&'a HeaderValue>,
    pub status: u16,
    pub bytes: u64,
    pub duration: Duration,
    /// The client left before the answer was complete.
    pub aborted: bool,
    /// The app ended its answer early.
    pub broken: bool,
    /// Code of the problem that we answered, when the answer was ours.
    pub problem: Option<&'static str>,
}

#[derive(Serialize)]
struct Line<'a> {
    #[serde(serialize_with = "timestamp")]
    time: i64,
    kind: &'static str,
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<&'a str>,
    scheme: &'a str,
    #[serde(serialize_with = "protocol")]
    protocol: &'a str,
    method: &'a str,
    path: &'a str,
    route: &'a str,
    status: u16,
    bytes: u64,
    duration_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<&'static str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    aborted: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    broken: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<&'a str>,
}

thread_local! {
    /// A line is built here and copied to the sink: no allocation a request.
    static LINE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl AccessLog {
    /// Lines of this format into this sink.
    pub fn new(sink: LogSink, format: LineFormat) -> Self {
        Self { sink, format }
    }

    pub(crate) fn write(&self, entry: &Entry<'_>) {
        LINE.with_borrow_mut(|line| {
            line.clear();
            match self.format {
                LineFormat::Json => json(line, entry, SystemClock.unix_micros()),
                LineFormat::Text => text(line, entry, SystemClock.unix_micros()),
            }
            line.push(b'\n');
            self.sink.push(line);
        });
    }
}

fn json(line: &mut Vec<u8>, entry: &Entry<'_>, now: i64) {
    let principal = entry.context.principal.get().map(|principal| principal.details());
    let named = |kind| principal.filter(|known| known.kind == kind).map(|known| known.id.as_str());
    let fields = Line {
        time: now,
        kind: "access",
        request_id: entry.context.id.as_str(),
        trace_id: entry.context.trace.as_ref().map(TraceContext::trace_id),
        client: entry.context.client.map(|address| address.to_canonical()),
        user: named(PrincipalKind::User),
        service: named(PrincipalKind::Service),
        tenant: principal.and_then(|known| known.tenant.as_deref()),
        scheme: entry.context.scheme,
        protocol: entry.context.version,
        method: entry.method.as_str(),
        path: entry.uri.path(),
        route: &entry.context.route,
        status: entry.status,
        bytes: entry.bytes,
        duration_ms: milliseconds(entry.duration),
        problem: entry.problem,
        aborted: entry.aborted,
        broken: entry.broken,
        user_agent: entry.user_agent.and_then(|value| value.to_str().ok()),
    };
    // Numbers and strings always serialise into memory.
    let _ = serde_json::to_writer(line, &fields);
}

fn text(line: &mut Vec<u8>, entry: &Entry<'_>, now: i64) {
    let seconds = now.div_euclid(1_000_000).rem_euclid(86_400);
    let aborted = match (entry.aborted, entry.broken) {
        (true, _) => "  client left",
        (_, true) => "  app broke off",
        _ => "",
    };
    let problem = entry.problem.map(|code| format!("  {code}")).unwrap_or_default();
    let text = format!(
        "{:02}:{:02}:{:02}  {}  {:<7} {}  {} B in {} ms{aborted}{problem}",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60,
        entry.status,
        entry.method.as_str(),
        entry.uri.path(),
        entry.bytes,
        milliseconds(entry.duration),
    );
    line.extend_from_slice(text.as_bytes());
}

/// Milliseconds with three decimals.
fn milliseconds(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1000.0
}

/// `HTTP/1.1`, without making a text of it first.
fn protocol<S: Serializer>(version: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("HTTP/{version}"))
}

/// RFC 3339 in microseconds.
pub(crate) fn timestamp<S: Serializer>(micros: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    match Timestamp::from_microsecond(*micros) {
        Ok(time) => serializer.collect_str(&format_args!("{time:.6}")),
        // Beyond the year 9999: the number itself still tells.
        Err(_) => serializer.serialize_i64(*micros),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{Arc, OnceLock},
        time::Instant,
    };

    use seaworthy_core::{Principal, PrincipalDetails, RequestId};

    use super::*;

    fn lines(path: &str) -> (serde_json::Value, String) {
        let context = RequestContext {
            id: RequestId::from_client(&HeaderValue::from_static("r-1")).unwrap(),
            client: Some("192.0.2.7".parse().unwrap()),
            route: Arc::from("/a/*"),
            received: Instant::now(),
            scheme: "https",
            version: "2",
            forwarded_host: None,
            client_headers: None,
            trace: Some(TraceContext::start(0xabc, 1)),
            wants_html: false,
            principal: OnceLock::from(Principal::new(PrincipalDetails {
                kind: PrincipalKind::User,
                id: "u-7".into(),
                tenant: Some("acme".into()),
                roles: Vec::new(),
                scopes: Vec::new(),
            })),
        };
        let uri: Uri = path.parse().unwrap();
        let agent = HeaderValue::from_static("curl/8 \"x\"");
        let entry = Entry {
            context: &context,
            method: &Method::GET,
            uri: &uri,
            user_agent: Some(&agent),
            status: 502,
            bytes: 12,
            duration: Duration::from_micros(1500),
            aborted: false,
            broken: false,
            problem: Some("SEA_TEST"),
        };
        let (mut as_json, mut as_text) = (Vec::new(), Vec::new());
        json(&mut as_json, &entry, 1_700_000_000_123_456);
        text(&mut as_text, &entry, 1_700_000_000_123_456);
        (serde_json::from_slice(&as_json).unwrap(), String::from_utf8(as_text).unwrap())
    }

    #[test]
    fn a_line_has_what_an_operator_searches_for_and_no_query() {
        let (json, text) = lines("/a/b?token=secret");
        assert_eq!(json["time"], "2023-11-14T22:13:20.123456Z");
        assert_eq!((&json["kind"], &json["request_id"]), (&"access".into(), &"r-1".into()));
        assert_eq!((&json["scheme"], &json["protocol"]), (&"https".into(), &"HTTP/2".into()));
        assert_eq!((&json["user"], &json["tenant"]), (&"u-7".into(), &"acme".into()));
        assert_eq!(json["trace_id"], "00000000000000000000000000000abc");
        assert_eq!(json["path"], "/a/b");
        assert_eq!(json["route"], "/a/*");
        assert_eq!(json["status"], 502);
        assert_eq!(json["duration_ms"], 1.5);
        assert_eq!(json["problem"], "SEA_TEST");
        assert_eq!(json["user_agent"], "curl/8 \"x\"");
        assert!(!json.to_string().contains("secret") && !text.contains("secret"));
        assert_eq!(text, "22:13:20  502  GET     /a/b  12 B in 1.5 ms  SEA_TEST");
    }
}
