//! Refuses request bodies over a limit: at once when the length is announced, else at the byte that is too many.

use std::{
    convert::Infallible,
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;
use seaworthy_config::ByteSize;
use seaworthy_core::{Body, BoxError, Problem, ProblemKind, RequestContext};
use tokio::time::{Sleep, sleep};
use tower::{Layer, Service};

const TOO_LARGE: ProblemKind = ProblemKind {
    code: "SEA_PROTECTION_BODY_TOO_LARGE",
    status: StatusCode::PAYLOAD_TOO_LARGE,
    title: "The request body is too large",
    advice: "Send less at once. Operators: `body_limit` of the route or of [protection] sets the limit.",
};

/// The layer.
#[derive(Debug, Clone, Copy)]
pub struct BodyLimit(ByteSize);

/// The service of [`BodyLimit`].
#[derive(Debug, Clone)]
pub struct BodyLimitService<S> {
    inner: S,
    limit: ByteSize,
}

impl BodyLimit {
    /// Bodies of exactly `limit` bytes pass.
    pub fn new(limit: ByteSize) -> Self {
        Self(limit)
    }
}

impl<S> Layer<S> for BodyLimit {
    type Service = BodyLimitService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        BodyLimitService { inner, limit: self.0 }
    }
}

impl<S> Service<Request<Body>> for BodyLimitService<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BodyLimitFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if request.body().is_end_stream() {
            // Most requests: nothing to count, nothing to refuse.
            return BodyLimitFuture { inner: Some(self.inner.call(request)), refusal: None };
        }
        let refusal = Refusal {
            limit: self.limit,
            context: request.extensions().get::<Arc<RequestContext>>().cloned(),
            // A client that waits for `100 Continue` has sent nothing yet, and is spared from sending it.
            unsent: request.headers().contains_key(header::EXPECT) && request.body().size_hint().exact().is_some(),
            excess: Arc::default(),
        };
        if request.body().size_hint().lower() > self.limit.0 {
            refusal.excess.store(request.into_body());
            return BodyLimitFuture { inner: None, refusal: Some(refusal) };
        }
        let (left, excess) = (self.limit.0, refusal.excess.clone());
        let request = request.map(|inner| LimitedBody { inner: Some(inner), left, excess }.boxed_unsync());
        BodyLimitFuture { inner: Some(self.inner.call(request)), refusal: Some(refusal) }
    }
}

struct Refusal {
    limit: ByteSize,
    context: Option<Arc<RequestContext>>,
    unsent: bool,
    excess: Arc<Excess>,
}

/// Where a body that was too large waits for the refusal.
#[derive(Default)]
struct Excess(Mutex<Option<Body>>);

impl Excess {
    fn store(&self, body: Body) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(body);
    }

    fn take(&self) -> Option<Body> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Refusal {
    fn response(&self, rest: Body) -> Response<Body> {
        let problem = Problem::new(TOO_LARGE).detail(format!("The limit is {} bytes.", self.limit.0));
        let mut response = match &self.context {
            Some(context) => problem.into_response(context),
            // Only reachable outside the edge, which always adds the context.
            None => {
                let mut response = Response::new(seaworthy_core::empty_body());
                *response.status_mut() = StatusCode::PAYLOAD_TOO_LARGE;
                response
            }
        };
        // The rest of the body is not read for long, so the connection cannot carry another request (RFC 9112, 9.3).
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        if self.unsent { response } else { response.map(|answer| Lingering::new(answer, rest).boxed_unsync()) }
    }
}

pin_project_lite::pin_project! {
    /// The future of [`BodyLimitService`].
    pub struct BodyLimitFuture<F> {
        #[pin]
        inner: Option<F>,
        refusal: Option<Refusal>,
    }
}

impl<F> Future for BodyLimitFuture<F>
where
    F: Future<Output = Result<Response<Body>, Infallible>>,
{
    type Output = Result<Response<Body>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let answer = match this.inner.as_pin_mut() {
            Some(inner) => Some(ready!(inner.poll(cx))),
            None => None,
        };
        match (answer, this.refusal) {
            // The app's answer to a body that we cut is about the cut, not about the request.
            (answer, Some(refusal)) => match (refusal.excess.take(), answer) {
                (Some(rest), _) => Poll::Ready(Ok(refusal.response(rest))),
                (None, Some(answer)) => Poll::Ready(answer),
                (None, None) => Poll::Pending,
            },
            (Some(answer), None) => Poll::Ready(answer),
            (None, None) => Poll::Pending,
        }
    }
}

/// The reason why a body ended early.
#[derive(Debug)]
struct Exceeded;

impl fmt::Display for Exceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the request body is larger than its limit")
    }
}

impl std::error::Error for Exceeded {}

struct LimitedBody {
    /// `None` once it was too large.
    inner: Option<Body>,
    left: u64,
    excess: Arc<Excess>,
}

impl HttpBody for LimitedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Some(inner) = &mut self.inner else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(inner).poll_frame(cx));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            match self.left.checked_sub(data.len() as u64) {
                Some(left) => self.left = left,
                None => {
                    if let Some(body) = self.inner.take() {
                        self.excess.store(body);
                    }
                    return Poll::Ready(Some(Err(Exceeded.into())));
                }
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map(HttpBody::size_hint).unwrap_or_default()
    }
}

/// How long the rest of a refused body is still read.
const LINGER: Duration = Duration::from_secs(5);

/// The refusal first, and then the rest of the request's body is read and thrown away for a while. Closed at once, the
/// connection would be reset, and a client that is still sending would see that in place of the 413.
struct Lingering {
    answer: Body,
    rest: Option<Body>,
    deadline: Pin<Box<Sleep>>,
}

impl Lingering {
    fn new(answer: Body, rest: Body) -> Self {
        Self { answer, rest: Some(rest), deadline: Box::pin(sleep(LINGER)) }
    }
}

impl HttpBody for Lingering {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        if !this.answer.is_end_stream()
            && let Some(frame) = ready!(Pin::new(&mut this.answer).poll_frame(cx))
        {
            return Poll::Ready(Some(frame));
        }
        while let Some(rest) = &mut this.rest {
            if this.deadline.as_mut().poll(cx).is_ready() {
                break;
            }
            match ready!(Pin::new(rest).poll_frame(cx)) {
                Some(Ok(_)) => {}
                Some(Err(_)) | None => this.rest = None,
            }
        }
        Poll::Ready(None)
    }
}

#[cfg(test)]
mod tests {
    use seaworthy_core::full_body;
    use tower::ServiceExt;

    use super::*;

    /// What the app answered or would have seen.
    async fn send(body: Body, limit: u64) -> StatusCode {
        let app = tower::service_fn(|request: Request<Body>| async move {
            let mut response = Response::new(seaworthy_core::empty_body());
            if request.into_body().collect().await.is_err() {
                *response.status_mut() = StatusCode::BAD_GATEWAY;
            }
            Ok::<_, Infallible>(response)
        });
        let service = BodyLimit::new(ByteSize(limit)).layer(app);
        service.oneshot(Request::new(body)).await.unwrap().status()
    }

    /// A body whose length nobody announced.
    struct Pieces(std::collections::VecDeque<&'static str>);

    impl HttpBody for Pieces {
        type Data = Bytes;
        type Error = BoxError;

        fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
            Poll::Ready(self.0.pop_front().map(|piece| Ok(Frame::data(Bytes::from_static(piece.as_bytes())))))
        }
    }

    fn chunked(pieces: &[&'static str]) -> Body {
        Pieces(pieces.iter().copied().collect()).boxed_unsync()
    }

    #[tokio::test]
    async fn exactly_the_limit_passes_and_one_more_does_not() {
        assert_eq!(send(full_body("12345"), 5).await, StatusCode::OK);
        assert_eq!(send(full_body("123456"), 5).await, StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(send(chunked(&["123", "45"]), 5).await, StatusCode::OK);
        assert_eq!(send(chunked(&["123", "456"]), 5).await, StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(send(seaworthy_core::empty_body(), 0).await, StatusCode::OK);
    }
}
