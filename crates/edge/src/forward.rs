//! The last step of every pipeline: the request goes to the app, and its answer comes back as a stream.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::{HeaderValue, Method, Request, Response, StatusCode, Version, header};
use http_body::Body as HttpBody;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use seaworthy_core::{Body, RequestContext, Shutdown, empty_body};
use tokio::time::{Instant, timeout_at};
use tokio_util::either::Either;
use tower::Service;

use crate::{
    answer_body::{AnswerBody, BodyLimits},
    failure::Failure,
    headers,
    pool::{Connection, Pool, Sender},
    problems,
    progress::{Progress, Waited, Waiting, WatchedBody},
    settings::Timeouts,
    spare::Spare,
    target, upgrade,
    upstream::Endpoint,
};

/// Instances that one request is sent to at most.
const ATTEMPTS: usize = 3;

/// Sends requests to the upstream of one pool. The service at the bottom of a route's pipeline.
#[derive(Debug, Clone)]
pub struct Forward(Arc<Way>);

/// Cloned for each request, so behind one pointer.
#[derive(Debug)]
struct Way {
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
        Self(Arc::new(Way { pool, timeouts, tasks }))
    }
}

impl Way {
    async fn forward(&self, mut request: Request<Body>) -> Response<Body> {
        let Some(context) = request.extensions_mut().remove::<Arc<RequestContext>>() else {
            // Only the edge calls a pipeline, and it always adds the context.
            return Response::new(empty_body());
        };
        let spare = is_repeatable(&request).then(|| Spare::of(&request));
        let client = prepare(&mut request, &context).then(|| hyper::upgrade::on(&mut request));
        let total = self.timeouts.total.0;
        let until = (!total.is_zero()).then(|| Instant::from_std(context.received) + total);
        let answer = match until {
            None => self.attempts(request, spare, &context).await,
            Some(until) => timeout_at(until, self.attempts(request, spare, &context))
                .await
                .unwrap_or(Err(Failure::timed_out(total))),
        };
        match answer {
            Ok((response, connection)) if response.status() == StatusCode::SWITCHING_PROTOCOLS => match client {
                Some(client) => upgrade::splice(response, client, connection, &self.tasks),
                None => Failure::of(problems::SWITCHED).into_response(&context),
            },
            Ok((response, connection)) => {
                let (mut parts, incoming) = response.into_parts();
                // Each connection has its own version (RFC 9110, 2.5): an app of HTTP/1.0 must not end keep-alive with clients.
                parts.version = Version::HTTP_11;
                headers::finish_response(&mut parts.headers);
                let idle = self.timeouts.response_idle.0;
                let limits = BodyLimits { idle: (!idle.is_zero()).then_some(idle), until };
                Response::from_parts(
                    parts,
                    AnswerBody::new(incoming, connection, self.pool.clone(), limits).boxed_unsync(),
                )
            }
            Err(failure) => failure.into_response(&context),
        }
    }

    /// Sends the request to one instance, and to another when the first one could not take it. What may have reached an
    /// app is repeated only when that does no harm: then there is a spare.
    async fn attempts(
        &self,
        mut request: Request<Body>,
        spare: Option<Spare>,
        context: &RequestContext,
    ) -> Result<(Response<Incoming>, Connection), Failure> {
        let safe = spare.is_some();
        if !safe {
            // Lets the connections' tasks see what the app has closed meanwhile.
            tokio::task::yield_now().await;
        }
        let upstream = &self.pool.upstream;
        let budget = upstream.budget.load();
        budget.deposit();
        let again = || {
            let mut request = spare.as_ref()?.request();
            prepare(&mut request, context);
            Some(request)
        };
        let mut avoid = None;
        for attempt in 1.. {
            let connection = self.connection(attempt == 1, safe, &mut avoid).await?;
            let endpoint = connection.load.endpoint().clone();
            let reused = connection.reused;
            let next = match self.attempt(connection, request).await {
                Attempt::Answer(response, connection) => {
                    endpoint.succeeded();
                    return Ok((response, connection));
                }
                // Nobody has seen it: it costs nothing to try again, and says nothing about the app.
                Attempt::Unsent(unsent) if reused => Some(unsent),
                Attempt::Unsent(unsent) => {
                    endpoint.failed();
                    (attempt < ATTEMPTS && budget.withdraw()).then_some(unsent)
                }
                Attempt::TimedOut => {
                    // Alone it is only slow; beside others it is the one that hangs.
                    if upstream.has_several() {
                        endpoint.failed();
                    }
                    return Err(Failure::timed_out(self.timeouts.first_byte.0));
                }
                // The app is well, and would say the same again.
                Attempt::Broken(error) if error.is_parse_too_large() => {
                    return Err(Failure::of(problems::ANSWER_HEAD_TOO_LARGE));
                }
                Attempt::Broken(error) if reused && safe => {
                    tracing::debug!(%error, "kept connection broke, repeating a safe request on a new one");
                    again()
                }
                Attempt::Broken(error) => {
                    endpoint.failed();
                    if !safe || attempt >= ATTEMPTS || !upstream.has_several() || !budget.withdraw() {
                        return Err(Failure::broken(&error));
                    }
                    avoid = Some(endpoint);
                    again()
                }
                Attempt::BodyBroken => return Err(Failure::of(problems::BODY_BROKEN)),
                Attempt::Stalled => return Err(Failure::of(problems::BODY_STALLED)),
            };
            match next {
                Some(next) if attempt <= ATTEMPTS => request = next,
                _ => break,
            }
        }
        Err(Failure::of(problems::BROKEN))
    }

    /// A connection to an instance; an instance that takes none has seen nothing of the request, so that another may.
    async fn connection(
        &self,
        first: bool,
        safe: bool,
        avoid: &mut Option<Arc<Endpoint>>,
    ) -> Result<Connection, Failure> {
        let upstream = &self.pool.upstream;
        let mut left = ATTEMPTS;
        loop {
            let load = upstream.choose(avoid.as_ref()).map_err(|reason| Failure::connecting(&reason.into()))?;
            let load = match if first { self.pool.kept(load, safe) } else { Err(load) } {
                Ok(connection) => return Ok(connection),
                Err(load) => load,
            };
            let endpoint = load.endpoint().clone();
            let error = match self.pool.connect(load, self.timeouts.connect.0).await {
                Ok(connection) => return Ok(connection),
                Err((error, _)) => error,
            };
            endpoint.failed();
            left -= 1;
            if left == 0 || !upstream.has_several() || !upstream.budget.load().withdraw() {
                return Err(Failure::connecting(&error));
            }
            *avoid = Some(endpoint);
        }
    }

    async fn attempt(&self, mut connection: Connection, request: Request<Body>) -> Attempt {
        let timeouts = &self.timeouts;
        let progress = (!request.body().is_end_stream()).then(|| Progress::new(timeouts.request_body_rate.0));
        let request = match progress.clone() {
            Some(progress) => {
                request.map(|inner| WatchedBody::new(inner, progress, timeouts.request_body_idle.0).boxed_unsync())
            }
            None => request,
        };
        let sending = match &mut connection.sender {
            Sender::Http1(sender) => Either::Left(sender.try_send_request(headers::framed(request))),
            Sender::Http2(sender) => {
                let Some(request) = target::for_http2(request) else { return Attempt::BodyBroken };
                Either::Right(sender.try_send_request(request))
            }
        };
        let body_failed = |progress: &Option<Progress>| progress.as_ref().is_some_and(Progress::body_failed);
        let limits = (timeouts.first_byte.0, timeouts.request_body_idle.0);
        match Waiting::new(sending, progress.clone(), limits, &mut connection.timer).await {
            Waited::Answer(Ok(response)) => {
                if let Some(progress) = &progress {
                    progress.answered();
                }
                Attempt::Answer(response, connection)
            }
            Waited::Answer(Err(_)) if body_failed(&progress) => Attempt::BodyBroken,
            Waited::Answer(Err(mut error)) => match error.take_message() {
                Some(request) => Attempt::Unsent(target::for_http1(request)),
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
        let way = self.0.clone();
        Box::pin(async move { Ok(way.forward(request).await) })
    }
}

/// Rewrites the head for the app. True when the client asked for another protocol.
fn prepare(request: &mut Request<Body>, context: &RequestContext) -> bool {
    let http2 = request.version() == Version::HTTP_2;
    *request.version_mut() = Version::HTTP_11;
    // hyper answers `Expect: 100-continue` itself when the body is first read; the app must not be asked again.
    if request.headers().keys().any(|name| *name == header::EXPECT) {
        request.headers_mut().remove(header::EXPECT);
    }
    let upgrade = headers::remove_hop_by_hop(request.headers_mut());
    if http2 {
        headers::join_cookies(request.headers_mut());
        headers::join_lengths(request.headers_mut());
    }
    headers::describe_client(request.headers_mut(), context);
    headers::describe_prefix(request);
    // A tunnel of HTTP/2 would carry requests past every layer; RFC 9113, 3.1 has withdrawn it. And what has a body is a
    // request first.
    let Some(protocol) =
        upgrade.filter(|protocol| !http2 && !headers::names_http2(protocol) && request.body().is_end_stream())
    else {
        return false;
    };
    request.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    request.headers_mut().insert(header::UPGRADE, protocol);
    true
}

/// Whether a request may be sent twice: a safe method (RFC 9110, 9.2.1) and no body.
fn is_repeatable(request: &Request<Body>) -> bool {
    matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) && request.body().is_end_stream()
}
