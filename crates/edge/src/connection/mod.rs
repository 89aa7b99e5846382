//! One client connection, from the moment it is accepted: PROXY header, TLS, protocol, requests, and its end.

pub(crate) mod frames;
pub(crate) mod guard;
mod http1;
mod http2;
mod idle;
mod proxy_header;
mod refusal;
mod transport;
mod watch;

use std::{io, net::SocketAddr, sync::Arc};

pub(crate) use guard::{HeadLimits, MAX_HEADERS, PARSED_IN_PLACE};
use seaworthy_core::Shutdown;
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use transport::Protocol;
pub(crate) use transport::Transport;
pub(crate) use watch::WatchedStream;

use crate::{admission::Admitted, client::Described, dispatch::Core, policy::Policy};

/// Who is at the other end, and how they came.
#[derive(Debug)]
pub(crate) struct Origin {
    /// The next hop's address.
    pub peer: SocketAddr,
    /// The client's, as a PROXY header told it; else the peer's.
    pub client: SocketAddr,
    pub secure: bool,
    /// What the app is told of the client.
    pub described: Described,
}

/// What a connection needs of the core that serves it.
pub(crate) struct Surroundings {
    pub core: Arc<Core>,
    pub policy: Arc<Policy>,
    pub origin: Origin,
    pub order: Shutdown,
}

/// Serves one accepted connection to its end. The place that it takes (`_admitted`) is given back then.
pub(crate) async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<Arc<rustls::ServerConfig>>,
    core: Arc<Core>,
    order: Shutdown,
    _admitted: Admitted,
) {
    // Without it a short answer may wait for the acknowledgement of the one before.
    let _ = stream.set_nodelay(true);
    let policy = core.policy.load_full();
    let origin = Origin { peer, client: peer, secure: tls.is_some(), described: Described::default() };
    if let Err(error) = begin(stream, tls, origin, core, policy, order).await {
        tracing::debug!(%error, %peer, "client connection ended");
    }
}

async fn begin(
    mut stream: TcpStream,
    tls: Option<Arc<rustls::ServerConfig>>,
    mut origin: Origin,
    core: Arc<Core>,
    policy: Arc<Policy>,
    order: Shutdown,
) -> io::Result<()> {
    let patience = policy.timeouts.request_head.0;
    if policy.expects_proxy_header(origin.peer.ip()) {
        let header = timeout(patience, proxy_header::read(&mut stream)).await??;
        origin.client = header.unwrap_or(origin.peer);
    }
    let mut transport = match tls {
        None => Transport::Plain(stream),
        Some(config) => {
            // A client that opens a connection ahead of its need sends nothing yet; its handshake is timed from there.
            if !idle::until_readable(&stream, policy.timeouts.keep_alive.0, &order, &core.crowded).await {
                return Ok(());
            }
            let handshake = Box::pin(TlsAcceptor::from(config).accept(stream));
            Transport::Tls(Box::new(timeout(patience, handshake).await??))
        }
    };
    let around = Arc::new(Surroundings { core, policy, origin, order });
    let mut protocol = transport.negotiated();
    // What follows is boxed: an idle connection then has the size of this function's state and no more.
    loop {
        match protocol {
            Some(Protocol::Http2) => return Box::pin(http2::serve(transport, around)).await,
            Some(Protocol::AcmeChallenge) => return close(transport).await,
            Some(Protocol::Http1) => match Box::pin(http1::serve(transport, around.clone())).await? {
                Some(idle) => transport = idle,
                None => return Ok(()),
            },
            None => {}
        }
        let patience = around.policy.timeouts.keep_alive.0;
        if !idle::until_readable(transport.socket(), patience, &around.order, &around.core.crowded).await {
            return close(transport).await;
        }
        if protocol.is_none() {
            let first =
                timeout(around.policy.timeouts.request_head.0, transport::begins_http2(transport.socket())).await??;
            protocol = Some(if first { Protocol::Http2 } else { Protocol::Http1 });
        }
    }
}

/// Ends a connection politely, without waiting long for the other side.
async fn close(mut transport: Transport) -> io::Result<()> {
    tokio::select! {
        ended = transport.shutdown() => ended,
        () = sleep(std::time::Duration::from_secs(1)) => Ok(()),
    }
}
