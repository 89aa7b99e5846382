//! Connections to the app, kept open between requests. One pool per core: a connection never changes cores.

use std::{
    io,
    ops::RangeInclusive,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::{
    body::Incoming,
    client::conn::http1::{Builder, SendRequest},
};
use hyper_util::rt::TokioIo;
use seaworthy_core::{Body, BoxError, Shutdown, UpstreamAddress};
use thiserror::Error;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    time::timeout,
};

use crate::upstream::Upstream;

/// Idle connections kept per core; more are closed.
const MAX_IDLE: usize = 512;
/// How long a connection must have been idle for a request that can be sent only once. An app that closes after its answer
/// has done so by then, and servers that close idle connections do it after 2 s (gunicorn), 5 s (uvicorn, Node) or later.
const SETTLED: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_millis(1500);

/// The connections of one core to one upstream.
#[derive(Debug)]
pub struct Pool {
    upstream: Arc<Upstream>,
    idle: Mutex<Vec<Idle>>,
    connect_timeout: Duration,
    tasks: Shutdown,
}

/// Why no connection could be had.
#[derive(Debug, Error)]
pub(crate) enum ConnectError {
    /// The app may not receive requests now.
    #[error("the app is not ready")]
    Closed,
    /// The system's reason.
    #[error("cannot connect to {0}: {1}")]
    Io(Arc<UpstreamAddress>, io::Error),
    /// Slower than `connect`.
    #[error("connecting to {0} took longer than {1:?}")]
    Slow(Arc<UpstreamAddress>, Duration),
    /// The HTTP machinery refused.
    #[error("cannot speak HTTP to {0}: {1}")]
    Http(Arc<UpstreamAddress>, hyper::Error),
}

/// A connection that may carry one request now.
#[derive(Debug)]
pub(crate) struct Connection {
    pub sender: SendRequest<Body>,
    pub address: Arc<UpstreamAddress>,
    /// True when it has carried a request before, so that the app may have closed it a moment ago.
    pub reused: bool,
}

#[derive(Debug)]
struct Idle {
    sender: SendRequest<Body>,
    address: Arc<UpstreamAddress>,
    /// When it was last used.
    since: Instant,
}

impl Pool {
    /// An empty pool; its connections' tasks are counted in `tasks`.
    pub fn new(upstream: Arc<Upstream>, connect_timeout: Duration, tasks: Shutdown) -> Arc<Self> {
        Arc::new(Self { upstream, idle: Mutex::default(), connect_timeout, tasks })
    }

    /// An idle connection, the most recently used first, or a new one. For a request that can be sent only once
    /// (`repeatable` is false) only a settled one will do: the app may be closing another at this moment.
    pub(crate) async fn connection(&self, repeatable: bool) -> Result<Connection, ConnectError> {
        let address = self.upstream.address().ok_or(ConnectError::Closed)?;
        match self.take_idle(&address, repeatable) {
            Some(connection) => Ok(connection),
            None => self.connect(address).await,
        }
    }

    /// A new connection, for a request that an old one could not carry.
    pub(crate) async fn fresh(&self) -> Result<Connection, ConnectError> {
        let address = self.upstream.address().ok_or(ConnectError::Closed)?;
        self.connect(address).await
    }

    fn take_idle(&self, address: &Arc<UpstreamAddress>, repeatable: bool) -> Option<Connection> {
        let mut idle = self.lock();
        let usable = |entry: &Idle| !entry.sender.is_closed() && *entry.address == **address;
        let entry = if repeatable {
            // The last used is the warmest, nearly always usable, and nothing else is looked at.
            std::iter::from_fn(|| idle.pop()).find(|entry| usable(entry) && entry.sender.is_ready())?
        } else {
            idle.retain(usable);
            let settled = |entry: &Idle| SETTLED.contains(&entry.since.elapsed()) && entry.sender.is_ready();
            let position = idle.iter().position(settled)?;
            idle.remove(position)
        };
        Some(Connection { sender: entry.sender, address: entry.address, reused: true })
    }

    fn give_back(&self, sender: SendRequest<Body>, address: Arc<UpstreamAddress>) {
        let current = self.upstream.address();
        let mut idle = self.lock();
        if !sender.is_closed() && idle.len() < MAX_IDLE && current.is_some_and(|current| *current == *address) {
            idle.push(Idle { sender, address, since: Instant::now() });
        }
    }

    async fn connect(&self, address: Arc<UpstreamAddress>) -> Result<Connection, ConnectError> {
        let opening = async {
            match &*address {
                UpstreamAddress::Tcp { host, port } | UpstreamAddress::H2c { host, port } => {
                    let stream = TcpStream::connect((host.as_str(), *port)).await;
                    let stream = stream.map_err(|error| ConnectError::Io(address.clone(), error))?;
                    // Without it a small request may wait for the acknowledgement of the one before.
                    let _ = stream.set_nodelay(true);
                    self.handshake(stream, &address).await
                }
                UpstreamAddress::Unix(path) => {
                    let stream = UnixStream::connect(path).await;
                    let stream = stream.map_err(|error| ConnectError::Io(address.clone(), error))?;
                    self.handshake(stream, &address).await
                }
            }
        };
        let slow = |_| ConnectError::Slow(address.clone(), self.connect_timeout);
        let sender = timeout(self.connect_timeout, opening).await.map_err(slow)??;
        Ok(Connection { sender, address, reused: false })
    }

    async fn handshake<S>(&self, stream: S, address: &Arc<UpstreamAddress>) -> Result<SendRequest<Body>, ConnectError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let handshake = Builder::new().preserve_header_case(false).handshake::<_, Body>(TokioIo::new(stream)).await;
        let (sender, connection) = handshake.map_err(|error| ConnectError::Http(address.clone(), error))?;
        self.tasks.spawn(async move {
            // Its error reaches the request that it interrupts; an idle connection that ends has nobody to tell.
            let _ = connection.with_upgrades().await;
        });
        Ok(sender)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Idle>> {
        // Whatever a panicking holder left is a list of connections all the same.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A response body that gives its connection back to the pool once it was read to the end. Dropped earlier, it takes the
/// connection with it: the app sees at once that nobody reads any more.
#[derive(Debug)]
pub(crate) struct PooledBody {
    incoming: Incoming,
    connection: Option<(SendRequest<Body>, Arc<UpstreamAddress>)>,
    pool: Arc<Pool>,
}

impl PooledBody {
    pub(crate) fn new(incoming: Incoming, connection: Connection, pool: Arc<Pool>) -> Self {
        let mut body = Self { incoming, connection: Some((connection.sender, connection.address)), pool };
        if body.incoming.is_end_stream() {
            body.release();
        }
        body
    }

    fn release(&mut self) {
        if let Some((sender, address)) = self.connection.take() {
            self.pool.give_back(sender, address);
        }
    }
}

impl HttpBody for PooledBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = ready!(Pin::new(&mut self.incoming).poll_frame(cx));
        match &frame {
            Some(Ok(_)) if !self.incoming.is_end_stream() => {}
            Some(Err(error)) => {
                tracing::warn!(%error, "the app broke off in the middle of an answer");
                self.connection = None;
            }
            _ => self.release(),
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
