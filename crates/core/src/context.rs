//! What the edge knows of a request before any layer has seen it.

use std::{
    fmt,
    net::IpAddr,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use http::HeaderValue;

use crate::{Principal, TraceContext, hexadecimal::hexadecimal};

/// Travels in the request's extensions from the edge to the last layer.
#[derive(Debug, Clone)]
pub struct RequestContext {
    /// The correlation id: answered to the client, sent to the app, written in every line about the request.
    pub id: RequestId,
    /// The client's address: the other end of the connection, or whom a trusted proxy named.
    pub client: Option<IpAddr>,
    /// The same for the app, when the edge has them ready.
    pub client_headers: Option<ClientHeaders>,
    /// The route's pattern, bounded in number and so safe as a metric label.
    pub route: Arc<str>,
    /// When the head of the request was complete.
    pub received: Instant,
    /// `http` or `https`, as the client used it.
    pub scheme: &'static str,
    /// The HTTP version between the client (or the proxy before us) and us: `1.0`, `1.1`, `2`.
    pub version: &'static str,
    /// The host that the client named to a trusted proxy in front of us, where that is not the `Host` that we see.
    pub forwarded_host: Option<HeaderValue>,
    /// The trace that this request belongs to, with our own step in it.
    pub trace: Option<TraceContext>,
    /// Whether the client is a person's browser on its way to a page ([`crate::Problem::wants_html`]).
    pub wants_html: bool,
    /// Who asks. Set once, by the layer that has verified it; empty: anonymous.
    pub principal: OnceLock<Principal>,
}

impl RequestContext {
    /// A request of nobody in particular over plain HTTP/1.1; set what is known.
    pub fn new(id: RequestId) -> Self {
        Self {
            id,
            client: None,
            client_headers: None,
            route: Arc::from("*"),
            received: Instant::now(),
            scheme: "http",
            version: "1.1",
            forwarded_host: None,
            trace: None,
            wants_html: false,
            principal: OnceLock::new(),
        }
    }
}

/// The client as the app is told of it. The same for most requests of a connection, so made once for all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientHeaders {
    /// Its address: `X-Forwarded-For`.
    pub address: HeaderValue,
    /// Address, scheme and host as `Forwarded` (RFC 7239); `None` when the host cannot be written there.
    pub forwarded: Option<HeaderValue>,
}

/// A correlation id: 1 to 128 characters of `A-Z a-z 0-9 . _ -`, so that it is safe in headers, logs and queries.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// Takes an id that a client sent; `None` when it is empty, too long, or has other characters.
    pub fn from_client(value: &HeaderValue) -> Option<Self> {
        let bytes = value.as_bytes();
        let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        ((1..=128).contains(&bytes.len()) && bytes.iter().all(allowed)).then(|| Self(value.clone()))
    }

    /// The id as a header value, without a copy.
    pub fn header(&self) -> HeaderValue {
        self.0.clone()
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        // Both constructors admit ASCII alone, so the fallback never shows.
        std::str::from_utf8(self.0.as_bytes()).unwrap_or_default()
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Makes ids that are unique across cores, restarts and machines: 64 random bits for the source, then a count.
///
/// An id is a name, not a secret: knowing one must not open anything.
#[derive(Debug)]
pub struct RequestIdSource {
    prefix: u64,
    count: AtomicU64,
}

impl RequestIdSource {
    /// A source with its own random prefix; make one per core.
    pub fn new(random: &mut fastrand::Rng) -> Self {
        Self { prefix: random.u64(..), count: AtomicU64::new(random.u64(..) >> 16) }
    }

    /// The next id: 32 lowercase hexadecimal digits, the shape of a W3C trace id.
    pub fn next(&self) -> RequestId {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        let mut text = [0u8; 32];
        text[..16].copy_from_slice(&hexadecimal(self.prefix));
        text[16..].copy_from_slice(&hexadecimal(count));
        // Hexadecimal digits are always a valid header value, so the fallback never shows.
        RequestId(HeaderValue::from_bytes(&text).unwrap_or(HeaderValue::from_static("invalid")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unique_and_shaped_like_a_trace_id() {
        let source = RequestIdSource::new(&mut fastrand::Rng::with_seed(7));
        let ids: std::collections::HashSet<_> = (0..1000).map(|_| source.next().to_string()).collect();
        assert_eq!(ids.len(), 1000);
        assert!(ids.iter().all(|id| id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit())));
    }

    #[test]
    fn a_client_id_that_could_break_a_log_is_refused() {
        let keep = |text: &str| RequestId::from_client(&HeaderValue::from_str(text).unwrap()).is_some();
        assert!(keep("req-1.A_b"));
        assert!(!keep(""));
        assert!(!keep("a b"));
        assert!(!keep("x\" ,"));
        assert!(!keep(&"a".repeat(129)));
    }
}
