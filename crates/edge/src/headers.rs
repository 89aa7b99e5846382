//! What changes in the headers on the way through: RFC 9110, 7.6 (message forwarding) and the de facto `X-Forwarded-*`.

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request,
    header::{self, CONNECTION, HOST, TE, TRANSFER_ENCODING, UPGRADE, VIA},
};
use http_body::Body as HttpBody;
use seaworthy_core::{Body, ForwardedPrefix, RequestContext, TraceContext};

/// The header that carries the correlation id, both ways.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const FORWARDED: HeaderName = HeaderName::from_static("forwarded");
const TRACE_PARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACE_STATE: HeaderName = HeaderName::from_static("tracestate");
const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
/// Headers that tell the app of a client, usually.
const DESCRIBED: usize = 8;
const VIA_HTTP1: HeaderValue = HeaderValue::from_static("1.1 seaworthy");
const VIA_HTTP10: HeaderValue = HeaderValue::from_static("1.0 seaworthy");
const VIA_HTTP2: HeaderValue = HeaderValue::from_static("2 seaworthy");

/// What the edge itself reads of a request.
#[derive(Debug, Default)]
pub(crate) struct Read<'a> {
    pub host: Option<&'a HeaderValue>,
    pub request_id: Option<&'a HeaderValue>,
    /// Only where there is one: of several nobody knows which to believe.
    pub trace_parent: Option<&'a HeaderValue>,
}

impl<'a> Read<'a> {
    /// One pass over what is there is cheaper than a look-up for each. Of several the first counts.
    pub(crate) fn of(headers: &'a HeaderMap) -> Self {
        let (mut read, mut traces) = (Self::default(), 0);
        for (name, value) in headers {
            match name.as_str().len() {
                4 if *name == HOST => read.host = read.host.or(Some(value)),
                11 if *name == TRACE_PARENT => {
                    traces += 1;
                    read.trace_parent = Some(value).filter(|_| traces == 1);
                }
                12 if *name == REQUEST_ID => read.request_id = read.request_id.or(Some(value)),
                _ => {}
            }
        }
        read
    }
}

/// Removes what belongs to one connection alone, also what `Connection` names (RFC 9110, 7.6.1). Returns the protocol
/// that the sender asked to switch to, when it did.
pub(crate) fn remove_hop_by_hop(headers: &mut HeaderMap) -> Option<HeaderValue> {
    // One pass over the few that are there is cheaper than a look-up for each that might be; most messages have none.
    let there = headers.keys().fold(0, |there, name| there | hop_by_hop(name));
    if there == 0 {
        return None;
    }
    let upgrade = if there & hop::CONNECTION != 0 { take_connection(headers) } else { None };
    if there & hop::TRANSFER_ENCODING != 0 {
        // The chunks say how long the body is, whatever a Content-Length claims (RFC 9112, 6.3).
        headers.remove(header::CONTENT_LENGTH);
        headers.remove(TRANSFER_ENCODING);
    }
    if there & hop::TE != 0 {
        let trailers = headers.get_all(TE).iter().any(|value| names(value, b"trailers"));
        headers.remove(TE);
        if trailers {
            headers.insert(TE, HeaderValue::from_static("trailers"));
        }
    }
    if there & hop::OTHERS != 0 {
        let others = [KEEP_ALIVE, PROXY_CONNECTION, UPGRADE, HTTP2_SETTINGS];
        for name in others.into_iter().chain([header::PROXY_AUTHORIZATION, header::PROXY_AUTHENTICATE]) {
            headers.remove(name);
        }
    }
    upgrade
}

/// Removes `Connection` and what it names. Returns the protocol to switch to, when it names that.
fn take_connection(headers: &mut HeaderMap) -> Option<HeaderValue> {
    let values = headers.get_all(CONNECTION).iter();
    let options = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
    let mut switches = false;
    let mut named = Vec::new();
    for option in options {
        switches |= option.eq_ignore_ascii_case(b"upgrade");
        // Nearly always it is one of these, and they name nothing that is not removed anyhow.
        let plain = [&b"keep-alive"[..], b"close"].iter().any(|plain| option.eq_ignore_ascii_case(plain));
        // A sender may not take away what the message cannot do without.
        if !plain
            && let Ok(name) = HeaderName::from_bytes(option)
            && ![HOST, header::CONTENT_LENGTH].contains(&name)
        {
            named.push(name);
        }
    }
    let upgrade = if switches { headers.get(UPGRADE).cloned() } else { None };
    for name in named {
        headers.remove(name);
    }
    headers.remove(CONNECTION);
    upgrade
}

/// Bits for what was seen of them.
mod hop {
    pub(super) const CONNECTION: u8 = 1;
    pub(super) const TRANSFER_ENCODING: u8 = 2;
    pub(super) const TE: u8 = 4;
    pub(super) const OTHERS: u8 = 8;
}

fn hop_by_hop(name: &HeaderName) -> u8 {
    let is = |known: HeaderName, bit: u8| if *name == known { bit } else { 0 };
    match name.as_str().len() {
        2 => is(TE, hop::TE),
        7 => is(UPGRADE, hop::OTHERS),
        10 => is(CONNECTION, hop::CONNECTION) | is(KEEP_ALIVE, hop::OTHERS),
        14 => is(HTTP2_SETTINGS, hop::OTHERS),
        16 => is(PROXY_CONNECTION, hop::OTHERS),
        17 => is(TRANSFER_ENCODING, hop::TRANSFER_ENCODING),
        18 => is(header::PROXY_AUTHENTICATE, hop::OTHERS),
        19 => is(header::PROXY_AUTHORIZATION, hop::OTHERS),
        _ => 0,
    }
}

/// Whether a header asks for another method than this: apps that heed it would do what no policy was asked about.
pub(crate) fn overrides_method(headers: &HeaderMap, method: &Method) -> bool {
    let asks = |(name, value): (&HeaderName, &HeaderValue)| {
        is_method_override(name.as_str())
            && !value.as_bytes().trim_ascii().eq_ignore_ascii_case(method.as_str().as_bytes())
    };
    headers.iter().any(asks)
}

/// CGI, WSGI and Rack make the same variable of `-` and `_`.
fn is_method_override(name: &str) -> bool {
    // Nearly all names are told by their length.
    let known = match name.len() {
        22 => "x-http-method-override",
        17 => "x-method-override",
        13 => "x-http-method",
        _ => return false,
    };
    let same = |(one, other): (u8, u8)| one == other || (one == b'_' && other == b'-');
    name.bytes().zip(known.bytes()).all(same)
}

/// Tells the app who asked, how, and under which id. What came with the request is removed first; what a trusted proxy
/// said in it is in the context by now. The app gets one address, the client's: frameworks differ in which one of a list
/// they believe.
pub(crate) fn describe_client(headers: &mut HeaderMap, context: &RequestContext) {
    remove_claims(headers);
    // Grows once for all that follows.
    headers.reserve(DESCRIBED);
    if let Some(client) = &context.client_headers {
        headers.insert(FORWARDED_FOR, client.address.clone());
        if let Some(forwarded) = &client.forwarded {
            headers.insert(FORWARDED, forwarded.clone());
        }
    }
    let scheme = if context.scheme == "https" { "https" } else { "http" };
    headers.insert(FORWARDED_PROTO, HeaderValue::from_static(scheme));
    if let Some(host) = context.forwarded_host.as_ref().or_else(|| headers.get(HOST)).cloned() {
        headers.insert(FORWARDED_HOST, host);
    }
    if let Some(trace) = &context.trace {
        // A state belongs to the trace that it came with.
        if headers.keys().any(|name| *name == TRACE_STATE) {
            let goes_on = headers.get(&TRACE_PARENT).is_some_and(|given| is_same_trace(given, trace));
            if !goes_on {
                headers.remove(&TRACE_STATE);
            }
        }
        headers.insert(TRACE_PARENT, trace.header());
    }
    headers.insert(REQUEST_ID, context.id.header());
    if let Some(principal) = context.principal.get() {
        for (name, value) in principal.headers() {
            headers.insert(name.clone(), value.clone());
        }
    }
    let via = match context.version {
        "2" => VIA_HTTP2,
        "1.0" => VIA_HTTP10,
        _ => VIA_HTTP1,
    };
    headers.append(VIA, via);
}

/// Tells the app which part of the path was taken off before it.
pub(crate) fn describe_prefix<B>(request: &mut Request<B>) {
    if let Some(ForwardedPrefix(prefix)) = request.extensions_mut().remove() {
        request.headers_mut().insert(FORWARDED_PREFIX, prefix);
    }
}

/// What may not come behind a body, and what nobody may claim.
pub(crate) fn clean_trailers(trailers: &mut HeaderMap) {
    remove_claims(trailers);
    let early = [
        HOST,
        header::CONTENT_LENGTH,
        header::AUTHORIZATION,
        header::COOKIE,
        header::CONTENT_TYPE,
        header::CONTENT_ENCODING,
        header::CONTENT_RANGE,
        header::EXPECT,
        header::TRAILER,
        CONNECTION,
        TRANSFER_ENCODING,
        TE,
        UPGRADE,
    ];
    for name in early {
        trailers.remove(name);
    }
}

/// A body without a length needs chunks, also where the library expects none by the method.
pub(crate) fn framed(mut request: Request<Body>) -> Request<Body> {
    if !request.body().is_end_stream() && !request.headers().contains_key(header::CONTENT_LENGTH) {
        request.headers_mut().insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    request
}

/// HTTP/2 clients may say a length twice when both are the same (the library has seen to that); HTTP/1 says it once.
pub(crate) fn join_lengths(headers: &mut HeaderMap) {
    if let Some(first) = headers.get(header::CONTENT_LENGTH).cloned() {
        headers.insert(header::CONTENT_LENGTH, first);
    }
}

/// Whether one of the protocols that a client would switch to is HTTP/2 in the clear.
pub(crate) fn names_http2(protocols: &HeaderValue) -> bool {
    let names_http2 = |item: &[u8]| item.trim_ascii().get(..3).is_some_and(|start| start.eq_ignore_ascii_case(b"h2c"));
    protocols.as_bytes().split(|byte| *byte == b',').any(names_http2)
}

fn is_same_trace(given: &HeaderValue, trace: &TraceContext) -> bool {
    given.as_bytes().get(3..35) == Some(trace.trace_id().as_bytes())
}

/// HTTP/2 clients may send each cookie in a line of its own; HTTP/1 has one (RFC 9113, 8.2.3).
pub(crate) fn join_cookies(headers: &mut HeaderMap) {
    let cookies: Vec<&[u8]> = headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if cookies.len() > 1
        && let Ok(joined) = HeaderValue::from_bytes(&cookies.join(&b"; "[..]))
    {
        headers.insert(header::COOKIE, joined);
    }
}

/// Adds ours to a response and removes what belongs to the upstream's connection.
pub(crate) fn finish_response(headers: &mut HeaderMap) {
    remove_hop_by_hop(headers);
    headers.append(VIA, VIA_HTTP1);
}

/// Headers that tell an app who somebody is, under every spelling that frameworks fold into one.
const CLAIM_PREFIXES: &[&str] = &["x-seaworthy-", "x-forwarded-"];
const CLAIM_NAMES: &[&str] = &[
    "forwarded",
    "front-end-https",
    "true-client-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-forwarded",
    "x-host",
    "x-http-host-override",
    "x-original-for",
    "x-original-host",
    "x-original-url",
    "x-real-ip",
    "x-request-id",
    "x-rewrite-url",
    "x-url-scheme",
    // CGI turns it into HTTP_PROXY, which libraries take for their own proxy.
    "proxy",
];
/// Headers that frame a message, in spellings that are none to us and may be to a gateway that folds names.
const FRAMING_NAMES: &[&str] = &["content-length", "transfer-encoding"];

fn remove_claims(headers: &mut HeaderMap) {
    let claims: Vec<HeaderName> = headers.keys().filter(|name| is_claim(name.as_str())).cloned().collect();
    for name in claims {
        headers.remove(name);
    }
}

fn is_claim(name: &str) -> bool {
    let starts = |prefix: &str| {
        name.len() >= prefix.len() && name.bytes().zip(prefix.bytes()).all(|(left, right)| fold(left) == right)
    };
    let is_one_of = |names: &[&str]| names.iter().any(|known| name.len() == known.len() && starts(known));
    // Nearly every header begins with another letter: look no further for those.
    match name.as_bytes().first() {
        Some(b'x' | b'f' | b'p') => CLAIM_PREFIXES.iter().any(|prefix| starts(prefix)) || is_one_of(CLAIM_NAMES),
        Some(b'c' | b't') => (!FRAMING_NAMES.contains(&name) && is_one_of(FRAMING_NAMES)) || is_one_of(CLAIM_NAMES),
        _ => false,
    }
}

fn fold(byte: u8) -> u8 {
    // CGI and its heirs fold whatever is neither letter nor digit.
    if byte.is_ascii_alphanumeric() { byte.to_ascii_lowercase() } else { b'-' }
}

fn names(value: &HeaderValue, wanted: &[u8]) -> bool {
    let first_word = |item: &[u8]| item.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii().to_vec();
    value.as_bytes().split(|byte| *byte == b',').any(|item| first_word(item).eq_ignore_ascii_case(wanted))
}

#[cfg(test)]
mod tests {
    use seaworthy_core::{Principal, PrincipalDetails, PrincipalKind, RequestId};

    use super::*;
    use crate::client::Described;

    fn map(list: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in list {
            headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    fn context() -> RequestContext {
        let id = RequestId::from_client(&HeaderValue::from_static("id-1")).unwrap();
        let host = HeaderValue::from_static("shop.test");
        let client = "::ffff:192.0.2.7".parse().unwrap();
        let described = Described::default().of(client, false, Some(&host));
        RequestContext { client: Some(client), client_headers: Some(described), ..RequestContext::new(id) }
    }

    #[test]
    fn of_several_the_first_counts_and_of_traces_none() {
        let mut headers = HeaderMap::new();
        let value = |text: &'static str| HeaderValue::from_static(text);
        for (name, text) in [("host", "a.test"), ("x-request-id", "r-1"), ("from", "x"), ("traceparent", "t-1")] {
            headers.append(name, value(text));
        }
        let read = Read::of(&headers);
        assert_eq!((read.host, read.request_id), (Some(&value("a.test")), Some(&value("r-1"))));
        assert_eq!(read.trace_parent, Some(&value("t-1")));
        for name in ["host", "x-request-id", "traceparent"] {
            headers.append(name, value("other"));
        }
        let read = Read::of(&headers);
        assert_eq!((read.host, read.request_id), (Some(&value("a.test")), Some(&value("r-1"))));
        assert_eq!(read.trace_parent, None);
        headers.append("traceparent", value("third"));
        assert_eq!(Read::of(&headers).trace_parent, None);
    }

    #[test]
    fn a_header_that_asks_for_another_method_is_known() {
        let asks = |name: &str, value: &'static str| {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            overrides_method(&HeaderMap::from_iter([(name, HeaderValue::from_static(value))]), &Method::POST)
        };
        for name in ["X-HTTP-Method-Override", "x-http_method_override", "X-HTTP-Method", "X-Method-Override"] {
            assert!(asks(name, "DELETE") && asks(name, ""), "{name}");
            assert!(!asks(name, "post"), "{name}");
        }
        assert!(!asks("x-http-methods", "DELETE") && !asks("x-request-id-of-parent", "DELETE"));
    }

    #[test]
    fn removes_what_belongs_to_the_connection_and_what_it_names() {
        let mut headers = map(&[
            ("connection", "keep-alive, X-Secret-Hop"),
            ("connection", "close, host"),
            ("x-secret-hop", "1"),
            ("keep-alive", "timeout=5"),
            ("te", "gzip, trailers;q=0.5"),
            ("trailer", "x-sum"),
            ("transfer-encoding", "chunked"),
            ("content-length", "3"),
            ("http2-settings", "AAMAAABk"),
            ("proxy-connection", "keep-alive"),
            ("host", "a"),
            ("x-kept", "1"),
        ]);
        assert_eq!(remove_hop_by_hop(&mut headers), None);
        let mut left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["host", "te", "trailer", "x-kept"]);
        assert_eq!(headers["te"], "trailers");
    }

    #[test]
    fn reports_an_upgrade() {
        let mut headers = map(&[("connection", "Upgrade"), ("upgrade", "websocket")]);
        assert_eq!(remove_hop_by_hop(&mut headers).unwrap(), "websocket");
        assert!(headers.is_empty());
    }

    #[test]
    fn a_client_cannot_speak_for_itself_under_any_alias() {
        let mut headers = map(&[
            ("host", "shop.test"),
            ("x-forwarded-for", "1.2.3.4"),
            ("x_forwarded_for", "1.2.3.4"),
            ("x.forwarded.host", "evil"),
            ("X-Seaworthy_User", "root"),
            ("x_seaworthy.user", "root"),
            ("forwarded", "for=1.2.3.4"),
            ("x-real-ip", "1.2.3.4"),
            ("x_request_id", "fake"),
            ("x-forward", "kept"),
        ]);
        describe_client(&mut headers, &context());
        assert_eq!(headers["x-forwarded-for"], "192.0.2.7");
        assert_eq!(headers["x-forwarded-host"], "shop.test");
        assert_eq!(headers["x-forwarded-proto"], "http");
        assert_eq!(headers["x-request-id"], "id-1");
        assert_eq!(headers["via"], "1.1 seaworthy");
        assert_eq!(headers["x-forward"], "kept");
        assert_eq!(headers["forwarded"], "for=192.0.2.7;host=\"shop.test\";proto=http");
        assert_eq!(headers.keys().count(), 8);
    }

    #[test]
    fn the_app_is_told_who_it_is_and_only_by_us() {
        let context = context();
        let details = PrincipalDetails {
            kind: PrincipalKind::User,
            id: "u-7".into(),
            tenant: None,
            roles: vec!["editor".into()],
            scopes: Vec::new(),
        };
        context.principal.set(Principal::new(details)).unwrap();
        let mut headers = map(&[
            ("x-seaworthy-user", "root"),
            ("x-seaworthy-user", "root2"),
            ("x-seaworthy-tenant", "other"),
            ("x_seaworthy_roles", "admin"),
            ("x.seaworthy.roles", "admin"),
        ]);
        describe_client(&mut headers, &context);
        assert_eq!(headers.get_all("x-seaworthy-user").iter().collect::<Vec<_>>(), ["u-7"]);
        assert_eq!(headers["x-seaworthy-roles"], "editor");
        assert!(headers.values().all(|value| value != "admin") && !headers.contains_key("x-seaworthy-tenant"));
    }

    /// Every spelling that a framework (CGI, WSGI, PHP) folds into the name that we set ourselves.
    #[test]
    fn no_spelling_of_a_claim_survives() {
        let mut random = fastrand::Rng::with_seed(3);
        let suffixes = ["user", "roles", "tenant-id", "for", "proto", "host", "port", "server", "prefix", "a", ""];
        let names: Vec<String> = CLAIM_PREFIXES
            .iter()
            .flat_map(|prefix| suffixes.iter().map(move |suffix| format!("{prefix}{suffix}")))
            .chain(CLAIM_NAMES.iter().map(|name| (*name).to_owned()))
            .collect();
        for round in 0..20_000 {
            let name = &names[round % names.len()];
            let spell = |letter: char| match (letter, random.u8(..6)) {
                ('-', 0 | 1) => '_',
                ('-', 2) => ['.', '~', '!', '+', '|', '^'][random.usize(..6)],
                (letter, 3) => letter.to_ascii_uppercase(),
                (letter, _) => letter,
            };
            let spelling: String = name.chars().map(spell).collect();
            let mut headers = map(&[(&spelling, "claimed"), ("x-other", "kept"), ("host", "shop.test")]);
            describe_client(&mut headers, &context());
            let survivor = headers.iter().find(|(_, value)| *value == "claimed");
            assert_eq!(survivor, None, "{spelling}");
            assert_eq!(headers["x-other"], "kept");
        }
    }

    #[test]
    fn twins_of_framing_headers_are_removed() {
        let mut headers = map(&[("content_length", "5"), ("transfer.encoding", "chunked"), ("content-length", "3")]);
        describe_client(&mut headers, &context());
        assert!(!headers.contains_key("content_length") && !headers.contains_key("transfer.encoding"));
        assert_eq!(headers["content-length"], "3");
    }

    #[test]
    fn cookies_of_http2_become_one_line() {
        let mut headers = map(&[("cookie", "a=1"), ("cookie", "b=2")]);
        join_cookies(&mut headers);
        assert_eq!(headers.get_all("cookie").iter().collect::<Vec<_>>(), ["a=1; b=2"]);
    }
}
