//! ETags for answers that have none: a digest of the body, and 304 for whoever has the same already (RFC 9110, 8.8 and 13).
//!
//! They are weak: whatever compresses the answer on its way changes its bytes and not what it says.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};
use http::{
    HeaderValue, Method, Request, Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, ETAG},
    response::Parts,
};
use http_body::Body as HttpBody;
use http_body_util::BodyExt;
use seaworthy_config::ByteSize;
use seaworthy_core::{Body, BoxError, empty_body, full_body};
use sha2::{Digest, Sha256};
use tokio_util::either::Either;
use tower::{Layer, Service};

use crate::{app::App, conditions};

/// Larger bodies are hashed away from the core that serves.
const HASHED_IN_PLACE: usize = 64 << 10;

/// The layer.
#[derive(Debug, Clone, Copy)]
pub struct Etags {
    limit: u64,
}

/// The service of [`Etags`].
#[derive(Debug, Clone)]
pub struct EtagsService<S> {
    inner: S,
    /// The same, its type erased.
    app: App,
    limit: u64,
}

impl Etags {
    /// The layer for answers up to this size; `None` when it is off.
    pub fn layer(limit: ByteSize) -> Option<Self> {
        (limit.0 > 0).then_some(Self { limit: limit.0 })
    }
}

impl<S> Layer<S> for Etags
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
{
    type Service = EtagsService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        EtagsService { app: App::new(inner.clone()), inner, limit: self.limit }
    }
}

impl<S> Service<Request<Body>> for EtagsService<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Either<S::Future, Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if *request.method() != Method::GET {
            return Either::Left(self.inner.call(request));
        }
        let (app, limit, headers) = (self.app.clone(), self.limit, request.headers().clone());
        Either::Right(Box::pin(async move {
            let Ok(response) = app.ask(request).await;
            if !gets_a_tag(&response, limit) {
                return Ok(response);
            }
            let (mut parts, body) = response.into_parts();
            let body = match whole(body).await {
                Ok(body) => body,
                // It cannot be told any more, and must not look whole.
                Err(error) => return Ok(Response::from_parts(parts, broken(error))),
            };
            let Some(tag) = tag(body.clone()).await else { return Ok(Response::from_parts(parts, full_body(body))) };
            if conditions::names(&headers, &tag) {
                return Ok(not_modified(parts, tag));
            }
            parts.headers.insert(ETAG, tag);
            Ok(Response::from_parts(parts, full_body(body)))
        }))
    }
}

fn not_modified(mut parts: Parts, tag: HeaderValue) -> Response<Body> {
    parts.status = StatusCode::NOT_MODIFIED;
    conditions::keep_for_304(&mut parts.headers);
    parts.headers.insert(ETAG, tag);
    Response::from_parts(parts, empty_body())
}

/// A whole answer of known length, up to the limit, that may be kept by somebody. Streams have no length.
fn gets_a_tag(response: &Response<Body>, limit: u64) -> bool {
    let headers = response.headers();
    let is = |name, word: &str| {
        headers.get(name).is_some_and(|value: &HeaderValue| value.to_str().is_ok_and(|text| text.contains(word)))
    };
    response.status() == StatusCode::OK
        && !headers.contains_key(ETAG)
        && response.body().size_hint().exact().is_some_and(|length| length <= limit)
        && !is(CACHE_CONTROL, "no-store")
        && !is(CONTENT_TYPE, "text/event-stream")
}

async fn whole(mut body: Body) -> Result<Bytes, BoxError> {
    let mut whole = BytesMut::with_capacity(usize::try_from(body.size_hint().lower()).unwrap_or_default());
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            whole.extend_from_slice(&data);
        }
    }
    Ok(whole.freeze())
}

fn broken(error: BoxError) -> Body {
    Broken(Some(error)).boxed_unsync()
}

/// A body that only fails.
struct Broken(Option<BoxError>);

impl HttpBody for Broken {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, BoxError>>> {
        Poll::Ready(self.0.take().map(Err))
    }
}

/// Half of a SHA-256, in hexadecimal digits. `None` only while the process ends.
async fn tag(body: Bytes) -> Option<HeaderValue> {
    let digest = |body: Bytes| <[u8; 32]>::from(Sha256::digest(&body));
    let digest = match body.len() {
        ..=HASHED_IN_PLACE => digest(body),
        _ => tokio::task::spawn_blocking(move || digest(body)).await.ok()?,
    };
    let digits: String = digest[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    HeaderValue::from_str(&format!("W/\"{digits}\"")).ok()
}

#[cfg(test)]
mod tests {
    use tower::ServiceExt;

    use super::*;

    async fn ask(
        body: &'static str,
        answer: &[(&'static str, &'static str)],
        request: &[(&'static str, &str)],
    ) -> Response<Body> {
        let answer: Vec<_> = answer.to_vec();
        let app = tower::service_fn(move |_| {
            let mut response = Response::builder();
            for (name, value) in &answer {
                response = response.header(*name, *value);
            }
            let response = response.body(full_body(body)).unwrap();
            async { Ok::<_, Infallible>(response) }
        });
        let mut asked = Request::builder().uri("/");
        for (name, value) in request {
            asked = asked.header(*name, *value);
        }
        let layer = Etags::layer(ByteSize(100_000)).unwrap();
        layer.layer(app).oneshot(asked.body(empty_body()).unwrap()).await.unwrap()
    }

    #[tokio::test]
    async fn the_same_is_not_sent_twice() {
        let first = ask("hello", &[("content-length", "5")], &[]).await;
        let tag = first.headers()[ETAG].to_str().unwrap().to_owned();
        assert_eq!(first.into_body().collect().await.unwrap().to_bytes(), "hello");
        assert!(tag.starts_with("W/\"") && tag.len() == 36, "{tag}");
        let again = ask("hello", &[("content-length", "5"), ("x", "y")], &[("if-none-match", &tag)]).await;
        assert_eq!((again.status().as_u16(), again.headers()[ETAG].to_str().unwrap()), (304, &*tag));
        assert!(!again.headers().contains_key("content-length") && again.headers()["x"] == "y");
        assert!(again.into_body().is_end_stream());
        let changed = ask("hallo", &[], &[("if-none-match", &tag)]).await;
        assert_eq!(changed.status(), 200);
        assert_ne!(changed.headers()[ETAG], *tag);
    }

    #[tokio::test]
    async fn what_has_a_tag_or_is_nobodys_to_keep_stays_as_it_is() {
        assert_eq!(ask("a", &[("etag", "\"own\"")], &[]).await.headers()[ETAG], "\"own\"");
        for answer in [[("cache-control", "private, no-store")], [("content-type", "text/event-stream")]] {
            assert!(!ask("a", &answer, &[]).await.headers().contains_key(ETAG), "{answer:?}");
        }
        let large: &'static str = "x".repeat(100_001).leak();
        assert!(!ask(large, &[], &[]).await.headers().contains_key(ETAG));
        let fits: &'static str = "x".repeat(100_000).leak();
        assert!(ask(fits, &[], &[]).await.headers().contains_key(ETAG), "hashed elsewhere");
        assert!(Etags::layer(ByteSize(0)).is_none());
    }
}
