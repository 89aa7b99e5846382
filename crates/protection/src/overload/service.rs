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
use seaworthy_core::{Body, BoxError, Problem, ProblemKind, RequestContext};
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
    match context {
        Some(context) => Problem::new(kind).retry_after(seconds).into_response(context),
        // Only reachable outside the edge, which always adds the context.
        None => {
            let mut bare = Response::new(seaworthy_core::empty_body());
            *bare.status_mut() = kind.status;
            bare
        }
    }
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
