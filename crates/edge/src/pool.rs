//! Connections to the app, kept open between requests. One pool per core: a connection never changes cores.

use std::{
    io,
    ops::RangeInclusive,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use hyper::client::conn::{http1, http2};
use hyper_util::rt::TokioIo;
use seaworthy_core::{Body, Shutdown, UpstreamAddress};
use thiserror::Error;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    time::timeout,
};

use crate::{
    connection::PARSED_IN_PLACE,
    gathered::Gathered,
    progress::Timer,
    tasks::TaskExecutor,
    upstream::{Endpoint, Load, NoEndpoint, Upstream},
};

/// Idle connections kept per core; more are closed.
const MAX_IDLE: usize = 256;
/// Bytes of one answer over HTTP/2 that the app may send ahead, and answers that one connection is sized for.
const STREAM_WINDOW: u32 = 128 * 1024;
const SHARED_STREAMS: u32 = 256;
/// How long one is kept without a request. Each holds some 20 KiB here and a worker's attention in the app.
const KEEP: Duration = Duration::from_secs(2);
/// How long a connection must have been idle for a request that can be sent only once. An app that closes after its answer
/// has done so by then, and servers that close idle connections do it after 2 s (gunicorn), 5 s (uvicorn, Node) or later.
const SETTLED: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_millis(1500);

/// The connections of one core to the instances of one upstream.
#[derive(Debug)]
pub struct Pool {
    pub(crate) upstream: Arc<Upstream>,
    idle: Mutex<Vec<Idle>>,
    /// One connection an instance that speaks HTTP/2: requests share it.
    shared: Mutex<Vec<(Arc<Endpoint>, http2::SendRequest<Body>)>>,
    tasks: Shutdown,
}

/// The way into a connection.
#[derive(Debug)]
pub(crate) enum Sender {
    /// Carries one request at a time.
    Http1(http1::SendRequest<Body>),
    /// Carries many.
    Http2(http2::SendRequest<Body>),
}

/// Why no connection could be had.
#[derive(Debug, Error)]
pub(crate) enum ConnectError {
    /// No instance may receive requests now.
    #[error("the app is not ready")]
    Closed,
    /// Every instance has failed lately.
    #[error("every instance of the app has failed; the next trial is due in {0:?}")]
    Ejected(Duration),
    /// The system's reason.
    #[error("cannot connect to {0}: {1}")]
    Io(UpstreamAddress, io::Error),
    /// Slower than `connect`.
    #[error("connecting to {0} took longer than {1:?}")]
    Slow(UpstreamAddress, Duration),
    /// The HTTP machinery refused.
    #[error("cannot speak HTTP to {0}: {1}")]
    Http(UpstreamAddress, hyper::Error),
}

impl From<NoEndpoint> for ConnectError {
    fn from(reason: NoEndpoint) -> Self {
        match reason {
            NoEndpoint::Empty => Self::Closed,
            NoEndpoint::Ejected(left) => Self::Ejected(left),
        }
    }
}

/// A connection that may carry one request now.
#[derive(Debug)]
pub(crate) struct Connection {
    pub sender: Sender,
    /// The instance at its other end, with this request counted there.
    pub load: Load,
    /// True when it has carried a request before, so that the app may have closed it a moment ago.
    pub reused: bool,
    /// For whoever waits for an answer.
    pub timer: Timer,
}

#[derive(Debug)]
struct Idle {
    sender: http1::SendRequest<Body>,
    endpoint: Arc<Endpoint>,
    /// When it was last used.
    since: Instant,
    timer: Timer,
}

impl Pool {
    /// An empty pool; its connections' tasks are counted in `tasks`.
    pub fn new(upstream: Arc<Upstream>, tasks: Shutdown) -> Arc<Self> {
        Arc::new(Self { upstream, idle: Mutex::default(), shared: Mutex::default(), tasks })
    }

    /// An idle connection to this instance, the most recently used first. For a request that can be sent only once
    /// (`repeatable` is false) only a settled one will do: the app may be closing another at this moment.
    pub(crate) fn kept(&self, load: Load, repeatable: bool) -> Result<Connection, Load> {
        let endpoint = load.endpoint();
        let taken = match endpoint.address.is_http2() {
            true => self.join_shared(endpoint).map(|sender| (Sender::Http2(sender), None)),
            false => self.take_idle(endpoint, repeatable).map(|idle| (Sender::Http1(idle.sender), idle.timer)),
        };
        match taken {
            Some((sender, timer)) => Ok(Connection { sender, load, reused: true, timer }),
            None => Err(load),
        }
    }

    /// A new connection to this instance.
    pub(crate) async fn connect(&self, load: Load, patience: Duration) -> Result<Connection, (ConnectError, Load)> {
        let address = &load.endpoint().address;
        let opening = async {
            match address {
                UpstreamAddress::Tcp { host, port } | UpstreamAddress::H2c { host, port } => {
                    let stream = TcpStream::connect((host.as_str(), *port)).await;
                    let stream = stream.map_err(|error| ConnectError::Io(address.clone(), error))?;
                    // Without it a small request may wait for the acknowledgement of the one before.
                    let _ = stream.set_nodelay(true);
                    if address.is_http2() {
                        return self.share(stream, load.endpoint()).await.map(Sender::Http2);
                    }
                    self.handshake(stream, address).await.map(Sender::Http1)
                }
                UpstreamAddress::Unix(path) => {
                    let stream = UnixStream::connect(path).await;
                    let stream = stream.map_err(|error| ConnectError::Io(address.clone(), error))?;
                    self.handshake(stream, address).await.map(Sender::Http1)
                }
            }
        };
        let opened = timeout(patience, opening).await;
        match opened.unwrap_or_else(|_| Err(ConnectError::Slow(address.clone(), patience))) {
            Ok(sender) => Ok(Connection { sender, load, reused: false, timer: None }),
            Err(error) => Err((error, load)),
        }
    }

    /// Closes what was idle for too long, or leads to an instance that is gone. To be called about once a second.
    pub(crate) fn trim(&self) {
        let mut idle = self.lock();
        idle.retain(|entry| entry.since.elapsed() < KEEP && !entry.sender.is_closed() && entry.endpoint.is_open());
        idle.shrink_to(16);
        drop(idle);
        self.shared().retain(|(endpoint, sender)| !sender.is_closed() && endpoint.is_open());
    }

    fn join_shared(&self, endpoint: &Arc<Endpoint>) -> Option<http2::SendRequest<Body>> {
        let shared = self.shared();
        let known = shared.iter().find(|(known, sender)| Arc::ptr_eq(known, endpoint) && !sender.is_closed());
        known.map(|(_, sender)| sender.clone())
    }

    fn take_idle(&self, endpoint: &Arc<Endpoint>, repeatable: bool) -> Option<Idle> {
        let mut idle = self.lock();
        if repeatable {
            // The last used is the warmest, and nearly always usable.
            loop {
                let position = idle.iter().rposition(|entry| Arc::ptr_eq(&entry.endpoint, endpoint))?;
                let entry = idle.remove(position);
                if entry.sender.is_ready() && !entry.sender.is_closed() {
                    return Some(entry);
                }
            }
        }
        idle.retain(|entry| !entry.sender.is_closed() && entry.endpoint.is_open());
        let settled = |entry: &Idle| {
            Arc::ptr_eq(&entry.endpoint, endpoint)
                && SETTLED.contains(&entry.since.elapsed())
                && entry.sender.is_ready()
        };
        let position = idle.iter().position(settled)?;
        Some(idle.remove(position))
    }

    /// Takes back a connection whose answer has ended; one of HTTP/2 was never away.
    pub(crate) fn give_back(&self, Connection { sender, load, timer, .. }: Connection) {
        let Sender::Http1(sender) = sender else { return };
        let endpoint = load.endpoint();
        let mut idle = self.lock();
        if !sender.is_closed() && idle.len() < MAX_IDLE && endpoint.is_open() {
            idle.push(Idle { sender, endpoint: endpoint.clone(), since: Instant::now(), timer });
        }
    }

    /// HTTP/2 with prior knowledge (RFC 9113, 3.3), for every request to this instance from this core.
    async fn share(
        &self,
        stream: TcpStream,
        endpoint: &Arc<Endpoint>,
    ) -> Result<http2::SendRequest<Body>, ConnectError> {
        let handshake = http2::Builder::new(TaskExecutor(self.tasks.clone()))
            // Answers that nobody takes fill their own windows and never that of the connection, so that the others go on.
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(STREAM_WINDOW * SHARED_STREAMS)
            .handshake::<_, Body>(TokioIo::new(stream))
            .await;
        let (sender, connection) = handshake.map_err(|error| ConnectError::Http(endpoint.address.clone(), error))?;
        self.tasks.spawn(async move {
            // Its error reaches the requests that it interrupts.
            let _ = connection.await;
        });
        self.shared().push((endpoint.clone(), sender.clone()));
        Ok(sender)
    }

    async fn handshake<S>(&self, stream: S, address: &UpstreamAddress) -> Result<http1::SendRequest<Body>, ConnectError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let mut builder = http1::Builder::new();
        let headers = self.upstream.allowed_headers();
        if headers > PARSED_IN_PLACE {
            builder.max_headers(headers);
        }
        let handshake = builder.handshake::<_, Body>(TokioIo::new(Gathered(stream))).await;
        let (sender, connection) = handshake.map_err(|error| ConnectError::Http(address.clone(), error))?;
        self.tasks.spawn(async move {
            // Its error reaches the request that it interrupts; an idle connection that ends has nobody to tell.
            let _ = connection.with_upgrades().await;
        });
        Ok(sender)
    }

    fn shared(&self) -> MutexGuard<'_, Vec<(Arc<Endpoint>, http2::SendRequest<Body>)>> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Idle>> {
        // Whatever a panicking holder left is a list of connections all the same.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
