//! The last step of every pipeline: the request goes to the app, and its answer comes back as a stream.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version, header, request};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use seaworthy_core::{Body, BoxError, Problem, RequestContext, Shutdown, empty_body};
use tokio::time::{Instant, Sleep};
use tower::Service;

use crate::{
    headers,
    pool::{ConnectError, Connection, Pool, PooledBody},
    problems,
    settings::Timeouts,
    upgrade,
};

/// Sends requests to the upstream of one pool. The service at the bottom of a route's pipeline.
#[derive(Debug, Clone)]
pub struct Forward {
    pool: Arc<Pool>,
    timeouts: Timeouts,
    tasks: Shutdown,
}

/// What came of one attempt.
enum Attempt {
    Answer(Response<Incoming>, Connection),
    /// The app closed a kept connection while we were about to use it; nobody has seen the request yet.
    Unsent(Request<Body>),
    Broken(hyper::Error),
    TimedOut,
    Stalled,
}

impl Forward {
    /// `tasks` counts what outlives a request: upgraded connections.
    pub fn new(pool: Arc<Pool>, timeouts: Timeouts, tasks: Shutdown) -> Self {
        Self { pool, timeouts, tasks }
    }

    async fn forward(self, mut request: Request<Body>) -> Response<Body> {
        let Some(context) = request.extensions_mut().remove::<Arc<RequestContext>>() else {
            // Only the edge calls a pipeline, and it always adds the context.
            return Response::new(empty_body());
        };
        let wants_html = Problem::wants_html(request.headers());
        let refuse = |problem: Problem| problem.into_response(&context.id, wants_html);
        let client_upgrade = match prepare(&mut request, &context) {
            Ok(upgrade) => upgrade,
            Err(problem) => return refuse(problem),
        };
        let client = client_upgrade.then(|| hyper::upgrade::on(&mut request));
        match self.attempts(request).await {
            Ok((response, connection)) if response.status() == StatusCode::SWITCHING_PROTOCOLS => match client {
                Some(client) => upgrade::splice(response, client, connection, &self.tasks),
                None => refuse(Problem::new(problems::BROKEN).detail("The app switched protocols unasked.")),
            },
            Ok((response, connection)) => {
                let (mut parts, incoming) = response.into_parts();
                // Each connection has its own version (RFC 9110, 2.5): an app of HTTP/1.0 must not end keep-alive with clients.
                parts.version = Version::HTTP_11;
                headers::finish_response(&mut parts.headers);
                Response::from_parts(parts, PooledBody::new(incoming, connection, self.pool).boxed_unsync())
            }
            Err(problem) => refuse(problem),
        }
    }

    /// Tries a kept connection first, and a new one when the kept one turned out to be closed.
    async fn attempts(&self, request: Request<Body>) -> Result<(Response<Incoming>, Connection), Problem> {
        let connection = self.pool.connection().await.map_err(no_connection)?;
        let copy = if connection.reused { repeatable(&request) } else { None };
        let again = match self.attempt(connection, request).await {
            Attempt::Unsent(request) => Some(request),
            Attempt::Broken(error) if copy.is_some() => {
                tracing::debug!(%error, "kept connection broke, repeating a safe request on a new one");
                copy
            }
            other => return settle(other),
        };
        let Some(request) = again else { return Err(Problem::new(problems::BROKEN)) };
        let connection = self.pool.fresh().await.map_err(no_connection)?;
        settle(self.attempt(connection, request).await)
    }

    async fn attempt(&self, mut connection: Connection, request: Request<Body>) -> Attempt {
        let progress = Arc::new(Progress::default());
        let request = match request.body().is_end_stream() {
            true => {
                progress.ended.store(true, Ordering::Relaxed);
                request
            }
            false => request.map(|inner| WatchedBody { inner, progress: progress.clone() }.boxed_unsync()),
        };
        let limits = (self.timeouts.first_byte.0, self.timeouts.request_body_idle.0);
        let sending = connection.sender.try_send_request(request);
        let waiting = Waiting { sending, progress, limits, timer: None };
        match waiting.await {
            Waited::Answer(Ok(response)) => Attempt::Answer(response, connection),
            Waited::Answer(Err(mut error)) => match error.take_message() {
                Some(request) => Attempt::Unsent(request),
                None => Attempt::Broken(error.into_error()),
            },
            Waited::TimedOut => Attempt::TimedOut,
            Waited::Stalled => Attempt::Stalled,
        }
    }
}

impl Service<Request<Body>> for Forward {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let forward = self.clone();
        Box::pin(async move { Ok(forward.forward(request).await) })
    }
}

/// Rewrites the head for the app. True when the client asked for another protocol.
fn prepare(request: &mut Request<Body>, context: &RequestContext) -> Result<bool, Problem> {
    if request.uri().authority().is_some() || !request.uri().path().starts_with('/') {
        // Absolute form (RFC 9112, 3.2.2): its host wins over the Host header. `CONNECT` and `*` have no path for us.
        let (Some(path), Some(authority)) = (request.uri().path_and_query(), request.uri().authority()) else {
            return Err(Problem::new(problems::BAD_TARGET));
        };
        if request.method() == Method::CONNECT {
            return Err(Problem::new(problems::BAD_TARGET));
        }
        let host = HeaderValue::from_str(authority.as_str()).map_err(|_| Problem::new(problems::BAD_TARGET))?;
        let path = Uri::from(path.clone());
        *request.uri_mut() = path;
        request.headers_mut().insert(header::HOST, host);
    }
    *request.version_mut() = Version::HTTP_11;
    // hyper answers `Expect: 100-continue` itself when the body is first read; the app must not be asked again.
    request.headers_mut().remove(header::EXPECT);
    let upgrade = headers::remove_hop_by_hop(request.headers_mut());
    headers::describe_client(request.headers_mut(), context);
    let Some(protocol) = upgrade else { return Ok(false) };
    request.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    request.headers_mut().insert(header::UPGRADE, protocol);
    Ok(true)
}

/// A copy of a request that may be sent twice: a safe method (RFC 9110, 9.2.1) and no body.
fn repeatable(request: &Request<Body>) -> Option<Request<Body>> {
    let safe = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    if !safe || !request.body().is_end_stream() {
        return None;
    }
    let mut copy = request::Request::new(empty_body());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = HeaderMap::clone(request.headers());
    Some(copy)
}

fn no_connection(error: ConnectError) -> Problem {
    match error {
        ConnectError::Closed => Problem::new(problems::APP_NOT_READY).retry_after(1),
        error => {
            tracing::warn!(%error, "no connection to the app");
            Problem::new(problems::UNREACHABLE).retry_after(1)
        }
    }
}

fn settle(attempt: Attempt) -> Result<(Response<Incoming>, Connection), Problem> {
    match attempt {
        Attempt::Answer(response, connection) => Ok((response, connection)),
        Attempt::Unsent(_) => Err(Problem::new(problems::BROKEN)),
        Attempt::Broken(error) => {
            let source = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
            tracing::warn!(%error, source, "the app ended the connection before its answer");
            Err(Problem::new(problems::BROKEN))
        }
        Attempt::TimedOut => Err(Problem::new(problems::TIMEOUT)),
        Attempt::Stalled => Err(Problem::new(problems::BODY_STALLED)),
    }
}

/// How far the client's body has come.
#[derive(Debug, Default)]
struct Progress {
    moved: AtomicBool,
    ended: AtomicBool,
}

/// A request body that notes its progress, so that a long upload is not taken for a slow app.
struct WatchedBody {
    inner: Body,
    progress: Arc<Progress>,
}

impl HttpBody for WatchedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        self.progress.moved.store(true, Ordering::Relaxed);
        if frame.is_none() || self.inner.is_end_stream() {
            self.progress.ended.store(true, Ordering::Relaxed);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

enum Waited<T> {
    Answer(T),
    TimedOut,
    Stalled,
}

pin_project_lite::pin_project! {
    /// Waits for the head of the answer. While the request's body still moves, the clock starts anew.
    struct Waiting<F> {
        #[pin]
        sending: F,
        progress: Arc<Progress>,
        limits: (Duration, Duration),
        timer: Option<(Pin<Box<Sleep>>, bool)>,
    }
}

impl<F: Future> Future for Waiting<F> {
    type Output = Waited<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(answer) = this.sending.poll(cx) {
            return Poll::Ready(Waited::Answer(answer));
        }
        loop {
            let ended = this.progress.ended.load(Ordering::Relaxed);
            let limit = if ended { this.limits.0 } else { this.limits.1 };
            let (timer, for_app) = this.timer.get_or_insert_with(|| (Box::pin(tokio::time::sleep(limit)), ended));
            if *for_app != ended {
                // The body has ended since: from here on it is the app that we wait for.
                timer.as_mut().reset(Instant::now() + limit);
                *for_app = ended;
            }
            ready!(timer.as_mut().poll(cx));
            if !ended && this.progress.moved.swap(false, Ordering::Relaxed) {
                timer.as_mut().reset(Instant::now() + limit);
                continue;
            }
            return Poll::Ready(if ended { Waited::TimedOut } else { Waited::Stalled });
        }
    }
}
