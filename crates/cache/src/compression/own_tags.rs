//! The app's own entity tags, also on routes that compress nothing (RFC 9110, 8.8.3.3 and 13.1.1).
//!
//! A client has the tag of a compressed answer from another route of the same address (`GET` compresses and `PUT` does not),
//! or from before a reload that turned compression off. The app made `"v1"` and has never heard of `"v1~br"`: `If-Match`
//! with it would be refused with 412 for ever. So our names are taken off everywhere; `~` before the name of a coding at the
//! end of a tag is what nobody else writes.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{HeaderValue, Request, Response, StatusCode};
use seaworthy_core::Body;
use tower::{Layer, Service};

use super::tags;

/// The layer, for a route that compresses nothing: [`super::Compress`] does the same itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct OwnTags;

/// The service of [`OwnTags`].
#[derive(Debug, Clone)]
pub struct OwnTagsService<S>(S);

impl<S> Layer<S> for OwnTags {
    type Service = OwnTagsService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        OwnTagsService(inner)
    }
}

impl<S> Service<Request<Body>> for OwnTagsService<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = OwnTagsFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let sent = tags::unmark(request.headers_mut());
        OwnTagsFuture { inner: self.0.call(request), sent }
    }
}

pin_project_lite::pin_project! {
    /// The future of [`OwnTagsService`].
    pub struct OwnTagsFuture<F> {
        #[pin]
        inner: F,
        sent: Option<HeaderValue>,
    }
}

impl<F> Future for OwnTagsFuture<F>
where
    F: Future<Output = Result<Response<Body>, Infallible>>,
{
    type Output = Result<Response<Body>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Ok(mut response) = ready!(this.inner.poll(cx));
        if let Some(sent) = this.sent.as_ref().filter(|_| response.status() == StatusCode::NOT_MODIFIED) {
            tags::remark(response.headers_mut(), sent);
        }
        Poll::Ready(Ok(response))
    }
}

#[cfg(test)]
mod tests {
    use http::{
        HeaderName,
        header::{ETAG, IF_MATCH, IF_NONE_MATCH},
    };
    use seaworthy_core::empty_body;
    use tower::ServiceExt;

    use super::*;

    /// What an app with the strong tag `"v1"` answers, which compares tags as most do: by the whole text.
    async fn ask(name: HeaderName, tags: &'static str) -> Response<Body> {
        let app = tower::service_fn(|request: Request<Body>| async move {
            let mut response = Response::new(empty_body());
            response.headers_mut().insert(ETAG, HeaderValue::from_static("\"v1\""));
            *response.status_mut() = match (request.headers().get(IF_MATCH), request.headers().get(IF_NONE_MATCH)) {
                (Some(tag), _) if tag != "\"v1\"" => StatusCode::PRECONDITION_FAILED,
                (_, Some(tag)) if tag == "\"v1\"" => StatusCode::NOT_MODIFIED,
                _ => StatusCode::OK,
            };
            Ok::<_, Infallible>(response)
        });
        let mut request = Request::new(empty_body());
        request.headers_mut().insert(name, HeaderValue::from_static(tags));
        OwnTags.layer(app).oneshot(request).await.unwrap()
    }

    #[tokio::test]
    async fn a_tag_of_a_compressed_answer_holds_where_nothing_is_compressed() {
        for same in ["\"v1\"", "\"v1~br\"", "\"v1~gzip\"", "\"v1~zstd\""] {
            assert_eq!(ask(IF_MATCH, same).await.status(), StatusCode::OK, "{same}");
            let known = ask(IF_NONE_MATCH, same).await;
            assert_eq!(known.status(), StatusCode::NOT_MODIFIED, "{same}");
            assert_eq!(known.headers()[ETAG], same, "the client's own copy is the one that is confirmed");
        }
        for other in ["\"v2~br\"", "\"v1~\"", "\"v1~lzw\"", "\"v1-gzip\""] {
            assert_eq!(ask(IF_MATCH, other).await.status(), StatusCode::PRECONDITION_FAILED, "{other}");
        }
    }
}
