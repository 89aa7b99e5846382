//! The layer: what has no key passes, what has one goes the long way (`exchange.rs`).

use std::{
    convert::Infallible,
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Method, Request, Response};
use metrics::{Counter, counter};
use seaworthy_core::{Body, Handler, RequestContext, Shutdown};
use tokio::sync::oneshot;
use tower::{Layer, Service};

use super::{
    Idempotency,
    exchange::Exchange,
    key::{self, Given},
    settings::{IdempotencyPolicy, IdempotencySetting},
};
use crate::problems;

/// The layer of one route. Absent where keys are not looked at.
#[derive(Clone)]
pub struct IdempotencyLayer(Arc<Route>);

/// What a route's requests have together.
pub(super) struct Route {
    pub policy: IdempotencyPolicy,
    pub store: Idempotency,
    pub counts: Counts,
    tasks: Shutdown,
}

/// What became of requests with a key.
pub(super) struct Counts {
    pub first: Counter,
    pub replayed: Counter,
    pub running: Counter,
    pub reused: Counter,
    pub unknown: Counter,
    pub refused: Counter,
}

/// The service of [`IdempotencyLayer`].
#[derive(Clone)]
pub struct IdempotencyService<S> {
    inner: S,
    /// The same, its type erased: it may outlive the request that asked.
    app: Handler,
    route: Arc<Route>,
}

impl IdempotencyLayer {
    /// The layer of a route; `None` when it does not look at keys. `tasks` counts requests that go on when their client is
    /// gone.
    pub fn layer(route: &str, setting: &IdempotencySetting, store: &Idempotency, tasks: &Shutdown) -> Option<Self> {
        let policy = setting.policy()?;
        let counts = Counts::new(route);
        Some(Self(Arc::new(Route { policy, store: store.clone(), counts, tasks: tasks.clone() })))
    }
}

impl Counts {
    fn new(route: &str) -> Self {
        let count = |result: &'static str| counter!("seaworthy_idempotent_requests_total", "route" => route.to_owned(), "result" => result);
        Self {
            first: count("first"),
            replayed: count("replayed"),
            running: count("running"),
            reused: count("reused"),
            unknown: count("unknown"),
            refused: count("refused"),
        }
    }
}

impl fmt::Debug for IdempotencyLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdempotencyLayer").finish_non_exhaustive()
    }
}

impl<S: fmt::Debug> fmt::Debug for IdempotencyService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdempotencyService").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl<S> Layer<S> for IdempotencyLayer
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
{
    type Service = IdempotencyService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        IdempotencyService { app: Handler::new(inner.clone()), inner, route: self.0.clone() }
    }
}

impl<S> Service<Request<Body>> for IdempotencyService<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = IdempotencyFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        // The other methods can be repeated as they are (RFC 9110, 9.2.2).
        if !matches!(*request.method(), Method::POST | Method::PATCH) {
            return IdempotencyFuture::Pass { inner: self.inner.call(request) };
        }
        let given = key::given(request.headers());
        let route = &self.route;
        let kind = match given {
            Given::Nothing if !route.policy.required => {
                return IdempotencyFuture::Pass { inner: self.inner.call(request) };
            }
            Given::Key(_) => None,
            Given::Nothing => Some(problems::KEY_MISSING),
            Given::Malformed => Some(problems::KEY_MALFORMED),
        };
        let Some(context) = request.extensions().get::<Arc<RequestContext>>().cloned() else {
            // Only the edge calls a pipeline, and it always adds the context.
            return IdempotencyFuture::Pass { inner: self.inner.call(request) };
        };
        if let Some(kind) = kind {
            route.counts.refused.increment(1);
            return IdempotencyFuture::Ready { answer: Some(problems::answer(kind, &context)) };
        }
        let Some(exchange) = Exchange::new(self.app.clone(), route.clone(), context.clone(), &request) else {
            return IdempotencyFuture::Pass { inner: self.inner.call(request) };
        };
        // In a task of its own: a client that hangs up must not leave a request half done that it will repeat.
        let (told, answer) = oneshot::channel();
        route.tasks.spawn(async move {
            // Nobody there to hear it is no reason to stop.
            drop(told.send(exchange.run(request).await));
        });
        IdempotencyFuture::Long { answer, context }
    }
}

pin_project_lite::pin_project! {
    /// The future of [`IdempotencyService`].
    #[project = IdempotencyFutureProjection]
    pub enum IdempotencyFuture<F> {
        Pass { #[pin] inner: F },
        Ready { answer: Option<Response<Body>> },
        Long { answer: oneshot::Receiver<Response<Body>>, context: Arc<RequestContext> },
    }
}

impl<F> Future for IdempotencyFuture<F>
where
    F: Future<Output = Result<Response<Body>, Infallible>>,
{
    type Output = Result<Response<Body>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            IdempotencyFutureProjection::Pass { inner } => inner.poll(cx),
            IdempotencyFutureProjection::Ready { answer } => match answer.take() {
                Some(answer) => Poll::Ready(Ok(answer)),
                // Nobody asks a future twice; one that did waits.
                None => Poll::Pending,
            },
            IdempotencyFutureProjection::Long { answer, context } => match Pin::new(answer).poll(cx) {
                Poll::Ready(Ok(answer)) => Poll::Ready(Ok(answer)),
                // The task has broken down in the middle, and so has what it knew.
                Poll::Ready(Err(_)) => Poll::Ready(Ok(problems::answer(problems::OUTCOME_UNKNOWN, context))),
                Poll::Pending => Poll::Pending,
            },
        }
    }
}
