//! The last step of every pipeline: the request goes to the app, and its answer comes back as a stream.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version, header};
use http_body::Body as HttpBody;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use seaworthy_core::{Body, Problem, RequestContext, Shutdown, empty_body};
use tower::Service;

use crate::{
    headers,
    pool::{ConnectError, Connection, Pool, PooledBody},
    problems,
    progress::{Progress, Waited, Waiting, WatchedBody},
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
    /// The client's body broke off or was no body; the app is not to blame.
    BodyBroken,
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
        let refuse = |problem: Problem| problem.into_response(&context);
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
        let safe = is_repeatable(&request);
        if !safe {
            // Lets the connections' tasks see what the app has closed meanwhile.
            tokio::task::yield_now().await;
        }
        let connection = self.pool.connection(safe).await.map_err(no_connection)?;
        let copy = (safe && connection.reused).then(|| copy(&request));
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
        let progress = (!request.body().is_end_stream()).then(Progress::new);
        let request = match progress.clone() {
            Some(progress) => request.map(|inner| WatchedBody { inner, progress }.boxed_unsync()),
            None => request,
        };
        let sending = connection.sender.try_send_request(request);
        let timeouts = &self.timeouts;
        let body_failed = |progress: &Option<Progress>| progress.as_ref().is_some_and(Progress::body_failed);
        let waiting = Waiting::new(sending, progress.clone(), timeouts.first_byte.0, timeouts.request_body_idle.0);
        match waiting.await {
            Waited::Answer(Ok(response)) => Attempt::Answer(response, connection),
            Waited::Answer(Err(_)) if body_failed(&progress) => Attempt::BodyBroken,
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
        let host = authority.as_str().rsplit('@').next().unwrap_or_default();
        let host = HeaderValue::from_str(host).map_err(|_| Problem::new(problems::BAD_TARGET))?;
        let path = Uri::from(path.clone());
        *request.uri_mut() = path;
        request.headers_mut().insert(header::HOST, host);
    }
    match request.headers().get_all(header::HOST).iter().count() {
        1 => {}
        0 if request.version() < Version::HTTP_11 => {
            request.headers_mut().insert(header::HOST, HeaderValue::from_static("localhost"));
        }
        // RFC 9112, 3.2: none or several are refused, because the app may choose another one than we do.
        _ => return Err(Problem::new(problems::BAD_HOST)),
    }
    *request.version_mut() = Version::HTTP_11;
    // hyper answers `Expect: 100-continue` itself when the body is first read; the app must not be asked again.
    request.headers_mut().remove(header::EXPECT);
    let upgrade = headers::remove_hop_by_hop(request.headers_mut());
    headers::describe_client(request.headers_mut(), context);
    // A tunnel of HTTP/2 would carry requests past every layer; RFC 9113, 3.1 has withdrawn it.
    let Some(protocol) = upgrade.filter(|protocol| !protocol.as_bytes().eq_ignore_ascii_case(b"h2c")) else {
        return Ok(false);
    };
    request.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    request.headers_mut().insert(header::UPGRADE, protocol);
    Ok(true)
}

/// Whether a request may be sent twice: a safe method (RFC 9110, 9.2.1) and no body.
fn is_repeatable(request: &Request<Body>) -> bool {
    matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) && request.body().is_end_stream()
}

/// The head of a request, to be sent again.
fn copy(request: &Request<Body>) -> Request<Body> {
    let mut copy = Request::new(empty_body());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = HeaderMap::clone(request.headers());
    copy
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
        Attempt::BodyBroken => Err(Problem::new(problems::BODY_BROKEN)),
        Attempt::TimedOut => Err(Problem::new(problems::TIMEOUT)),
        Attempt::Stalled => Err(Problem::new(problems::BODY_STALLED)),
    }
}
