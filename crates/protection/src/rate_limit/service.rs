//! The service: refuses, or lets pass, and says what is left.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Instant,
};

use http::{Request, Response, StatusCode};
use seaworthy_core::{Body, RequestContext};
use tower::Service;

use super::{Limit, Verdict, headers::Told, refusal};

/// The service of [`super::RateLimit`].
#[derive(Clone)]
pub struct RateLimitService<S> {
    inner: S,
    limit: Arc<Limit>,
}

impl<S> RateLimitService<S> {
    pub(super) fn new(inner: S, limit: Arc<Limit>) -> Self {
        Self { inner, limit }
    }
}

impl<S> Service<Request<Body>> for RateLimitService<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = RateLimitFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let context = request.extensions().get::<Arc<RequestContext>>();
        // The edge has looked at the clock for this request already.
        let now = context.map_or_else(Instant::now, |context| context.received);
        let limit = self.limit.clone();
        match limit.verdict(context.map(Arc::as_ref), now) {
            Verdict::Passes(told) => {
                RateLimitFuture { inner: Some(self.inner.call(request)), refusal: None, told, limit }
            }
            Verdict::Refused { retry_seconds, told } => {
                let refusal = Some(refusal(retry_seconds, context.map(Arc::as_ref)));
                RateLimitFuture { inner: None, refusal, told, limit }
            }
        }
    }
}

pin_project_lite::pin_project! {
    /// The future of [`RateLimitService`].
    pub struct RateLimitFuture<F> {
        #[pin]
        inner: Option<F>,
        refusal: Option<Response<Body>>,
        told: Option<Told>,
        limit: Arc<Limit>,
    }
}

impl<F> Future for RateLimitFuture<F>
where
    F: Future<Output = Result<Response<Body>, Infallible>>,
{
    type Output = Result<Response<Body>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = match (this.refusal.take(), this.inner.as_pin_mut()) {
            (Some(refusal), _) => refusal,
            (None, Some(inner)) => {
                let Ok(response) = ready!(inner.poll(cx));
                response
            }
            // Nobody asks a future twice; one that did waits.
            (None, None) => return Poll::Pending,
        };
        if response.status() != StatusCode::SWITCHING_PROTOCOLS
            && let Some(told) = this.told.take()
        {
            this.limit.written.put(response.headers_mut(), told);
        }
        Poll::Ready(Ok(response))
    }
}
