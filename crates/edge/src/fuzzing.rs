//! What the fuzz targets call: everything here that reads a client's bytes. No interface for anyone else.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderValue, Request};

pub use crate::files::fuzzing::{byte_ranges, content_codings, entity_tags, file_path, is_hashed};
use crate::{
    client::{self, Described},
    connection::{
        HeadLimits, Origin,
        frames::FrameMeter,
        guard::{Guard, Phase},
    },
    policy::Policy,
    settings::Settings,
    target,
};

/// Reads along with an HTTP/1 client.
#[derive(Debug)]
pub struct Http1Guard(Guard);

impl Http1Guard {
    /// The most bytes of a head, bytes of its target, and header lines.
    pub fn new(bytes: usize, target: usize, headers: usize) -> Self {
        Self(Guard::new(HeadLimits { bytes, target, headers }))
    }

    /// How many of these bytes may pass; the others must be given again.
    pub fn advance(&mut self, bytes: &[u8]) -> usize {
        self.0.advance(bytes)
    }

    /// Complete heads so far.
    pub fn heads(&self) -> u64 {
        self.0.heads()
    }

    /// Whether a message has just ended, or none has begun.
    pub fn is_between_messages(&self) -> bool {
        self.0.phase() == Phase::Boundary
    }

    /// Whether a request to switch protocols waits for its answer.
    pub fn is_undecided(&self) -> bool {
        self.0.phase() == Phase::Undecided
    }

    /// The answer to such a request.
    pub fn decide(&mut self, switched: bool) {
        self.0.decide(switched);
    }

    /// Why nothing passes any more.
    pub fn violation(&self) -> Option<String> {
        self.0.violation().map(|violation| format!("{violation:?}"))
    }

    /// Where it is, to compare it with another.
    pub fn phase(&self) -> String {
        format!("{:?}", self.0.phase())
    }
}

/// Counts an HTTP/2 client's frames.
#[derive(Debug, Default)]
pub struct Http2Meter(FrameMeter);

impl Http2Meter {
    /// False when the client has used up its credit.
    pub fn advance(&mut self, bytes: &[u8]) -> bool {
        self.0.advance(bytes)
    }
}

/// Address, security and host of the client that a peer of ours speaks for.
pub fn client(peer: SocketAddr, headers: &HeaderMap, trusted: &str) -> (IpAddr, bool, Option<HeaderValue>) {
    let settings = Settings { trusted_proxies: vec![trusted.to_owned()], ..Settings::default() };
    let origin = Origin { peer, client: peer, secure: false, described: Described::default() };
    let client = client::identify(&origin, headers, &Policy::new(&settings, None));
    (client.address, client.secure, client.host)
}

/// The `Forwarded` that tells the app of such a client.
pub fn forwarded(address: IpAddr, secure: bool, host: Option<&HeaderValue>) -> Option<HeaderValue> {
    Described::default().of(address, secure, host).forwarded
}

/// Whether the request is one that we serve; then it has one host, and a path.
pub fn normalise(request: &mut Request<()>) -> bool {
    target::normalise(request).is_ok()
}

/// A request that [`normalise`] took, as it is sent over HTTP/2, and as an app behind it reads it.
pub fn over_http2(request: Request<()>) -> Option<Request<()>> {
    target::for_http2(request).map(target::for_http1)
}

/// The host that the request names, without its port.
pub fn host_name(request: &Request<()>) -> Option<&str> {
    target::host_name(request)
}
