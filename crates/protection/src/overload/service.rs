//! The service: lets in, or refuses at once.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Instant,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;
use seaworthy_core::{Body, BoxError, Delivery, Problem, ProblemKind, RequestContext};
use tower::Service;

use super::{FULL, Guard, SHED, places::Place, shedder::Admitted};

/// The service of [`super::Overload`].
#[derive(Clone)]
pub struct OverloadService<S> {
    inner: S,
    guard: Arc<Guard>,
}

impl<S> OverloadService<S> {
    pub(super) fn new(inner: S, guard: Arc<Guard>) -> Self {
        Self { inner, guard }
    }
}

/// What a request holds of the limits: all routes', and its own route's.
#[derive(Default)]
struct Held([Option<Place>; 2]);

impl Held {
    fn is_empty(&self) -> bool {
        self.0.iter().all(Option::is_none)
    }
}

impl Guard {
    /// What the request holds from now on, or why it may not.
    fn enter(&self, path: &str, now: Instant) -> Result<(Option<Admitted>, Held), ProblemKind> {
        if self.health.as_deref() == Some(path) {
            return Ok((None, Held::default()));
        }
        let mut held = Held::default();
        for (slot, (places, most)) in held.0.iter_mut().zip(&self.places) {
            *slot = Some(places.take(*most).ok_or(FULL)?);
        }
        let admitted = match &self.shedding {
            Some((shedder, target)) => Some(shedder.admit(self.priority, *target, now).ok_or(SHED)?),
            None => None,
        };
        Ok((admitted, held))
    }
}

impl<S> Service<Request<Body>> for OverloadService<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = OverloadFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        match self.guard.enter(request.uri().path(), Instant::now()) {
            Ok((admitted, held)) => {
                OverloadFuture { inner: Some(self.inner.call(request)), refusal: None, admitted, held }
            }
            Err(kind) => {
                let context = request.extensions().get::<Arc<RequestContext>>();
                let refusal = Some(refuse(kind, context.map(Arc::as_ref)));
                OverloadFuture { inner: None, refusal, admitted: None, held: Held::default() }
            }
        }
    }
}

fn refuse(kind: ProblemKind, context: Option<&RequestContext>) -> Response<Body> {
    let reason = if kind.code == SHED.code { "overload" } else { "concurrency" };
    metrics::counter!("seaworthy_shed_requests_total", "reason" => reason).increment(1);
    // Not all of them at the same moment: ids differ in their last letter.
    let letter = context.and_then(|context| context.id.as_str().bytes().last()).unwrap_or_default();
    let seconds = 1 + u64::from(letter % 3);
    let mut response = match context {
        Some(context) => Problem::new(kind).retry_after(seconds).into_response(context),
        // Only reachable outside the edge, which always adds the context.
        None => {
            let mut bare = Response::new(seaworthy_core::empty_body());
            *bare.status_mut() = kind.status;
            bare
        }
    };
    // Layers above that remember answers must not take it for one of the app's.
    response.extensions_mut().insert(Delivery::NotSent);
    response
}

pin_project_lite::pin_project! {
    /// The future of [`OverloadService`].
    pub struct OverloadFuture<F> {
        #[pin]
        inner: Option<F>,
        refusal: Option<Response<Body>>,
        admitted: Option<Admitted>,
        held: Held,
    }
}

impl<F> Future for OverloadFuture<F>
where
    F: Future<Output = Result<Response<Body>, Infallible>>,
{
    type Output = Result<Response<Body>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Some(inner) = this.inner.as_pin_mut() else {
            // Nobody asks a future twice; one that did waits.
            return this.refusal.take().map_or(Poll::Pending, |refusal| Poll::Ready(Ok(refusal)));
        };
        let Ok(response) = ready!(inner.poll(cx));
        if let Some(admitted) = this.admitted.take() {
            admitted.answered(response.status().is_server_error(), Instant::now());
        }
        let held = std::mem::take(this.held);
        if held.is_empty() || response.body().is_end_stream() {
            return Poll::Ready(Ok(response));
        }
        Poll::Ready(Ok(response.map(|inner| HeldBody { inner, _held: held }.boxed_unsync())))
    }
}

/// A body whose request has its places until it was sent.
struct HeldBody {
    inner: Body,
    _held: Held,
}

impl HttpBody for HeldBody {
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

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use seaworthy_core::{RequestId, full_body};
    use tower::{Layer, ServiceExt};

    use super::*;
    use crate::{Load, OverloadSettings, Priority, RoutePolicy};

    async fn ask(layer: &super::super::Overload, path: &str) -> Response<Body> {
        let app = tower::service_fn(|_| async { Ok::<_, Infallible>(Response::new(full_body("hello"))) });
        let mut request = Request::new(seaworthy_core::empty_body());
        *request.uri_mut() = path.parse().unwrap();
        let id = RequestId::from_client(&HeaderValue::from_static("r")).unwrap();
        request.extensions_mut().insert(Arc::new(RequestContext::new(id)));
        layer.layer(app).oneshot(request).await.unwrap()
    }

    fn route(concurrency: Option<u32>, priority: Priority) -> RoutePolicy {
        RoutePolicy { concurrency, priority, ..RoutePolicy::default() }
    }

    #[tokio::test]
    async fn a_place_is_held_until_the_answer_was_sent_and_health_needs_none() {
        let (load, all) = (Load::default(), OverloadSettings::default());
        let layer = load.layer("/a", &all, &route(Some(1), Priority::Normal), Some("/health")).unwrap();
        let first = ask(&layer, "/a").await;
        let refused = ask(&layer, "/a").await;
        assert_eq!((first.status().as_u16(), refused.status().as_u16()), (200, 503));
        assert!(refused.headers().contains_key("retry-after"));
        assert_eq!(ask(&layer, "/health").await.status(), 200);
        let other = load.layer("/b", &all, &route(Some(1), Priority::Normal), None).unwrap();
        assert_eq!(ask(&other, "/b").await.status(), 200, "each route has its own");
        assert_eq!(first.into_body().collect().await.unwrap().to_bytes(), "hello");
        assert_eq!(ask(&layer, "/a").await.status(), 200);
        assert!(load.layer("/c", &all, &route(None, Priority::Low), None).is_none(), "what is off is absent");
    }

    #[tokio::test]
    async fn of_a_common_limit_the_last_places_are_for_high_priority() {
        let load = Load::default();
        let all = OverloadSettings { concurrency: Some(10), latency_target: None };
        let of = |name: &str, priority| load.layer(name, &all, &route(None, priority), None).unwrap();
        let (high, normal, low) = (of("/h", Priority::High), of("/n", Priority::Normal), of("/l", Priority::Low));
        let mut held = Vec::new();
        let mut fill = async |layer| loop {
            let answer = ask(layer, "/").await;
            if answer.status() != 200 {
                return held.len();
            }
            held.push(answer);
        };
        assert_eq!((fill(&low).await, fill(&normal).await, fill(&high).await), (6, 9, 10));
    }
}
