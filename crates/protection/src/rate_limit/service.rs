//! The service: refuses, lets pass, or waits for what the store says.

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
use tower::{Service, ServiceExt, util::Oneshot};

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
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = RateLimitFuture<S>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let context = request.extensions().get::<Arc<RequestContext>>();
        // The edge has looked at the clock for this request already.
        let now = context.map_or_else(Instant::now, |context| context.received);
        let limit = self.limit.clone();
        match limit.verdict_now(context.map(Arc::as_ref), now) {
            Some(Verdict::Passes(told)) => {
                let stage = Stage::Inner { inner: self.inner.call(request) };
                RateLimitFuture { stage, told, limit }
            }
            Some(Verdict::Refused { retry_seconds, told }) => {
                let answer = refusal(retry_seconds, context.map(Arc::as_ref));
                RateLimitFuture { stage: Stage::Refused { answer: Some(answer) }, told, limit }
            }
            None => {
                let (context, asked) = (context.cloned(), limit.clone());
                let verdict = async move { asked.verdict_later(context.as_deref()).await };
                let request = Some((self.inner.clone(), request));
                RateLimitFuture { stage: Stage::Asks { verdict: Box::pin(verdict), request }, told: None, limit }
            }
        }
    }
}

type Asked = Pin<Box<dyn Future<Output = Verdict> + Send>>;

pin_project_lite::pin_project! {
    /// The future of [`RateLimitService`].
    pub struct RateLimitFuture<S: Service<Request<Body>>> {
        #[pin]
        stage: Stage<S>,
        told: Option<Told>,
        limit: Arc<Limit>,
    }
}

pin_project_lite::pin_project! {
    #[project = Projected]
    enum Stage<S: Service<Request<Body>>> {
        Inner { #[pin] inner: S::Future },
        Refused { answer: Option<Response<Body>> },
        Asks { verdict: Asked, request: Option<(S, Request<Body>)> },
        InnerLater { #[pin] inner: Oneshot<S, Request<Body>> },
    }
}

impl<S> Future for RateLimitFuture<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    type Output = Result<Response<Body>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let mut response = loop {
            match this.stage.as_mut().project() {
                Projected::Inner { inner } => {
                    let Ok(response) = ready!(inner.poll(cx));
                    break response;
                }
                Projected::InnerLater { inner } => {
                    let Ok(response) = ready!(inner.poll(cx));
                    break response;
                }
                Projected::Refused { answer } => match answer.take() {
                    Some(answer) => break answer,
                    // Nobody asks a future twice; one that did waits.
                    None => return Poll::Pending,
                },
                Projected::Asks { verdict, request } => {
                    let verdict = ready!(verdict.as_mut().poll(cx));
                    let Some((inner, request)) = request.take() else { return Poll::Pending };
                    match verdict {
                        Verdict::Passes(told) => {
                            *this.told = told;
                            this.stage.set(Stage::InnerLater { inner: inner.oneshot(request) });
                        }
                        Verdict::Refused { retry_seconds, told } => {
                            *this.told = told;
                            let context = request.extensions().get::<Arc<RequestContext>>();
                            let answer = refusal(retry_seconds, context.map(Arc::as_ref));
                            this.stage.set(Stage::Refused { answer: Some(answer) });
                        }
                    }
                }
            }
        };
        if response.status() != StatusCode::SWITCHING_PROTOCOLS
            && let Some(told) = this.told.take()
        {
            this.limit.written.put(response.headers_mut(), told);
        }
        Poll::Ready(Ok(response))
    }
}
