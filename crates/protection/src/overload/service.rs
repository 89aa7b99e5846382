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
use http::{Request, Response, Uri};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;
use seaworthy_core::{Body, BoxError, Delivery, Problem, ProblemKind, RequestContext};
use tower::Service;

use super::{FULL, Guard, SHED, places::Place, sending::Sending, shedder::Admitted};

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
    fn enter(&self, target: &Uri, now: Instant) -> Result<(Option<Admitted>, Held), ProblemKind> {
        let is_asked = |(path, query): &(String, Option<String>)| {
            path == target.path() && query.as_deref().is_none_or(|query| target.query() == Some(query))
        };
        if self.health.as_ref().is_some_and(is_asked) {
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
        match self.guard.enter(request.uri(), Instant::now()) {
            Ok((mut admitted, held)) => {
                let request = match &mut admitted {
                    Some(admitted) => {
                        let (parts, body) = request.into_parts();
                        let (sending, body) = Sending::watch(body);
                        admitted.without(sending);
                        Request::from_parts(parts, body)
                    }
                    None => request,
                };
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

    impl<F> PinnedDrop for OverloadFuture<F> {
        fn drop(this: Pin<&mut Self>) {
            if let Some(admitted) = this.project().admitted.take() {
                admitted.given_up(Instant::now());
            }
        }
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
    use std::time::Duration;

    use futures_util::FutureExt;
    use http::HeaderValue;
    use seaworthy_config::HumanDuration;
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
        let delivery = refused.extensions().get::<Delivery>();
        assert_eq!(delivery, Some(&Delivery::NotSent), "nobody may keep it as the app's answer");
        assert_eq!(ask(&layer, "/health").await.status(), 200);
        let other = load.layer("/b", &all, &route(Some(1), Priority::Normal), None).unwrap();
        assert_eq!(ask(&other, "/b").await.status(), 200, "each route has its own");
        assert_eq!(first.into_body().collect().await.unwrap().to_bytes(), "hello");
        assert_eq!(ask(&layer, "/a").await.status(), 200);
        assert!(load.layer("/c", &all, &route(None, Priority::Low), None).is_none(), "what is off is absent");
        let with_query = load.layer("/d", &all, &route(Some(0), Priority::Low), Some("/health?deep=1")).unwrap();
        assert_eq!(ask(&with_query, "/health?deep=1").await.status(), 200);
        let probe = load.layer("/e", &all, &route(Some(0), Priority::Low), Some("/?probe=1")).unwrap();
        for (target, status) in
            [("/?probe=1", 200), ("/", 503), ("/?probe=11", 503), ("/?a=b", 503), ("/a?probe=1", 503)]
        {
            assert_eq!(ask(&probe, target).await.status(), status, "{target}");
        }
        let plain = load.layer("/f", &all, &route(Some(0), Priority::Low), Some("/health")).unwrap();
        assert_eq!(ask(&plain, "/health?node=1").await.status(), 200, "whoever asks may add to it");
    }

    fn taken(layer: &super::super::Overload) -> usize {
        layer.0.places.iter().map(|(places, _)| places.taken()).sum()
    }

    /// A request to this service below the layer.
    async fn ask_of<F>(layer: super::super::Overload, app: fn() -> F) -> Response<Body>
    where
        F: Future<Output = Result<Response<Body>, Infallible>>,
    {
        let app = tower::service_fn(move |_: Request<Body>| app());
        layer.layer(app).oneshot(Request::new(seaworthy_core::empty_body())).await.unwrap()
    }

    #[tokio::test]
    async fn however_a_request_ends_its_places_are_free_once() {
        let all = OverloadSettings { concurrency: Some(5), latency_target: Some(HumanDuration::seconds(1)) };
        let load = Load::default();
        let layer = load.layer("/a", &all, &route(Some(5), Priority::High), None).unwrap();
        let (shedder, _) = layer.0.shedding.clone().unwrap();
        let kept = ask(&layer, "/a").await;
        let is_one = |told: &str| assert_eq!((taken(&layer), shedder.waiting()), (2, 0), "{told}");
        is_one("the one that is kept");
        let panicked =
            std::panic::AssertUnwindSafe(ask_of(layer.clone(), || async { panic!("a defect") })).catch_unwind().await;
        assert!(panicked.is_err());
        is_one("a panic");
        let mut gone = Box::pin(ask_of(layer.clone(), std::future::pending));
        assert!(futures_util::poll!(&mut gone).is_pending());
        assert_eq!((taken(&layer), shedder.waiting()), (4, 1));
        drop(gone);
        is_one("a client that has gone");
        let upgraded = ask_of(layer.clone(), || async {
            let mut response = Response::new(seaworthy_core::empty_body());
            *response.status_mut() = http::StatusCode::SWITCHING_PROTOCOLS;
            Ok(response)
        });
        let upgraded = upgraded.await;
        is_one("a WebSocket has been answered");
        drop(upgraded);
        let stream = ask_of(layer.clone(), || async {
            let first = Ok(Frame::data(Bytes::from_static(b"data: 1\n\n")));
            let stream = futures_util::StreamExt::chain(
                futures_util::stream::iter([first]),
                futures_util::stream::pending::<Result<Frame<Bytes>, BoxError>>(),
            );
            Ok(Response::new(http_body_util::StreamBody::new(stream).boxed_unsync()))
        });
        let mut stream = stream.await.into_body();
        assert!(stream.frame().await.is_some());
        assert_eq!((taken(&layer), shedder.waiting()), (4, 0), "a stream is not at its end");
        drop(stream);
        is_one("a stream that nobody reads on");
        drop(kept);
        assert_eq!(taken(&layer), 0);
    }

    #[tokio::test]
    async fn a_client_chooses_no_priority() {
        let load = Load::default();
        let all = OverloadSettings { concurrency: Some(10), latency_target: None };
        let low = load.layer("/l", &all, &route(None, Priority::Low), None).unwrap();
        let mut held = Vec::new();
        for _ in 0..6 {
            held.push(ask(&low, "/").await);
        }
        let app = tower::service_fn(|_| async { Ok::<_, Infallible>(Response::new(full_body("hello"))) });
        let request = Request::get("/?priority=high").header("priority", "u=0").header("x-priority", "high");
        let request = request.body(seaworthy_core::empty_body()).unwrap();
        assert_eq!(low.layer(app).oneshot(request).await.unwrap().status(), 503);
    }

    #[tokio::test]
    async fn a_client_that_sends_slowly_does_not_make_the_app_look_slow() {
        let all =
            OverloadSettings { concurrency: None, latency_target: Some(HumanDuration(Duration::from_millis(500))) };
        // One for each: a window may end meanwhile.
        let layer = || Load::default().layer("/a", &all, &route(None, Priority::High), None).unwrap();
        let judged = |layer: &super::super::Overload| layer.0.shedding.as_ref().unwrap().0.judged();
        // The clock of the shedder is the real one.
        let slow_body = || {
            let wait = async {
                tokio::time::sleep(Duration::from_millis(900)).await;
                Ok::<_, BoxError>(Frame::data(Bytes::from_static(b"late")))
            };
            http_body_util::StreamBody::new(futures_util::stream::once(wait)).boxed_unsync()
        };
        let reads = tower::service_fn(|request: Request<Body>| async {
            request.into_body().collect().await.unwrap();
            Ok::<_, Infallible>(Response::new(full_body("hello")))
        });
        let read = layer();
        read.layer(reads).oneshot(Request::new(slow_body())).await.unwrap();
        assert_eq!(judged(&read), (1, 0));
        let works = tower::service_fn(|_: Request<Body>| async {
            tokio::time::sleep(Duration::from_millis(900)).await;
            Ok::<_, Infallible>(Response::new(full_body("hello")))
        });
        let unread = layer();
        unread.layer(works).oneshot(Request::new(slow_body())).await.unwrap();
        assert_eq!(judged(&unread), (1, 1), "what the app does not read is not waited for");
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
