//! An HTTP/1 connection: the library's state machine while requests move, nothing but the socket while they do not.
//!
//! hyper keeps some 17 KiB for a connection, busy or not. So an idle one is taken apart and put together again when the
//! next byte comes: what is kept meanwhile is the socket (and the TLS session).

use std::{
    future::{Future, poll_fn},
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, header::CONNECTION};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::{
    body::Incoming,
    server::conn::http1::{Builder, UpgradeableConnection},
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use seaworthy_core::{Body, BoxError};
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use super::{
    Surroundings,
    guard::{MAX_HEADERS, PARSED_IN_PLACE, Phase, Violation},
    refusal,
    transport::Transport,
    watch::{Watch, WatchedStream},
};
use crate::{problems, server::LAST_REQUESTS};

/// When a connection is first looked at.
const FIRST_LOOK: Duration = Duration::from_millis(50);

/// Why the driver lets go of a connection.
enum End {
    /// The client or the library ended it.
    Closed(Result<(), hyper::Error>),
    /// Every request is answered and the client is silent.
    Idle,
    /// The client sent what is refused; everything before it is answered.
    Violation(Violation),
    /// A request head that does not come to its end.
    HeadTooSlow,
    /// The client takes nothing of an answer.
    WriteStalled,
}

/// Serves until either side has had enough, or until there is nothing to do: then the transport comes back.
pub(crate) async fn serve(transport: Transport, around: Arc<Surroundings>) -> io::Result<Option<Transport>> {
    let watch = Watch::new(around.policy.head);
    let stream = WatchedStream::new(transport, watch.clone());
    let (service_watch, service_around) = (watch.clone(), around.clone());
    let service = service_fn(move |request: Request<Incoming>| {
        let (around, watch) = (service_around.clone(), service_watch.clone());
        async move {
            let mut response = around.core.answer(&around.origin, request).await;
            let switched = response.status() == StatusCode::SWITCHING_PROTOCOLS;
            // Clients that keep connections open learn here that they must make a new one.
            if !switched && around.order.has_begun() {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            watch.answer_begins(switched);
            Ok::<_, std::convert::Infallible>(response.map(|inner| CountedBody { inner, watch }))
        }
    });
    let mut builder = Builder::new();
    // The guard has smaller limits and a clock of its own.
    builder.max_buf_size(around.policy.head.bytes * 2 + 64 * 1024);
    if around.policy.head.headers > PARSED_IN_PLACE {
        builder.max_headers(MAX_HEADERS);
    }
    let mut connection = builder.serve_connection(TokioIo::new(stream), service).with_upgrades();
    let end = drive(&mut connection, &watch, &around).await;
    if let End::Closed(result) = end {
        return result.map(|()| None).map_err(io::Error::other);
    }
    let Some(parts) = connection.into_parts() else { return Ok(None) };
    let transport = parts.io.into_inner().into_inner();
    match end {
        End::Idle => return Ok(Some(transport)),
        End::Closed(_) | End::WriteStalled => {}
        End::Violation(violation) => refusal::answer(transport, &around, refusal::problem(violation)).await?,
        End::HeadTooSlow => refusal::answer(transport, &around, problems::HEAD_TOO_SLOW).await?,
    }
    Ok(None)
}

/// Runs the library's state machine, and looks now and then whether anything still moves. There is one timer a connection
/// and not one a request: it is set for a coarse while, and what happened meanwhile is seen when it fires.
async fn drive<S>(
    connection: &mut UpgradeableConnection<TokioIo<WatchedStream<Transport>>, S>,
    watch: &Arc<Watch>,
    around: &Surroundings,
) -> End
where
    UpgradeableConnection<TokioIo<WatchedStream<Transport>>, S>: Future<Output = hyper::Result<()>> + Unpin,
    S: hyper::service::HttpService<Incoming, ResBody = CountedBody>,
    S::Error: Into<BoxError>,
{
    let mut order = std::pin::pin!(around.order.ordered());
    let (mut draining, mut listening) = (None::<Instant>, false);
    let mut clock = Clock::new(around.policy.look_every());
    poll_fn(|cx| {
        loop {
            if let Poll::Ready(result) = Pin::new(&mut *connection).poll(cx) {
                return Poll::Ready(End::Closed(result));
            }
            match watch.violation() {
                Some(violation) if violation != Violation::Chunk && watch.owes_nothing() => {
                    return Poll::Ready(End::Violation(violation));
                }
                _ => {}
            }
            // Asked once, to be woken; from then on the flag is cheaper than the lock behind the order.
            if draining.is_none()
                && (!std::mem::replace(&mut listening, true) || around.order.has_begun())
                && order.as_mut().poll(cx).is_ready()
            {
                draining = Some(Instant::now() + LAST_REQUESTS);
                clock.set(LAST_REQUESTS);
            }
            match clock.poll(cx, watch, around) {
                Poll::Ready(Some(end)) => return Poll::Ready(end),
                Poll::Ready(None) => {
                    if draining.is_some_and(|until| Instant::now() >= until) {
                        Pin::new(&mut *connection).graceful_shutdown();
                    }
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    })
    .await
}

/// Sees what has not moved since it last looked.
struct Clock {
    /// Between two looks: short at first, because most connections fall silent after one request; then doubled up to the
    /// policy's, because a busy one need not be looked at often.
    wait: Duration,
    longest: Duration,
    timer: Pin<Box<Sleep>>,
    /// Heads and bytes at the last look.
    seen: (u64, u64),
    /// For how long the head has been incomplete, and a write has waited.
    head_for: Duration,
    write_for: Duration,
}

impl Clock {
    fn new(longest: Duration) -> Self {
        let wait = FIRST_LOOK.min(longest);
        let timer = Box::pin(sleep(wait));
        Self { wait, longest, timer, seen: (0, 0), head_for: Duration::ZERO, write_for: Duration::ZERO }
    }

    /// Looks again after this long.
    fn set(&mut self, after: Duration) {
        self.timer.as_mut().reset(Instant::now() + after);
    }

    /// Ready at each look: with an end when there is reason for one.
    fn poll(&mut self, cx: &mut Context<'_>, watch: &Watch, around: &Surroundings) -> Poll<Option<End>> {
        std::task::ready!(self.timer.as_mut().poll(cx));
        let waited = self.wait;
        let before = std::mem::replace(&mut self.seen, (watch.heads(), watch.moved()));
        if before != self.seen {
            self.wait = (waited * 2).min(self.longest);
        }
        self.timer.set(sleep_until(Instant::now() + self.wait));
        let timeouts = &around.policy.timeouts;
        let same_head = before.0 == self.seen.0;
        self.head_for = match watch.phase() {
            Phase::Head if same_head => self.head_for + waited,
            _ => Duration::ZERO,
        };
        self.write_for = match watch.write_waits() {
            true if before.1 == self.seen.1 => self.write_for + waited,
            _ => Duration::ZERO,
        };
        if self.write_for >= timeouts.response_write.0 {
            return Poll::Ready(Some(End::WriteStalled));
        }
        if self.head_for >= timeouts.request_head.0 && watch.owes_nothing() {
            return Poll::Ready(Some(End::HeadTooSlow));
        }
        let silent = before == self.seen && watch.phase() == Phase::Boundary && watch.owes_nothing();
        Poll::Ready(silent.then_some(End::Idle))
    }
}

/// A body on its way to the client; its end, however it comes, is the end of the answer.
pub(crate) struct CountedBody {
    inner: Body,
    watch: Arc<Watch>,
}

impl Drop for CountedBody {
    fn drop(&mut self) {
        self.watch.answer_ended();
    }
}

impl HttpBody for CountedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Pin::new(&mut self.inner).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
