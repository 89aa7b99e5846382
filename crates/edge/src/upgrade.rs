//! Upgraded connections (WebSocket and others, RFC 9110, 7.8): after the 101 the bytes pass unread in both directions.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Response, header};
use hyper::{
    body::Incoming,
    upgrade::{OnUpgrade, Upgraded},
};
use hyper_util::rt::TokioIo;
use seaworthy_core::{Body, Shutdown, empty_body};
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use crate::{
    connection::{Transport, WatchedStream},
    gathered::Gathered,
    headers,
    pool::Connection,
    relay::relay,
};

/// Joins the client's and the app's connection and hands the app's 101 to the client.
pub(crate) fn splice(
    mut response: Response<Incoming>,
    client: OnUpgrade,
    mut connection: Connection,
    tasks: &Shutdown,
) -> Response<Body> {
    let app = hyper::upgrade::on(&mut response);
    // It would keep what is left of the client's task for as long as it runs.
    connection.timer = None;
    let protocol = headers::remove_hop_by_hop(response.headers_mut());
    let (mut parts, _) = response.into_parts();
    parts.headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    if let Some(protocol) = protocol {
        parts.headers.insert(header::UPGRADE, protocol);
    }
    tasks.spawn(async move {
        // Keeps the sender alive until the hand-over (hyper ends a connection whose sender is gone), and the instance's
        // count until the end.
        let _connection = connection;
        if let Err(error) = join(client, app).await {
            tracing::debug!(%error, "upgraded connection ended");
        }
    });
    Response::from_parts(parts, empty_body())
}

async fn join(client: OnUpgrade, app: OnUpgrade) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let (client, app): (Upgraded, Upgraded) = tokio::try_join!(client, app)?;
    let (client, app) = (opened(client), opened(app));
    relay(client, app).await?;
    Ok(())
}

/// The stream below the library's type, watched for a peer that vanished: nothing else ends a silent connection.
fn opened(upgraded: Upgraded) -> Box<dyn Stream> {
    let upgraded = match upgraded.downcast::<TokioIo<WatchedStream<Transport>>>() {
        Ok(parts) => {
            let stream = parts.io.into_inner();
            watch_peer(SockRef::from(stream.get_ref().socket()));
            return Box::new(Chain::new(parts.read_buf, stream));
        }
        Err(other) => other,
    };
    match upgraded.downcast::<TokioIo<Gathered<TcpStream>>>() {
        Ok(parts) => {
            let Gathered(stream) = parts.io.into_inner();
            watch_peer(SockRef::from(&stream));
            Box::new(Chain::new(parts.read_buf, stream))
        }
        Err(other) => Box::new(TokioIo::new(other)),
    }
}

/// TCP keep-alive: a peer that answers none of four probes is gone.
fn watch_peer(socket: SockRef<'_>) {
    let keepalive =
        TcpKeepalive::new().with_time(Duration::from_secs(60)).with_interval(Duration::from_secs(15)).with_retries(4);
    // Refused, the connection lives as long as the system lets it.
    let _ = socket.set_tcp_keepalive(&keepalive);
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A stream with the bytes in front of it that were read too early.
struct Chain<S> {
    first: Bytes,
    stream: S,
}

impl<S> Chain<S> {
    fn new(first: Bytes, stream: S) -> Self {
        // A copy: the bytes are a part of the library's buffer, which would live as long as they do.
        Self { first: Bytes::copy_from_slice(&first), stream }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Chain<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.first.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buffer);
        }
        let fitting = self.first.len().min(buffer.remaining());
        buffer.put_slice(&self.first.split_to(fitting));
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Chain<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
