//! The layer: looks at the beginning of an error answer before anybody else sees it.

use std::{
    convert::Infallible,
    future::Future,
    io::Read,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use flate2::read::{MultiGzDecoder, ZlibDecoder};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header};
use http_body::{Body as HttpBody, Frame};
use http_body_util::BodyExt;
use seaworthy_core::{Body, BoxError, Problem, ProblemKind, RequestContext};
use tokio::time::{Sleep, sleep};
use tower::{Layer, Service};

use super::{Traces, signs};

/// What is looked at: frameworks put the trace first.
const LOOKED_AT: usize = 64 * 1024;
/// A compressed body that promises more than this is not unfolded further.
const UNFOLDED: u64 = 256 * 1024;
/// An error that is streamed so slowly is no page.
const PATIENCE: Duration = Duration::from_secs(2);

const TRACE_REMOVED: ProblemKind = ProblemKind {
    code: "SEA_PROTECTION_TRACE_REMOVED",
    status: StatusCode::INTERNAL_SERVER_ERROR,
    title: "The app failed to answer this request",
    advice: "Try again later; if it stays, report the request id. Operators: the app showed its inside, see the log.",
};

/// Headers of a replaced answer that still mean something.
const KEPT: [HeaderName; 5] =
    [header::RETRY_AFTER, header::SET_COOKIE, header::WWW_AUTHENTICATE, header::ALLOW, header::VARY];

/// The layer. Absent from a pipeline whose traces may pass.
#[derive(Debug, Clone, Copy)]
pub struct Disclosure;

/// The service of [`Disclosure`].
#[derive(Debug, Clone)]
pub struct DisclosureService<S>(S);

impl Disclosure {
    /// The layer; `None` when traces pass.
    pub fn layer(traces: Traces) -> Option<Self> {
        (traces == Traces::Replace).then_some(Self)
    }
}

impl<S> Layer<S> for Disclosure {
    type Service = DisclosureService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        DisclosureService(inner)
    }
}

impl<S> Service<Request<Body>> for DisclosureService<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = DisclosureFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let context = request.extensions().get::<Arc<RequestContext>>().cloned();
        DisclosureFuture { inner: self.0.call(request), context, looking: None }
    }
}

pin_project_lite::pin_project! {
    /// The future of [`DisclosureService`].
    pub struct DisclosureFuture<F> {
        #[pin]
        inner: F,
        context: Option<Arc<RequestContext>>,
        // Only errors have it: a box for each of those is no matter.
        looking: Option<Box<Looking>>,
    }
}

impl<F> Future for DisclosureFuture<F>
where
    F: Future<Output = Result<Response<Body>, Infallible>>,
{
    type Output = Result<Response<Body>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if this.looking.is_none() {
            let Ok(response) = ready!(this.inner.poll(cx));
            if this.context.is_none() || !is_looked_at(&response) {
                return Poll::Ready(Ok(response));
            }
            *this.looking = Some(Box::new(Looking::new(response)));
        }
        if let Some(looking) = this.looking.as_mut() {
            ready!(looking.poll(cx));
        }
        match (this.looking.take(), this.context) {
            (Some(looking), Some(context)) => Poll::Ready(Ok(looking.judge(context))),
            // The two lines above have seen to both; a future asked again after its answer waits.
            _ => Poll::Pending,
        }
    }
}

/// Errors in text, HTML or JSON; ours are not the app's.
fn is_looked_at(response: &Response<Body>) -> bool {
    let status = response.status();
    if !(status.is_client_error() || status.is_server_error()) || response.extensions().get::<ProblemKind>().is_some() {
        return false;
    }
    let kind = response.headers().get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or(b"text/plain");
    let essence = kind.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    let is = |known: &[u8]| essence.eq_ignore_ascii_case(known);
    let json =
        is(b"application/json") || essence.len() > 5 && essence[essence.len() - 5..].eq_ignore_ascii_case(b"+json");
    let readable = is(b"text/html") || is(b"text/plain") || json;
    readable && Coding::of(response.headers()).is_some() && !response.body().is_end_stream()
}

/// Codings that can be looked into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    Plain,
    Gzip,
    Deflate,
}

impl Coding {
    fn of(headers: &HeaderMap) -> Option<Self> {
        match headers.get(header::CONTENT_ENCODING).map(HeaderValue::as_bytes) {
            None | Some(b"identity") => Some(Self::Plain),
            Some(b"gzip" | b"x-gzip") => Some(Self::Gzip),
            Some(b"deflate") => Some(Self::Deflate),
            Some(_) => None,
        }
    }

    /// What can be read of a beginning.
    fn unfold(self, start: &[u8]) -> Vec<u8> {
        let mut text = Vec::new();
        // A beginning ends in the middle: what came before the error is what there is to see.
        let _ = match self {
            Self::Plain => return start.to_vec(),
            Self::Gzip => MultiGzDecoder::new(start).take(UNFOLDED).read_to_end(&mut text),
            Self::Deflate => ZlibDecoder::new(start).take(UNFOLDED).read_to_end(&mut text),
        };
        text
    }
}

/// An answer whose beginning is being read.
struct Looking {
    head: http::response::Parts,
    body: Body,
    start: BytesMut,
    /// What came and is no data: trailers, or the error that ended it.
    last: Option<Result<Frame<Bytes>, BoxError>>,
    ended: bool,
    patience: Pin<Box<Sleep>>,
}

impl Looking {
    fn new(response: Response<Body>) -> Self {
        let (head, body) = response.into_parts();
        let patience = Box::pin(sleep(PATIENCE));
        Self { head, body, start: BytesMut::new(), last: None, ended: false, patience }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.start.len() < LOOKED_AT && !self.ended {
            let frame = match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Ready(frame) => frame,
                // It has waited long enough: what is there goes on its way.
                Poll::Pending => return self.patience.as_mut().poll(cx),
            };
            match frame {
                Some(Ok(frame)) if frame.is_data() => {
                    self.start.extend_from_slice(frame.data_ref().map(|data| &**data).unwrap_or_default());
                }
                last => {
                    self.last = last;
                    self.ended = true;
                }
            }
        }
        Poll::Ready(())
    }

    /// The answer as it was, or a problem in its place.
    fn judge(mut self, context: &RequestContext) -> Response<Body> {
        let server_error = self.head.status.is_server_error();
        let text = Coding::of(&self.head.headers).map(|coding| coding.unfold(&self.start)).unwrap_or_default();
        let Some(what) = signs::found(&text, server_error) else {
            let start = Some(mem::take(&mut self.start).freeze()).filter(|start| !start.is_empty());
            let body = Started { start, last: self.last, rest: (!self.ended).then_some(self.body) };
            return Response::from_parts(self.head, body.boxed_unsync());
        };
        let status = self.head.status.as_u16();
        tracing::warn!(request_id = %context.id, route = %context.route, status, what, "the app showed its inside; it was replaced");
        let mut replaced =
            Problem::new(ProblemKind { status: self.head.status, ..TRACE_REMOVED }).into_response(context);
        for (name, value) in &self.head.headers {
            if KEPT.contains(name) || name.as_str().starts_with("access-control-") {
                replaced.headers_mut().append(name, value.clone());
            }
        }
        replaced
    }
}

/// A body whose beginning was read already.
struct Started {
    start: Option<Bytes>,
    last: Option<Result<Frame<Bytes>, BoxError>>,
    rest: Option<Body>,
}

impl HttpBody for Started {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Some(start) = self.start.take() {
            return Poll::Ready(Some(Ok(Frame::data(start))));
        }
        if let Some(last) = self.last.take() {
            return Poll::Ready(Some(last));
        }
        match &mut self.rest {
            Some(rest) => Pin::new(rest).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.start.is_none() && self.last.is_none() && self.rest.as_ref().is_none_or(HttpBody::is_end_stream)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};
    use http_body_util::StreamBody;
    use seaworthy_core::{RequestId, empty_body, full_body};
    use tower::ServiceExt;

    use super::*;

    const TRACE: &str = "{\"detail\":\"Traceback (most recent call last): secret\"}";

    async fn through(response: Response<Body>) -> (http::response::Parts, Result<Bytes, BoxError>) {
        let cell = std::sync::Mutex::new(Some(response));
        let app = tower::service_fn(move |_| {
            let response = cell.lock().unwrap().take().unwrap();
            async { Ok::<_, Infallible>(response) }
        });
        let context = RequestContext::new(RequestId::from_client(&HeaderValue::from_static("r-1")).unwrap());
        let request = Request::builder().extension(Arc::new(context)).body(empty_body()).unwrap();
        let response = Disclosure::layer(Traces::Replace).unwrap().layer(app).oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        (head, body.collect().await.map(http_body_util::Collected::to_bytes))
    }

    fn answer(status: u16, kind: &str, body: Body) -> Response<Body> {
        Response::builder().status(status).header("content-type", kind).header("set-cookie", "a=1").body(body).unwrap()
    }

    #[tokio::test]
    async fn a_trace_is_replaced_and_the_status_stays() {
        let (head, body) = through(answer(503, "application/json", full_body(TRACE))).await;
        let body = String::from_utf8(body.unwrap().to_vec()).unwrap();
        assert_eq!(
            (head.status.as_u16(), head.headers["content-type"].to_str().unwrap()),
            (503, "application/problem+json")
        );
        assert!(
            !body.contains("secret") && body.contains("r-1") && body.contains("SEA_PROTECTION_TRACE_REMOVED"),
            "{body}"
        );
        assert_eq!(head.headers["set-cookie"], "a=1");
    }

    #[tokio::test]
    async fn a_compressed_trace_is_found_too() {
        let mut folded = GzEncoder::new(Vec::new(), Compression::fast());
        folded.write_all(TRACE.as_bytes()).unwrap();
        let mut response = answer(500, "application/json", full_body(folded.finish().unwrap()));
        response.headers_mut().insert("content-encoding", HeaderValue::from_static("gzip"));
        let (head, body) = through(response).await;
        assert!(!head.headers.contains_key("content-encoding"));
        assert!(body.unwrap().starts_with(b"{\"type\""));
        // A text that unfolds without end is looked at for a while.
        let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
        bomb.write_all(&vec![b'a'; 32 << 20]).unwrap();
        let bomb = bomb.finish().unwrap();
        let mut response = answer(500, "text/plain", full_body(bomb.clone()));
        response.headers_mut().insert("content-encoding", HeaderValue::from_static("gzip"));
        assert_eq!(through(response).await.1.unwrap(), bomb);
    }

    #[tokio::test]
    async fn other_answers_pass_byte_by_byte() {
        let long = Bytes::from(vec![b'x'; 300_000]);
        for (status, kind, body) in [
            (200, "application/json", Bytes::from(TRACE)),
            (422, "application/json", Bytes::from(TRACE)),
            (500, "application/octet-stream", Bytes::from(TRACE)),
            (500, "text/html", long.clone()),
            (500, "application/json", Bytes::from("{\"error\":\"no\"}")),
        ] {
            let pieces: Vec<_> =
                body.chunks(7_000).map(|piece| Ok(Frame::data(Bytes::copy_from_slice(piece)))).collect();
            let stream = StreamBody::new(futures_util::stream::iter(pieces)).boxed_unsync();
            let (head, passed) = through(answer(status, kind, stream)).await;
            assert_eq!((head.status.as_u16(), passed.unwrap()), (status, body), "{status} {kind}");
        }
    }

    #[tokio::test]
    async fn an_answer_that_breaks_off_still_breaks_off() {
        let pieces: Vec<Result<Frame<Bytes>, BoxError>> =
            vec![Ok(Frame::data(Bytes::from_static(b"half"))), Err("gone".into())];
        let (_, body) =
            through(answer(500, "text/plain", StreamBody::new(futures_util::stream::iter(pieces)).boxed_unsync()))
                .await;
        assert!(body.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_stream_is_not_held_back_for_long() {
        let slow = futures_util::stream::once(async { Ok(Frame::data(Bytes::from_static(b"data: 1\n\n"))) });
        let slow = futures_util::StreamExt::chain(slow, futures_util::stream::pending());
        let response = answer(500, "text/plain", StreamBody::new(slow).boxed_unsync());
        let began = tokio::time::Instant::now();
        let app = std::sync::Mutex::new(Some(response));
        let app = tower::service_fn(move |_| {
            let response = app.lock().unwrap().take().unwrap();
            async { Ok::<_, Infallible>(response) }
        });
        let context = RequestContext::new(RequestId::from_client(&HeaderValue::from_static("r-1")).unwrap());
        let request = Request::builder().extension(Arc::new(context)).body(empty_body()).unwrap();
        let mut response = Disclosure.layer(app).oneshot(request).await.unwrap();
        assert_eq!(began.elapsed(), PATIENCE);
        assert_eq!(response.body_mut().frame().await.unwrap().unwrap().into_data().unwrap(), "data: 1\n\n");
    }

    #[test]
    fn off_is_absent() {
        assert!(Disclosure::layer(Traces::Pass).is_none());
    }
}
