//! Refuses requests above a rate, and tells every client how much of it is left.
//!
//! Answers carry `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10), a refusal also `Retry-After`
//! (RFC 9110, 10.2.3; status 429: RFC 6585, 4).

mod headers;
mod limiter;
mod policy;

use std::{
    collections::HashMap,
    convert::Infallible,
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError, Weak},
    task::{Context, Poll, ready},
    time::Instant,
};

use http::{Request, Response, StatusCode};
use seaworthy_core::{Body, Problem, ProblemKind, RequestContext};
use tower::{Layer, Service};

pub use self::{
    headers::RateHeaders,
    policy::{RatePolicy, RateSetting},
};
use self::{
    headers::Written,
    limiter::{Decision, Key, Limiter},
};

const LIMITED: ProblemKind = ProblemKind {
    code: "SEA_PROTECTION_RATE_LIMITED",
    status: StatusCode::TOO_MANY_REQUESTS,
    title: "Too many requests",
    advice: "Wait as long as Retry-After says. Operators: `rate` of the route or of [protection] sets the limit.",
};

/// What is counted, by route and policy. All cores share one, and it outlives a reload: a policy that stays keeps its counts.
#[derive(Debug, Clone, Default)]
pub struct RateLimits(Arc<Mutex<HashMap<String, Weak<Limiter>>>>);

/// The layer.
#[derive(Clone)]
pub struct RateLimit(Arc<Limit>);

struct Limit {
    limiter: Arc<Limiter>,
    written: Written,
}

/// The service of [`RateLimit`].
#[derive(Clone)]
pub struct RateLimitService<S> {
    inner: S,
    limit: Arc<Limit>,
}

impl RateLimits {
    /// The layer of one route.
    pub fn layer(&self, route: &str, policy: &RatePolicy, headers: RateHeaders) -> RateLimit {
        let name = format!("{route} {policy}");
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, limiter| limiter.strong_count() > 0);
        let limiter = known.get(&name).and_then(Weak::upgrade).unwrap_or_else(|| {
            let limiter = Arc::new(Limiter::new(policy, Instant::now()));
            known.insert(name, Arc::downgrade(&limiter));
            limiter
        });
        RateLimit(Arc::new(Limit { limiter, written: Written::new(policy, headers) }))
    }
}

impl fmt::Debug for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimit").finish_non_exhaustive()
    }
}

impl<S> Layer<S> for RateLimit {
    type Service = RateLimitService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RateLimitService { inner, limit: self.0.clone() }
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
        let client = context.and_then(|context| context.client);
        // The edge has looked at the clock for this request already.
        let now = context.map_or_else(Instant::now, |context| context.received);
        let decision = self.limit.limiter.decide(Key::of(client), now);
        let limit = self.limit.clone();
        if decision.allowed {
            return RateLimitFuture { inner: Some(self.inner.call(request)), refusal: None, limit, decision };
        }
        let problem = Problem::new(LIMITED).retry_after(decision.retry_after_seconds());
        let answer = context.map(|context| problem.into_response(context));
        let refusal = answer.unwrap_or_else(|| {
            let mut bare = Response::new(seaworthy_core::empty_body());
            *bare.status_mut() = LIMITED.status;
            bare
        });
        RateLimitFuture { inner: None, refusal: Some(refusal), limit, decision }
    }
}

pin_project_lite::pin_project! {
    /// The future of [`RateLimitService`].
    pub struct RateLimitFuture<F> {
        #[pin]
        inner: Option<F>,
        refusal: Option<Response<Body>>,
        limit: Arc<Limit>,
        decision: Decision,
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
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            this.limit.written.put(response.headers_mut(), this.decision);
        }
        Poll::Ready(Ok(response))
    }
}

#[cfg(test)]
mod tests {
    use std::{net::IpAddr, time::Duration};

    use http::HeaderValue;
    use seaworthy_core::{RequestId, empty_body};
    use tower::ServiceExt;

    use super::*;

    async fn ask(layer: &RateLimit, client: &str, now: Instant) -> Response<Body> {
        let app = tower::service_fn(|_| async { Ok::<_, Infallible>(Response::new(empty_body())) });
        let mut context = RequestContext::new(RequestId::from_client(&HeaderValue::from_static("r")).unwrap());
        context.client = Some(client.parse::<IpAddr>().unwrap());
        context.received = now;
        let mut request = Request::new(empty_body());
        request.extensions_mut().insert(Arc::new(context));
        layer.layer(app).oneshot(request).await.unwrap()
    }

    #[tokio::test]
    async fn so_many_pass_and_the_rest_is_told_when() {
        let layer = RateLimits::default().layer("*", &"3/min".parse().unwrap(), RateHeaders::Both);
        let now = Instant::now();
        for left in ["2", "1", "0"] {
            let answer = ask(&layer, "192.0.2.1", now).await;
            assert_eq!(answer.status(), 200);
            assert_eq!(answer.headers()["ratelimit-policy"], "\"default\";q=3;w=60");
            assert_eq!(answer.headers()["ratelimit"], format!("\"default\";r={left};t=20"));
            assert_eq!(answer.headers()["x-ratelimit-remaining"], left);
        }
        let refused = ask(&layer, "192.0.2.1", now).await;
        assert_eq!(refused.status(), 429);
        assert_eq!(refused.headers()["retry-after"], "20");
        assert_eq!(refused.headers()["content-type"], "application/problem+json");
        assert_eq!(refused.headers()["ratelimit"], "\"default\";r=0;t=20", "as Retry-After says");
        assert_eq!(refused.headers()["x-ratelimit-reset"], "60");
        assert_eq!(ask(&layer, "192.0.2.2", now).await.status(), 200, "another client has its own");
        assert_eq!(ask(&layer, "192.0.2.1", now + Duration::from_secs(19)).await.status(), 429);
        assert_eq!(ask(&layer, "192.0.2.1", now + Duration::from_secs(20)).await.status(), 200);
    }

    #[tokio::test]
    async fn a_policy_that_stays_keeps_its_counts_over_cores_and_reloads() {
        let (limits, now) = (RateLimits::default(), Instant::now());
        let policy: RatePolicy = "1/min".parse().unwrap();
        let one = limits.layer("*", &policy, RateHeaders::Standard);
        assert_eq!(ask(&one, "192.0.2.1", now).await.status(), 200);
        let other = limits.layer("*", &policy, RateHeaders::Standard);
        drop(one);
        assert_eq!(ask(&other, "192.0.2.1", now).await.status(), 429);
        let changed = limits.layer("*", &"2/min".parse().unwrap(), RateHeaders::Standard);
        assert_eq!(ask(&changed, "192.0.2.1", now).await.status(), 200);
        assert!(!ask(&changed, "192.0.2.1", now).await.headers().contains_key("x-ratelimit-limit"));
    }
}
