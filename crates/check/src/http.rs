//! The prober's own HTTP client: one connection a request, everything noted for the transcript, nothing retried.

use std::{
    net::IpAddr,
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use regex::Regex;
use thiserror::Error;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpSocket, TcpStream, ToSocketAddrs, UnixStream, lookup_host},
    time::timeout,
};

use crate::{
    endpoint::Endpoint,
    tls::{self, HandshakeError, Trust},
};

/// Longer bodies are cut in memory; their length is still counted.
const KEPT_BODY: usize = 1 << 20;
/// Who asks: every request of a check can be told from the team's own traffic.
const AGENT: HeaderValue = HeaderValue::from_static(concat!("seaworthy-check/", env!("CARGO_PKG_VERSION")));

/// A request body of the prober.
pub(crate) type ProbeBody = BoxBody<Bytes, std::io::Error>;

/// Sends requests to one address. Clones share the transcript.
#[derive(Debug, Clone)]
pub struct Client {
    address: Endpoint,
    patience: Duration,
    transcript: Transcript,
    trust: Trust,
    reached_at: Option<IpAddr>,
    from: Option<IpAddr>,
}

/// How much of an answer is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    Head,
    Whole,
}

/// A connection of whatever kind.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// What was sent and seen, line by line.
#[derive(Debug, Clone, Default)]
pub struct Transcript(Arc<Mutex<Notes>>);

#[derive(Debug, Default)]
struct Notes {
    lines: Vec<String>,
    unverified: Option<String>,
}

/// An answer, read to its end.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// At most the first MiB of the body.
    pub body: Bytes,
    /// Length of the whole body.
    pub length: u64,
    /// From the first byte sent to the last byte read.
    pub elapsed: Duration,
}

/// No answer, or not to its end.
#[derive(Debug, Error)]
pub enum HttpError {
    /// Nobody listens, or not to us.
    #[error("no connection to {0}: {1}")]
    Connect(Endpoint, std::io::Error),
    /// No TLS, or with a certificate that is not to be trusted.
    #[error("no TLS with {0}: {1}")]
    Tls(Endpoint, String),
    /// The connection ended too early, or did not speak HTTP.
    #[error("{0} {1} broke off: {2}")]
    Broken(Method, String, hyper::Error),
    /// It took longer than the prober waits.
    #[error("{0} {1} had no full answer within {2:?}")]
    Slow(Method, String, Duration),
}

impl Transcript {
    /// Adds a line.
    pub fn note(&self, line: impl Into<String>) {
        self.notes().lines.push(redact(&line.into()));
    }

    /// The lines so far.
    pub fn lines(&self) -> Vec<String> {
        self.notes().lines.clone()
    }

    /// Why what was seen came over a connection whose other end was not verified, if any did.
    pub(crate) fn unverified(&self) -> Option<String> {
        self.notes().unverified.clone()
    }

    fn note_unverified(&self, address: &Endpoint, why: &str) {
        let mut notes = self.notes();
        if notes.unverified.is_none() {
            let text =
                format!("the certificate of {address} is not to be trusted: {why}; used only because it is loopback");
            notes.lines.push(text.clone());
            notes.unverified = Some(text);
        }
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Client {
    /// A client that waits this long for each answer.
    pub fn new(address: impl Into<Endpoint>, transcript: Transcript) -> Self {
        let (trust, patience) = (Trust::default(), Duration::from_secs(15));
        Self { address: address.into(), patience, transcript, trust, reached_at: None, from: None }
    }

    /// The same that trusts these roots.
    #[must_use]
    pub fn trusting(mut self, trust: Trust) -> Self {
        self.trust = trust;
        self
    }

    /// The same that connects to this address, whatever the name of its target means to the resolver.
    #[must_use]
    pub(crate) fn reached_at(mut self, address: Option<IpAddr>) -> Self {
        self.reached_at = address;
        self
    }

    /// The same that comes from this address of this machine.
    #[must_use]
    pub(crate) fn coming_from(mut self, address: Option<IpAddr>) -> Self {
        self.from = address;
        self
    }

    /// The same for another address.
    #[must_use]
    pub(crate) fn at(mut self, address: Endpoint) -> Self {
        self.address = address;
        self
    }

    /// The same with another patience.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// The same that notes nothing: for a load, whose requests are counted and not listed.
    #[must_use]
    pub(crate) fn quiet(mut self) -> Self {
        self.transcript = Transcript::default();
        self
    }

    /// Where it sends.
    pub fn address(&self) -> &Endpoint {
        &self.address
    }

    /// `GET path`.
    pub async fn get(&self, path: &str) -> Result<Answer, HttpError> {
        self.send(self.request(Method::GET, path)).await
    }

    /// A request to be completed by the caller.
    pub(crate) fn request(&self, method: Method, path: &str) -> Request<ProbeBody> {
        let mut request = Request::new(empty());
        *request.method_mut() = method;
        // A path that is no URI is the caller's mistake; the root is always one.
        *request.uri_mut() = path.parse().unwrap_or_else(|_| http::Uri::from_static("/"));
        let host = HeaderValue::from_str(&self.address.authority()).unwrap_or(HeaderValue::from_static("localhost"));
        request.headers_mut().insert(header::HOST, host);
        request.headers_mut().insert(header::USER_AGENT, AGENT);
        request.headers_mut().insert(header::ACCEPT, HeaderValue::from_static("*/*"));
        request
    }

    /// `GET path`, and of its answer the head alone: a stream may never end.
    pub(crate) async fn head_of(&self, path: &str) -> Result<Answer, HttpError> {
        self.converse(self.request(Method::GET, path), Reading::Head).await
    }

    /// Sends one request and reads its answer.
    pub(crate) async fn send(&self, request: Request<ProbeBody>) -> Result<Answer, HttpError> {
        self.converse(request, Reading::Whole).await
    }

    async fn converse(&self, request: Request<ProbeBody>, reading: Reading) -> Result<Answer, HttpError> {
        let (method, path) = (request.method().clone(), request.uri().to_string());
        let started = Instant::now();
        let exchange = async { exchange(self.connect().await?, request, reading).await };
        let result = match timeout(self.patience, exchange).await {
            Ok(result) => result.map(|answer| Answer { elapsed: started.elapsed(), ..answer }),
            Err(_) => Err(HttpError::Slow(method.clone(), path.clone(), self.patience)),
        };
        let took = started.elapsed().as_millis();
        self.transcript.note(match &result {
            Ok(answer) if reading == Reading::Head => {
                format!("{method} {path} → {}, {took} ms", answer.status.as_u16())
            }
            Ok(answer) => format!("{method} {path} → {}, {} bytes, {took} ms", answer.status.as_u16(), answer.length),
            Err(error) => format!("{method} {path} → {error}, {took} ms"),
        });
        result
    }

    /// The transcript that this client writes to.
    pub fn transcript(&self) -> &Transcript {
        &self.transcript
    }

    /// A new connection. A certificate that is not to be trusted is an error, except on loopback: nobody stands in between
    /// there, and the transcript says so.
    pub(crate) async fn connect(&self) -> Result<Box<dyn Stream>, HttpError> {
        let refused = |error| HttpError::Connect(self.address.clone(), error);
        let (host, port, encrypted) = match &self.address {
            Endpoint::Unix(socket) => return Ok(Box::new(UnixStream::connect(socket).await.map_err(refused)?)),
            Endpoint::Http { host, port } => (host, *port, false),
            Endpoint::Https { host, port } => (host, *port, true),
        };
        let stream = match (self.reached_at, self.from) {
            (Some(address), None) => TcpStream::connect((address, port)).await,
            (None, None) => TcpStream::connect((host.as_str(), port)).await,
            (Some(address), Some(from)) => connect_from(from, (address, port)).await,
            (None, Some(from)) => connect_from(from, (host.as_str(), port)).await,
        };
        let stream = stream.map_err(refused)?;
        if !encrypted {
            return Ok(Box::new(stream));
        }
        let loopback = stream.peer_addr().is_ok_and(|peer| peer.ip().is_loopback());
        match tls::handshake(stream, host, &self.trust, loopback).await {
            Ok((stream, shown)) => {
                if let Some(why) = shown.distrust {
                    self.transcript.note_unverified(&self.address, &why);
                }
                Ok(Box::new(stream))
            }
            Err(HandshakeError::Untrusted(why)) => {
                Err(HttpError::Tls(self.address.clone(), format!("its certificate is not to be trusted: {why}")))
            }
            Err(HandshakeError::Failed(why)) => Err(HttpError::Tls(self.address.clone(), why)),
        }
    }
}

impl Answer {
    /// A header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The body as text, whatever its encoding.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON, when it is.
    pub fn json(&self) -> Option<serde_json::Value> {
        serde_json::from_slice(&self.body).ok()
    }
}

/// A text without the secrets that addresses, command lines, JSON and headers carry, nor keys of well-known shapes.
pub(crate) fn redact(text: &str) -> String {
    static SECRETS: LazyLock<Regex> = LazyLock::new(|| {
        #[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
        Regex::new(concat!(
            r"(?i)(://[^\s:/@]*:)[^\s/@]+(@)",
            r#"|(\b[a-z_-]*(?:key|token|secret|passw(?:or)?d|passwd|signature|credential)s?(?:=|["']\s*:\s*["']))[^&\s"',}]+"#,
            r"|(\b(?-i:[A-Z_]*(?:KEY|TOKEN|SECRET|PASSWORD|PASSWD))\s*:\s*)\S+",
            r"|(\b(?:bearer|basic)\s+)[a-z0-9._~+/=-]{8,}",
            r"|()\b(?:AKIA[0-9A-Z]{16}|gh[pousr]_[0-9A-Za-z]{20,}|sk[-_][0-9a-z_-]{16,}|xox[abprs]-[0-9a-z-]{10,})",
        ))
        .expect("the pattern is valid")
    });
    SECRETS.replace_all(text, "${1}${3}${4}${5}${6}[secret]${2}").into_owned()
}

/// A body of no bytes.
pub(crate) fn empty() -> ProbeBody {
    full("")
}

/// A body that is already in memory.
pub(crate) fn full(bytes: impl Into<Bytes>) -> ProbeBody {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed()
}

async fn connect_from(from: IpAddr, to: impl ToSocketAddrs) -> std::io::Result<TcpStream> {
    let found = lookup_host(to).await?.find(|address| address.is_ipv4() == from.is_ipv4());
    let address = found.ok_or_else(|| std::io::Error::from(std::io::ErrorKind::AddrNotAvailable))?;
    let socket = if from.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.bind((from, 0).into())?;
    socket.connect(address).await
}

async fn exchange(stream: Box<dyn Stream>, request: Request<ProbeBody>, reading: Reading) -> Result<Answer, HttpError> {
    let (method, path) = (request.method().clone(), request.uri().to_string());
    let broken = |error| HttpError::Broken(method.clone(), path.clone(), error);
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let asking = async {
        let response = sender.send_request(request).await?;
        let (parts, mut incoming) = response.into_parts();
        let (mut body, mut length) = (BytesMut::new(), 0_u64);
        while reading == Reading::Whole
            && let Some(frame) = incoming.frame().await
        {
            if let Some(data) = frame?.data_ref() {
                length += data.len() as u64;
                let room = KEPT_BODY - body.len();
                body.extend_from_slice(&data[..data.len().min(room)]);
            }
        }
        Ok(Answer {
            status: parts.status,
            headers: parts.headers,
            body: body.freeze(),
            length,
            elapsed: Duration::ZERO,
        })
    };
    let mut connection = std::pin::pin!(connection);
    let mut asking = std::pin::pin!(asking);
    tokio::select! {
        biased;
        answer = asking.as_mut() => answer.map_err(broken),
        // The connection has ended; what it delivered before is still in the channel.
        _ = connection.as_mut() => asking.await.map_err(broken),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_shape_a_secret_has_it_is_not_kept() {
        let said = r#"{"password": "hunter2hunter2", "Authorization": "Bearer abcdefSECRET123456"} AKIAIOSFODNN7EXAMPLE
            sk_live_4eC39HqLyjWDarjtT1zdp7dc DB_PASSWORD: pa55w0rdXYZ postgres://ann:hunter3@host/db?api_key=hunter4"#;
        let kept = redact(said);
        for secret in ["hunter", "abcdefSECRET", "AKIAIOSF", "4eC39", "pa55w0rd"] {
            assert!(!kept.contains(secret), "{kept}");
        }
        assert!(kept.contains("postgres://ann:[secret]@host/db"), "{kept}");
        let harmless = "GET /keys → 200; 3 tokens: ok; a planted key: found";
        assert_eq!(redact(harmless), harmless);
    }

    #[test]
    fn what_is_noted_holds_no_secret() {
        let shown = redact("GET /a?api_key=hunter2&page=2 via postgres://app:hunter2@db/x --token=hunter2");
        assert_eq!(shown, "GET /a?api_key=[secret]&page=2 via postgres://app:[secret]@db/x --token=[secret]");
    }
}
