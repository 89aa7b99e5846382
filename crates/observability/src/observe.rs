//! The outermost layer: sees each request from its head to the last byte of its answer, counts it and writes its line.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, Uri, header};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;
use seaworthy_core::{Body, BoxError, ProblemKind, RequestContext};
use tower::{Layer, Service};

use crate::{
    access::{AccessLog, Entry},
    route_metrics::RouteMetrics,
};

/// The status that a line and a metric show when the client left before the head of the answer (nginx's convention).
const CLIENT_LEFT: u16 = 499;

/// The layer of one route.
#[derive(Clone)]
pub struct Observe {
    metrics: Arc<RouteMetrics>,
    log: Option<AccessLog>,
}

/// The service of [`Observe`].
#[derive(Clone)]
pub struct ObserveService<S> {
    inner: S,
    observe: Observe,
}

impl Observe {
    /// Counts under this route's name and writes lines when there is a log.
    pub fn route(name: &str, log: Option<AccessLog>) -> Self {
        Self { metrics: Arc::new(RouteMetrics::new(name)), log }
    }
}

impl<S> Layer<S> for Observe {
    type Service = ObserveService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ObserveService { inner, observe: self.clone() }
    }
}

impl<S> Service<Request<Body>> for ObserveService<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = ObserveFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let record = request.extensions().get::<Arc<RequestContext>>().cloned().map(|context| {
            self.observe.metrics.begin();
            Record {
                observe: self.observe.clone(),
                context,
                method: request.method().clone(),
                uri: request.uri().clone(),
                user_agent: request.headers().get(header::USER_AGENT).cloned(),
                status: CLIENT_LEFT,
                bytes: 0,
                complete: false,
                broken: false,
                problem: None,
            }
        });
        ObserveFuture { inner: self.inner.call(request), record }
    }
}

pin_project_lite::pin_project! {
    /// The future of [`ObserveService`].
    pub struct ObserveFuture<F> {
        #[pin]
        inner: F,
        record: Option<Record>,
    }
}

impl<F> Future for ObserveFuture<F>
where
    F: Future<Output = Result<Response<Body>, Infallible>>,
{
    type Output = Result<Response<Body>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Ok(response) = ready!(this.inner.poll(cx));
        let Some(mut record) = this.record.take() else { return Poll::Ready(Ok(response)) };
        record.status = response.status().as_u16();
        record.problem = response.extensions().get::<ProblemKind>().map(|kind| kind.code);
        // HEAD, 204 and 304 carry no body whatever their Content-Length says (RFC 9110, 6.4.1).
        record.complete = response.body().is_end_stream() || record.method == Method::HEAD;
        Poll::Ready(Ok(response.map(|inner| ObservedBody { inner, record }.boxed_unsync())))
    }
}

/// What is known of a request so far. Dropping it is its end, however it came.
struct Record {
    observe: Observe,
    context: Arc<RequestContext>,
    method: Method,
    uri: Uri,
    user_agent: Option<HeaderValue>,
    status: u16,
    bytes: u64,
    complete: bool,
    /// The app ended its answer early.
    broken: bool,
    problem: Option<&'static str>,
}

impl Drop for Record {
    fn drop(&mut self) {
        let duration = self.context.received.elapsed();
        self.observe.metrics.end(&self.method, self.status, duration);
        if let Some(log) = &self.observe.log {
            log.write(&Entry {
                context: &self.context,
                method: &self.method,
                uri: &self.uri,
                user_agent: self.user_agent.as_ref(),
                status: self.status,
                bytes: self.bytes,
                duration,
                aborted: !self.complete && !self.broken,
                broken: self.broken,
                problem: self.problem,
            });
        }
    }
}

struct ObservedBody {
    inner: Body,
    record: Record,
}

impl HttpBody for ObservedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                self.record.bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
                self.record.complete = self.inner.is_end_stream();
            }
            Some(Err(_)) => self.record.broken = true,
            None => self.record.complete = true,
        }
        Poll::Ready(frame)
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
    use std::time::{Duration, Instant};

    use http::StatusCode;
    use seaworthy_core::{RequestId, full_body};
    use tower::ServiceExt;

    use super::*;
    use crate::{access::LineFormat, sink::LogSink};

    fn request() -> Request<Body> {
        let mut request = Request::new(seaworthy_core::empty_body());
        request.extensions_mut().insert(Arc::new(RequestContext {
            id: RequestId::from_client(&HeaderValue::from_static("r-1")).unwrap(),
            client: None,
            route: Arc::from("*"),
            received: Instant::now(),
            scheme: "http",
            version: "1.1",
            forwarded_host: None,
            client_headers: None,
            trace: None,
            wants_html: false,
            principal: Default::default(),
        }));
        request
    }

    async fn line_after(end: impl AsyncFnOnce(Response<Body>)) -> serde_json::Value {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let sink = LogSink::file(&path).unwrap();
        let layer = Observe::route("*", Some(AccessLog::new(sink.clone(), LineFormat::Json)));
        let inner = tower::service_fn(|_| async {
            let mut response = Response::new(full_body("four"));
            *response.status_mut() = StatusCode::CREATED;
            Ok::<_, Infallible>(response)
        });
        let response = layer.layer(inner).oneshot(request()).await.unwrap();
        end(response).await;
        assert!(sink.flush(Duration::from_secs(5)));
        serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap()
    }

    #[tokio::test]
    async fn a_request_that_was_read_to_the_end_has_one_complete_line() {
        let line = line_after(async |response| {
            response.into_body().collect().await.unwrap();
        })
        .await;
        assert_eq!((line["status"].as_u64(), line["bytes"].as_u64()), (Some(201), Some(4)));
        assert!(line.get("aborted").is_none());
    }

    #[tokio::test]
    async fn a_client_that_leaves_is_seen() {
        let line = line_after(async |response| drop(response)).await;
        assert_eq!(line["aborted"], true);
        assert_eq!(line["bytes"], 0);
    }
}
