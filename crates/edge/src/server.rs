//! The data plane: one thread, one runtime and one listener per core.

use std::{
    fs::File,
    io,
    net::{IpAddr, SocketAddr, TcpListener as StdListener},
    sync::Arc,
    thread,
    time::Duration,
};

use arc_swap::ArcSwap;
use http::{HeaderValue, StatusCode, header::CONNECTION};
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use seaworthy_core::{RequestIdSource, Shutdown};
use thiserror::Error;
use tokio::{
    net::{TcpListener, TcpStream},
    runtime,
    sync::oneshot,
    time::sleep,
};

use crate::{
    dispatch::Core,
    listener::Listeners,
    pool::Pool,
    routing::{RouteError, RouteTable},
    settings::Timeouts,
    upstream::Upstream,
};

/// How long a connection without a request may stay open once the order to stop is given.
const LAST_REQUESTS: Duration = Duration::from_millis(500);

/// What the data plane needs besides its listeners.
#[derive(Debug, Clone)]
pub struct ServerSettings {
    /// Limits on time.
    pub timeouts: Timeouts,
    /// How long requests in flight may take once the listeners are closed.
    pub grace: Duration,
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
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    cores: Vec<oneshot::Receiver<usize>>,
    drain: Shutdown,
    _port_lock: Option<File>,
}

impl Server {
    /// Starts the cores. `table` is called once for each, with that core's pool; `drain` is the order to stop.
    pub fn start(
        listeners: Listeners,
        settings: &ServerSettings,
        upstream: &Arc<Upstream>,
        drain: Shutdown,
        table: impl Fn(&Arc<Pool>, &Shutdown) -> Result<RouteTable, RouteError>,
    ) -> Result<Self, StartError> {
        let address = listeners.address();
        let mut cores = Vec::new();
        let (sockets, port_lock) = listeners.split();
        for (index, socket) in sockets.into_iter().enumerate() {
            // Clients' requests are waited for, upgraded connections until the app ends them; the upstream's own
            // connections are only company.
            let (requests, upgraded) = (drain.child(), drain.child());
            let pool = Pool::new(upstream.clone(), settings.timeouts.connect.0, drain.child());
            let core = Arc::new(Core {
                table: ArcSwap::from_pointee(table(&pool, &upgraded)?),
                ids: RequestIdSource::new(&mut fastrand::Rng::new()),
            });
            let (done, ended) = oneshot::channel();
            let settings = settings.clone();
            thread::Builder::new().name(format!("edge-{index}")).spawn(move || {
                run_core(socket, &core, &settings, &requests, &upgraded, done);
            })?;
            cores.push(ended);
        }
        Ok(Self { address, cores, drain, _port_lock: port_lock })
    }

    /// Where it serves.
    pub fn address(&self) -> SocketAddr {
        self.address
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

/// Serves on this thread. `done` is told how many requests had to be cut; upgraded connections (WebSockets) go on until
/// the app, which is stopped next, ends them.
fn run_core(
    socket: StdListener,
    core: &Arc<Core>,
    settings: &ServerSettings,
    requests: &Shutdown,
    upgraded: &Shutdown,
    done: oneshot::Sender<usize>,
) {
    let runtime = match runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "cannot start a serving thread");
            return;
        }
    };
    runtime.block_on(async {
        match TcpListener::from_std(socket) {
            Ok(listener) => accept(listener, core, settings, requests).await,
            Err(error) => tracing::error!(%error, "cannot listen"),
        }
        requests.finished(sleep(settings.grace)).await;
        // Nobody listens any more when the process is already on its way out.
        let _ = done.send(requests.running());
        upgraded.finished(sleep(settings.grace)).await;
    });
}

/// Accepts until the order to stop, then takes what the kernel has already accepted for us and closes the listener.
async fn accept(listener: TcpListener, core: &Arc<Core>, settings: &ServerSettings, requests: &Shutdown) {
    loop {
        let accepted = tokio::select! {
            biased;
            () = requests.ordered() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => serve(stream, peer.ip(), core, settings, requests),
            Err(error) => {
                // Out of file descriptors, most likely: those in use must end before another can be accepted.
                tracing::warn!(%error, "cannot accept a connection");
                sleep(Duration::from_millis(50)).await;
            }
        }
    }
    // Closing a listener resets what the kernel has accepted for it, so the queue is emptied in the same breath.
    let Ok(listener) = listener.into_std() else { return };
    while let Ok((stream, peer)) = listener.accept() {
        if stream.set_nonblocking(true).is_ok()
            && let Ok(stream) = TcpStream::from_std(stream)
        {
            serve(stream, peer.ip(), core, settings, requests);
        }
    }
}

fn serve(stream: TcpStream, client: IpAddr, core: &Arc<Core>, settings: &ServerSettings, requests: &Shutdown) {
    // Without it a short answer may wait for the acknowledgement of the one before.
    let _ = stream.set_nodelay(true);
    let (service_core, order) = (core.clone(), requests.clone());
    let service = service_fn(move |request| {
        let (core, order) = (service_core.clone(), order.clone());
        async move {
            let mut response = core.answer(Some(client), request).await;
            if order.has_begun() && response.status() != StatusCode::SWITCHING_PROTOCOLS {
                // The client learns with its answer that the next request must go elsewhere (RFC 9112, 9.6).
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, std::convert::Infallible>(response)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(settings.timeouts.request_head.0)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let order = requests.clone();
    requests.spawn(async move {
        let mut connection = std::pin::pin!(connection);
        let result = tokio::select! {
            biased;
            result = connection.as_mut() => result,
            () = order.ordered() => tokio::select! {
                // A request that is on its way is still answered; only then are silent connections closed.
                result = connection.as_mut() => result,
                () = sleep(LAST_REQUESTS) => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            },
        };
        if let Err(error) = result {
            tracing::debug!(%error, %client, "client connection ended");
        }
    });
}
