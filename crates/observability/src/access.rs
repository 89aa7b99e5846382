//! One line a request.

use std::{cell::RefCell, fmt, io::Write, time::Duration};

use http::{HeaderValue, Method, Uri};
use jiff::Timestamp;
use seaworthy_core::{Clock, PrincipalKind, RequestContext, SystemClock};
use serde::{Serialize, Serializer};

use crate::sink::LogSink;

/// What each of the six digits behind the second is worth, in microseconds.
const DECIMALS: [i64; 6] = [100_000, 10_000, 1_000, 100, 10, 1];

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

/// What is kept between lines.
struct Scratch {
    /// A line is built here and copied to the sink: no allocation a request.
    line: Vec<u8>,
    second: Second,
}

/// The second of the last line as text: the next one is nearly always of the same.
struct Second {
    seconds: i64,
    /// `2023-11-14T22:13:20`; empty beyond the year 9999.
    text: String,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> =
        const { RefCell::new(Scratch { line: Vec::new(), second: Second { seconds: i64::MIN, text: String::new() } }) };
}

impl AccessLog {
    /// Lines of this format into this sink.
    pub fn new(sink: LogSink, format: LineFormat) -> Self {
        Self { sink, format }
    }

    pub(crate) fn write(&self, entry: &Entry<'_>) {
        SCRATCH.with_borrow_mut(|Scratch { line, second }| {
            line.clear();
            match self.format {
                LineFormat::Json => json(line, entry, SystemClock.unix_micros(), second),
                LineFormat::Text => text(line, entry, SystemClock.unix_micros()),
            }
            line.push(b'\n');
            self.sink.push(line);
        });
    }
}

/// A key as it stands in a line, with what is around it.
macro_rules! field {
    ($key:literal) => {
        concat!(",\"", $key, "\":")
    };
}

fn json(line: &mut Vec<u8>, entry: &Entry<'_>, now: i64, second: &mut Second) {
    let context = entry.context;
    let principal = context.principal.get().map(|principal| principal.details());
    let named = |kind| principal.filter(|known| known.kind == kind).map(|known| known.id.as_str());
    line.extend_from_slice(b"{\"time\":");
    second.write_time(line, now);
    let mut object = Object(line);
    object.plain(field!("kind"), "access");
    object.plain(field!("request_id"), context.id.as_str());
    if let Some(trace) = &context.trace {
        object.plain(field!("trace_id"), trace.trace_id());
    }
    match (&context.client_headers, context.client) {
        // Written once for a connection.
        (Some(headers), _) => object.maybe(field!("client"), std::str::from_utf8(headers.address.as_bytes()).ok()),
        (None, Some(client)) => object.shown(field!("client"), format_args!("{}", client.to_canonical())),
        (None, None) => {}
    }
    object.maybe(field!("user"), named(PrincipalKind::User));
    object.maybe(field!("service"), named(PrincipalKind::Service));
    object.maybe(field!("tenant"), principal.and_then(|known| known.tenant.as_deref()));
    object.plain(field!("scheme"), context.scheme);
    object.plain(field!("protocol"), protocol(context.version));
    object.plain(field!("method"), entry.method.as_str()); // a token (RFC 9110, 5.6.2)
    object.text(field!("path"), entry.uri.path());
    object.text(field!("route"), &context.route);
    object.value(field!("status"), &entry.status);
    object.value(field!("bytes"), &entry.bytes);
    object.value(field!("duration_ms"), &milliseconds(entry.duration));
    object.maybe(field!("problem"), entry.problem);
    for (key, is_so) in [(field!("aborted"), entry.aborted), (field!("broken"), entry.broken)] {
        if is_so {
            object.value(key, &true);
        }
    }
    object.maybe(field!("user_agent"), entry.user_agent.and_then(|value| value.to_str().ok()));
    line.push(b'}');
}

fn protocol(version: &str) -> &'static str {
    match version {
        "2" => "HTTP/2",
        "1.0" => "HTTP/1.0",
        _ => "HTTP/1.1",
    }
}

/// Adds fields to an object that has one. A line is a tenth of our work for a small request, and half of that went into
/// looking at keys for what must be escaped.
struct Object<'a>(&'a mut Vec<u8>);

impl Object<'_> {
    /// Its keys come from `field!`.
    fn key(&mut self, key: &'static str) {
        self.0.extend_from_slice(key.as_bytes());
    }

    /// A value that has nothing to escape.
    fn plain(&mut self, key: &'static str, value: &str) {
        self.key(key);
        self.0.push(b'"');
        self.0.extend_from_slice(value.as_bytes());
        self.0.push(b'"');
    }

    fn text(&mut self, key: &'static str, value: &str) {
        // RFC 8259, 7: these must be escaped, and nothing else.
        let escapes = |escapes, byte| escapes | (byte < b' ') | (byte == b'"') | (byte == b'\\');
        // All of it at once, without a branch for each byte.
        if value.bytes().fold(false, escapes) {
            self.value(key, value);
        } else {
            self.plain(key, value);
        }
    }

    fn maybe(&mut self, key: &'static str, value: Option<&str>) {
        if let Some(value) = value {
            self.text(key, value);
        }
    }

    /// What is shown has nothing to escape.
    fn shown(&mut self, key: &'static str, value: fmt::Arguments<'_>) {
        self.key(key);
        // Memory takes everything.
        let _ = write!(self.0, "\"{value}\"");
    }

    fn value(&mut self, key: &'static str, value: &(impl Serialize + ?Sized)) {
        self.key(key);
        // Numbers and strings always serialise into memory.
        let _ = serde_json::to_writer(&mut *self.0, value);
    }
}

impl Second {
    /// RFC 3339 in microseconds.
    fn write_time(&mut self, line: &mut Vec<u8>, micros: i64) {
        let (seconds, rest) = (micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000));
        if seconds != self.seconds {
            let time = Timestamp::from_second(seconds).map(|time| format!("{time:.0}")).unwrap_or_default();
            *self = Self { seconds, text: time.trim_end_matches('Z').to_owned() };
        }
        if self.text.is_empty() {
            // Memory takes everything. Beyond the year 9999 the number itself still tells.
            let _ = write!(line, "{micros}");
            return;
        }
        line.push(b'"');
        line.extend_from_slice(self.text.as_bytes());
        line.push(b'.');
        // Each line has one: formatting machinery would take longer than all its text.
        line.extend(DECIMALS.map(|unit| b'0' + (rest / unit % 10) as u8));
        line.extend_from_slice(b"Z\"");
    }
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

    use seaworthy_core::{Principal, PrincipalDetails, RequestId, TraceContext};

    use super::*;

    fn lines(path: &str) -> (serde_json::Value, String) {
        lines_of(path, &Method::GET, "2", None)
    }

    fn lines_of(
        path: &str,
        method: &Method,
        version: &'static str,
        client_headers: Option<seaworthy_core::ClientHeaders>,
    ) -> (serde_json::Value, String) {
        let context = RequestContext {
            id: RequestId::from_client(&HeaderValue::from_static("r-1")).unwrap(),
            client: Some("192.0.2.7".parse().unwrap()),
            route: Arc::from("/a/*"),
            received: Instant::now(),
            scheme: "https",
            version,
            forwarded_host: None,
            client_headers,
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
            method,
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
        let mut second = Second { seconds: 0, text: String::new() };
        json(&mut as_json, &entry, 1_700_000_000_123_456, &mut second);
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

    #[test]
    fn the_client_is_the_same_however_it_is_known() {
        let (json, _) = lines("/");
        assert_eq!(json["client"], "192.0.2.7");
        for address in ["192.0.2.7", "2001:db8::7"] {
            let told = seaworthy_core::ClientHeaders { address: HeaderValue::from_static(address), forwarded: None };
            let (json, _) = lines_of("/", &Method::GET, "1.0", Some(told));
            assert_eq!((&json["client"], &json["protocol"]), (&address.into(), &"HTTP/1.0".into()));
        }
    }

    #[test]
    fn what_clients_send_cannot_break_a_line() {
        let (json, _) = lines("/a%22,%0a/\u{e9}\"}");
        assert_eq!(json["path"], "/a%22,%0a/\u{e9}\"}");
        // Every character that a method may have; the type admits no other.
        let odd = Method::from_bytes(b"!#$%&'*+-.^_`|~A1").unwrap();
        assert!(Method::from_bytes(b"A\"").is_err() && Method::from_bytes(b"A\\").is_err());
        let (json, _) = lines_of("/", &odd, "1.1", None);
        assert_eq!((&json["method"], &json["protocol"]), (&odd.as_str().into(), &"HTTP/1.1".into()));
    }

    #[test]
    fn times_are_those_of_the_library() {
        let mut second = Second { seconds: i64::MIN, text: String::new() };
        for micros in
            [0, 1, -1, 999_999, 1_000_000, 1_700_000_000_000_001, 1_700_000_000_999_999, 1_700_000_001_000_000]
        {
            let mut line = Vec::new();
            second.write_time(&mut line, micros);
            let expected = format!("\"{:.6}\"", Timestamp::from_microsecond(micros).unwrap());
            assert_eq!(String::from_utf8(line).unwrap(), expected);
        }
        let mut line = Vec::new();
        second.write_time(&mut line, i64::MAX);
        assert_eq!(line, i64::MAX.to_string().as_bytes());
    }
}
