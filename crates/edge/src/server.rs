//! The data plane: one thread, one runtime and its own listeners per core.

use std::{
    fs::File,
    io,
    net::{SocketAddr, TcpListener as StdListener},
    sync::Arc,
    thread,
    time::Duration,
};

use arc_swap::ArcSwap;
use seaworthy_core::{RequestIdSource, Shutdown};
use thiserror::Error;
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    runtime,
    sync::{Notify, oneshot},
    time::{sleep, timeout},
};

use crate::{
    admission::{Admission, Refused},
    connection,
    dispatch::Core,
    listener::{Listeners, take_no_more},
    policy::Policy,
    pool::Pool,
    routing::{RouteError, RouteTable},
    settings::Settings,
    tls::Tls,
    upstream::Upstream,
};

/// How long a connection without a request may stay open once the order to stop is given.
pub(crate) const LAST_REQUESTS: Duration = Duration::from_millis(500);
/// How long a handshake that has begun may take to end by then: a round trip around the world.
const LAST_HANDSHAKES: Duration = Duration::from_millis(200);
const CONNECTIONS: &str = "seaworthy_edge_connections_open";
/// Threads of a core that wait for the disk: enough for a disk, and a bound on what a slow one ties up.
const FILE_THREADS: usize = 16;
/// What a connection gets that has no place; written by hand, because nothing is read from it.
const NO_PLACE: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n";

/// What the data plane needs besides its listeners.
#[derive(Debug, Clone)]
pub struct ServerSettings {
    /// `[edge]`.
    pub edge: Settings,
    /// How long requests in flight may take once the listeners are closed.
    pub grace: Duration,
    /// The process's limit on open files.
    pub open_files: usize,
}

/// Where the data plane listens.
pub struct Doors {
    /// Plain HTTP.
    pub plain: Listeners,
    /// HTTPS, and what it needs.
    pub tls: Option<(Listeners, Tls)>,
}

/// The data plane cannot start.
#[derive(Debug, Error)]
pub enum StartError {
    /// Two routes conflict, or one cannot be used.
    #[error(transparent)]
    Route(#[from] RouteError),
    /// The system refused a thread.
    #[error("cannot start the serving threads: {0}")]
    Threads(#[from] io::Error),
}

/// The running data plane.
pub struct Server {
    cores: Vec<oneshot::Receiver<usize>>,
    drain: Shutdown,
    _port_locks: Vec<File>,
}

/// Changes what a running data plane does. Clones act on the same one.
#[derive(Clone)]
pub struct Reload {
    cores: Arc<Vec<Inside>>,
    admission: Arc<Admission>,
    https_port: Option<u16>,
    open_files: usize,
    upstream: Arc<Upstream>,
}

/// One core, seen from outside.
struct Inside {
    core: Arc<Core>,
    pool: Arc<Pool>,
    upgraded: Shutdown,
}

impl Server {
    /// Starts the cores. `table` is called once for each, with that core's pool; `drain` is the order to stop.
    pub fn start(
        doors: Doors,
        settings: &ServerSettings,
        upstream: &Arc<Upstream>,
        drain: Shutdown,
        table: impl Fn(&Arc<Pool>, &Shutdown) -> Result<RouteTable, RouteError>,
    ) -> Result<(Self, Reload), StartError> {
        upstream.allow_headers(settings.edge.limits.headers);
        let https_port = doors.tls.as_ref().map(|(listeners, _)| listeners.address().port());
        let admission = Admission::new(&settings.edge.limits, settings.open_files);
        let (plain, plain_lock) = doors.plain.split();
        let (mut tls, tls_lock, certificates) = match doors.tls {
            Some((listeners, certificates)) => {
                let (sockets, lock) = listeners.split();
                (sockets, lock, Some(certificates))
            }
            None => (Vec::new(), None, None),
        };
        tls.reverse();
        let (mut cores, mut insides) = (Vec::new(), Vec::new());
        for (index, plain) in plain.into_iter().enumerate() {
            // Clients' requests are waited for, upgraded connections until the app ends them; the upstream's own
            // connections are only company.
            let (requests, upgraded) = (drain.child(), drain.child());
            let pool = Pool::new(upstream.clone(), drain.child());
            let core = Arc::new(Core {
                table: ArcSwap::from_pointee(table(&pool, &upgraded)?),
                policy: ArcSwap::from_pointee(Policy::new(&settings.edge, https_port)),
                ids: RequestIdSource::new(&mut fastrand::Rng::new()),
                certificates: certificates.clone(),
                crowded: Notify::new(),
            });
            insides.push(Inside { core: core.clone(), pool: pool.clone(), upgraded: upgraded.clone() });
            let (done, ended) = oneshot::channel();
            let grace = settings.grace;
            let serving = Serving { core, pool, admission: admission.clone(), requests, upgraded, grace };
            let tls = tls.pop();
            thread::Builder::new().name(format!("edge-{index}")).spawn(move || serving.run(plain, tls, done))?;
            cores.push(ended);
        }
        let port_locks = plain_lock.into_iter().chain(tls_lock).collect();
        let reload = Reload {
            cores: Arc::new(insides),
            admission,
            https_port,
            open_files: settings.open_files,
            upstream: upstream.clone(),
        };
        Ok((Self { cores, drain, _port_locks: port_locks }, reload))
    }

    /// Resolves once every core has drained, with the number of requests and upgraded connections that had to be cut.
    /// A core that ends before the order to stop is an error of ours, and reported as such.
    pub async fn ended(self) -> io::Result<usize> {
        let mut cut = 0;
        for core in self.cores {
            cut += core.await.map_err(|_| io::Error::other("a serving thread ended by itself"))?;
        }
        if self.drain.has_begun() { Ok(cut) } else { Err(io::Error::other("a listener failed")) }
    }
}

impl Reload {
    /// New settings and routes, from the next request on. Everything is built before anything changes: on an error the old
    /// ones stay. Addresses stay as they are.
    pub fn apply(
        &self,
        edge: &Settings,
        table: impl Fn(&Arc<Pool>, &Shutdown) -> Result<RouteTable, RouteError>,
    ) -> Result<(), RouteError> {
        let built = self.cores.iter().map(|inside| table(&inside.pool, &inside.upgraded));
        let tables = built.collect::<Result<Vec<_>, _>>()?;
        let policy = Arc::new(Policy::new(edge, self.https_port));
        for (inside, table) in self.cores.iter().zip(tables) {
            inside.core.policy.store(policy.clone());
            inside.core.table.store(Arc::new(table));
        }
        self.admission.replace(&edge.limits, self.open_files);
        self.upstream.replace_balance(edge.balance);
        self.upstream.allow_headers(edge.limits.headers);
        Ok(())
    }

    /// Client connections that are open now.
    pub fn connections(&self) -> usize {
        self.admission.open()
    }
}

/// Gives back what a burst of connections has left. The allocator returns free pages to the system only when pages come and
/// go, which they do not on a quiet core: so one comes and goes.
fn release_memory() {
    const LARGE: usize = 512 * 1024;
    drop(std::hint::black_box(Vec::<u8>::with_capacity(LARGE)));
}

/// One core's part.
struct Serving {
    core: Arc<Core>,
    pool: Arc<Pool>,
    admission: Arc<Admission>,
    requests: Shutdown,
    upgraded: Shutdown,
    grace: Duration,
}

impl Serving {
    /// Serves on this thread. `done` is told how many requests had to be cut; upgraded connections (WebSockets) go on
    /// until the app, which is stopped next, ends them.
    fn run(self, plain: StdListener, tls: Option<StdListener>, done: oneshot::Sender<usize>) {
        let runtime =
            match runtime::Builder::new_current_thread().enable_all().max_blocking_threads(FILE_THREADS).build() {
                Ok(runtime) => runtime,
                Err(error) => {
                    tracing::error!(%error, "cannot start a serving thread");
                    return;
                }
            };
        runtime.block_on(async {
            let listening = async { tokio::join!(self.listen(Some(plain), false), self.listen(tls, true)) };
            tokio::select! {
                _ = listening => {}
                () = self.keep_tidy() => {}
            }
            self.requests.finished(sleep(self.grace)).await;
            // Nobody listens any more when the process is already on its way out.
            let _ = done.send(self.requests.running());
            self.upgraded.finished(sleep(self.grace)).await;
        });
    }

    /// Never ends.
    async fn keep_tidy(&self) {
        metrics::describe_gauge!(CONNECTIONS, "Client connections that are open now.");
        let connections = metrics::gauge!(CONNECTIONS);
        loop {
            sleep(Duration::from_secs(1)).await;
            self.pool.trim();
            release_memory();
            connections.set(self.admission.open() as f64);
        }
    }

    async fn listen(&self, socket: Option<StdListener>, secure: bool) {
        let Some(socket) = socket else { return };
        match TcpListener::from_std(socket) {
            Ok(listener) => self.accept(listener, secure).await,
            Err(error) => tracing::error!(%error, "cannot listen"),
        }
    }

    /// Accepts until the order to stop, then takes what the kernel has already accepted for us and closes the listener.
    async fn accept(&self, listener: TcpListener, secure: bool) {
        loop {
            let accepted = tokio::select! {
                biased;
                () = self.requests.ordered() => break,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => self.take(stream, peer, secure),
                Err(error) => {
                    // Out of file descriptors, most likely: those in use must end before another can be accepted.
                    tracing::warn!(%error, "cannot accept a connection");
                    self.core.crowded.notify_waiters();
                    sleep(Duration::from_millis(50)).await;
                }
            }
        }
        // Closing a listener resets what the kernel has accepted for it. So no handshake may begin any more, those that have
        // begun get a moment, and the queue is emptied in the breath before the end.
        if take_no_more(&listener).is_ok() {
            let ending = sleep(LAST_HANDSHAKES);
            tokio::pin!(ending);
            loop {
                tokio::select! {
                    () = &mut ending => break,
                    Ok((stream, peer)) = listener.accept() => self.take(stream, peer, secure),
                }
            }
        }
        let Ok(listener) = listener.into_std() else { return };
        while let Ok((stream, peer)) = listener.accept() {
            if stream.set_nonblocking(true).is_ok()
                && let Ok(stream) = TcpStream::from_std(stream)
            {
                self.take(stream, peer, secure);
            }
        }
    }

    fn take(&self, stream: TcpStream, peer: SocketAddr, secure: bool) {
        let address = peer.ip().to_canonical();
        let exempt = address.is_loopback() || self.core.policy.load().trusts(address);
        if self.admission.is_crowded() {
            self.core.crowded.notify_waiters();
        }
        match self.admission.admit(address, exempt) {
            Ok(admitted) => {
                let certificates = self.core.certificates.as_ref().filter(|_| secure);
                let tls = certificates.map(|certificates| certificates.server_config());
                let (core, order) = (self.core.clone(), self.requests.clone());
                self.requests.spawn(connection::serve(stream, peer, tls, core, order, admitted));
            }
            Err(refused) => self.turn_away(stream, address, refused, secure),
        }
    }

    fn turn_away(&self, mut stream: TcpStream, address: std::net::IpAddr, refused: Refused, secure: bool) {
        match refused {
            Refused::Full => tracing::warn!(open = self.admission.open(), "every place is taken: connection refused"),
            Refused::Address => tracing::info!(%address, "client has as many connections as one may have"),
        }
        if !secure {
            self.requests.spawn(async move {
                let _ = timeout(LAST_REQUESTS, stream.write_all(NO_PLACE)).await;
            });
        }
    }
}
