//! What changes in the headers on the way through: RFC 9110, 7.6 (message forwarding) and the de facto `X-Forwarded-*`.

use std::net::IpAddr;

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{self, CONNECTION, HOST, TE, TRANSFER_ENCODING, UPGRADE, VIA},
};
use seaworthy_core::RequestContext;

/// The header that carries the correlation id, both ways.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const OUR_VIA: HeaderValue = HeaderValue::from_static("1.1 seaworthy");

/// Removes what belongs to one connection alone, also what `Connection` names (RFC 9110, 7.6.1). Returns the protocol
/// that the sender asked to switch to, when it did.
pub(crate) fn remove_hop_by_hop(headers: &mut HeaderMap) -> Option<HeaderValue> {
    let mut upgrade = None;
    if headers.contains_key(CONNECTION) {
        let values: Vec<HeaderValue> = headers.get_all(CONNECTION).iter().cloned().collect();
        for name in values.iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b',')) {
            let name = name.trim_ascii();
            if name.eq_ignore_ascii_case(b"upgrade") {
                upgrade = headers.get(UPGRADE).cloned();
            }
            // A sender may not take away what the message cannot do without.
            if let Ok(name) = HeaderName::from_bytes(name)
                && ![HOST, header::CONTENT_LENGTH].contains(&name)
            {
                headers.remove(name);
            }
        }
        headers.remove(CONNECTION);
    }
    if headers.contains_key(TRANSFER_ENCODING) {
        // The chunks say how long the body is, whatever a Content-Length claims (RFC 9112, 6.3).
        headers.remove(header::CONTENT_LENGTH);
    }
    for name in [KEEP_ALIVE, PROXY_CONNECTION, TRANSFER_ENCODING, UPGRADE, HTTP2_SETTINGS] {
        headers.remove(name);
    }
    if headers.contains_key(TE) {
        let trailers = headers.get_all(TE).iter().any(|value| names(value, b"trailers"));
        headers.remove(TE);
        if trailers {
            headers.insert(TE, HeaderValue::from_static("trailers"));
        }
    }
    headers.remove(header::PROXY_AUTHORIZATION);
    headers.remove(header::PROXY_AUTHENTICATE);
    upgrade
}

/// Tells the app who asked, how, and under which id. What the client claims about itself is removed first: nobody is
/// trusted to forward for others yet.
pub(crate) fn describe_client(headers: &mut HeaderMap, context: &RequestContext) {
    remove_claims(headers);
    if let Some(value) = context.client.and_then(address_value) {
        headers.insert(FORWARDED_FOR, value);
    }
    let scheme = if context.scheme == "https" { "https" } else { "http" };
    headers.insert(FORWARDED_PROTO, HeaderValue::from_static(scheme));
    if let Some(host) = headers.get(HOST).cloned() {
        headers.insert(FORWARDED_HOST, host);
    }
    headers.insert(REQUEST_ID, context.id.header());
    headers.append(VIA, OUR_VIA);
}

/// Adds ours to a response and removes what belongs to the upstream's connection.
pub(crate) fn finish_response(headers: &mut HeaderMap) {
    remove_hop_by_hop(headers);
    headers.append(VIA, OUR_VIA);
}

/// Headers that tell an app who somebody is, under every spelling that frameworks fold into one: `_`, `-`, `.`, case.
const CLAIM_PREFIXES: &[&str] = &["x-seaworthy-", "x-forwarded-"];
const CLAIM_NAMES: &[&str] = &["forwarded", "x-real-ip", "x-request-id"];

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
    // Nearly every header begins with another letter: look no further for those.
    matches!(name.as_bytes().first(), Some(b'x' | b'f'))
        && (CLAIM_PREFIXES.iter().any(|prefix| starts(prefix))
            || CLAIM_NAMES.iter().any(|known| name.len() == known.len() && starts(known)))
}

fn fold(byte: u8) -> u8 {
    match byte {
        b'_' | b'.' => b'-',
        other => other.to_ascii_lowercase(),
    }
}

fn address_value(address: IpAddr) -> Option<HeaderValue> {
    HeaderValue::from_str(&address.to_canonical().to_string()).ok()
}

fn names(value: &HeaderValue, wanted: &[u8]) -> bool {
    let first_word = |item: &[u8]| item.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii().to_vec();
    value.as_bytes().split(|byte| *byte == b',').any(|item| first_word(item).eq_ignore_ascii_case(wanted))
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Instant};

    use seaworthy_core::RequestId;

    use super::*;

    fn map(list: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in list {
            headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    fn context() -> RequestContext {
        RequestContext {
            id: RequestId::from_client(&HeaderValue::from_static("id-1")).unwrap(),
            client: Some("::ffff:192.0.2.7".parse().unwrap()),
            route: Arc::from("*"),
            received: Instant::now(),
            scheme: "http",
            wants_html: false,
        }
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
        assert_eq!(headers.keys().count(), 7);
    }
}
