//! An HTTP/2 connection (RFC 9113): the library's state machine, with a limit on everything that a client can make it do.

use std::{
    convert::Infallible,
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::Request;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::{body::Incoming, server::conn::http2::Builder, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use seaworthy_core::{Body, BoxError};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, interval_at},
};

use super::{Surroundings, frames::FrameMeter, transport::Transport};
use crate::tasks::TaskExecutor;

/// Bytes of an answer that are kept for a client that does not take them, for each request.
const SEND_BUFFER: usize = 64 * 1024;
/// Bytes of a request's body that a client may send ahead, for each request and in all.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// A client that does not answer this ping is gone.
const PING_EVERY: Duration = Duration::from_secs(20);
const PING_PATIENCE: Duration = Duration::from_secs(20);
/// Requests that a client may cancel before we have looked at them, and that we may have to reset for its errors.
const PENDING_RESETS: usize = 20;
const ERROR_RESETS: usize = 64;

/// What the streams of a connection and its driver share.
#[derive(Debug, Default)]
struct Streams {
    /// Requests that are not answered to the end.
    open: AtomicUsize,
    /// Answers with data that the client has no room for.
    held: AtomicUsize,
    /// How often a client made room for more of an answer. Bytes of the connection would not tell: pings move them too.
    taken: AtomicU64,
    meter: Mutex<FrameMeter>,
}

/// Serves until either side has had enough.
pub(crate) async fn serve(transport: Transport, around: Arc<Surroundings>) -> io::Result<()> {
    let Surroundings { policy, order, .. } = &*around;
    let streams = Arc::new(Streams::default());
    let (service_streams, service_around) = (streams.clone(), around.clone());
    let service = service_fn(move |request: Request<Incoming>| {
        let around = service_around.clone();
        let open = Open::new(service_streams.clone());
        async move {
            let response = around.core.answer(&around.origin, request).await;
            Ok::<_, Infallible>(response.map(|inner| StreamBody { inner, open, held: false }))
        }
    });
    let mut builder = Builder::new(TaskExecutor(order.clone()));
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(policy.streams)
        .max_header_list_size(u32::try_from(policy.head.bytes).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(PENDING_RESETS)
        .max_local_error_reset_streams(ERROR_RESETS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_PATIENCE);
    let stream = MeteredStream { inner: transport, streams: streams.clone() };
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    let mut clock = Clock::default();
    let second = Duration::from_secs(1);
    let mut ticks = interval_at(Instant::now() + second, second);
    let mut ending = false;
    loop {
        tokio::select! {
            biased;
            ended = connection.as_mut() => return ended.map_err(io::Error::other),
            () = order.ordered(), if !ending => {
                ending = true;
                // GOAWAY: no new requests, those that are here are answered.
                connection.as_mut().graceful_shutdown();
            }
            () = around.core.crowded.notified(), if !ending && streams.open.load(Ordering::Relaxed) == 0 => {
                ending = true;
                connection.as_mut().graceful_shutdown();
            }
            _ = ticks.tick() => {
                let (idle, stalled) = clock.look(&streams);
                if stalled >= policy.timeouts.response_write.0 {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                if idle >= policy.timeouts.keep_alive.0 && !ending {
                    ending = true;
                    connection.as_mut().graceful_shutdown();
                }
            }
        }
    }
}

/// For how many seconds nothing was asked, and nothing was taken.
#[derive(Default)]
struct Clock {
    taken: u64,
    idle: u64,
    stalled: u64,
}

impl Clock {
    fn look(&mut self, streams: &Streams) -> (Duration, Duration) {
        streams.meter.lock().unwrap_or_else(PoisonError::into_inner).tick();
        let taken = streams.taken.load(Ordering::Relaxed);
        let same = std::mem::replace(&mut self.taken, taken) == taken;
        self.idle = if streams.open.load(Ordering::Relaxed) == 0 { self.idle + 1 } else { 0 };
        self.stalled = if same && streams.held.load(Ordering::Relaxed) > 0 { self.stalled + 1 } else { 0 };
        (Duration::from_secs(self.idle), Duration::from_secs(self.stalled))
    }
}

/// One open request.
struct Open(Arc<Streams>);

impl Open {
    fn new(streams: Arc<Streams>) -> Self {
        streams.open.fetch_add(1, Ordering::Relaxed);
        Self(streams)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An answer's body, which is asked for more only when the client has room for it.
struct StreamBody {
    inner: Body,
    open: Open,
    held: bool,
}

impl StreamBody {
    fn set_held(&mut self, held: bool) {
        let count = &self.open.0.held;
        match (std::mem::replace(&mut self.held, held), held) {
            (false, true) => count.fetch_add(1, Ordering::Relaxed),
            (true, false) => count.fetch_sub(1, Ordering::Relaxed),
            _ => 0,
        };
    }
}

impl Drop for StreamBody {
    fn drop(&mut self) {
        self.set_held(false);
    }
}

impl HttpBody for StreamBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.held {
            self.open.0.taken.fetch_add(1, Ordering::Relaxed);
        }
        self.set_held(false);
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        self.set_held(matches!(frame, Some(Ok(_))));
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// A client's stream whose frames are counted.
struct MeteredStream {
    inner: Transport,
    streams: Arc<Streams>,
}

impl AsyncRead for MeteredStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buffer))?;
        let read = &buffer.filled()[before..];
        if self.streams.meter.lock().unwrap_or_else(PoisonError::into_inner).advance(read) {
            return Poll::Ready(Ok(()));
        }
        tracing::info!("an HTTP/2 client sent too many frames that ask for nothing; its connection is closed");
        Poll::Ready(Err(io::ErrorKind::InvalidData.into()))
    }
}

impl AsyncWrite for MeteredStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
