//! Adds the security headers to whatever passes, our own errors included.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{HeaderName, HeaderValue, Request, Response, StatusCode, header::STRICT_TRANSPORT_SECURITY};
use seaworthy_core::{Body, RequestContext};
use tower::{Layer, Service};

use crate::settings::HeaderSettings;

/// The layer; its headers are parsed once, when the config loads.
#[derive(Debug, Clone)]
pub struct SecurityHeaders(Arc<Values>);

#[derive(Debug)]
struct Values {
    always: Vec<(HeaderName, HeaderValue)>,
    /// `Strict-Transport-Security`: never over plain HTTP (RFC 6797, 7.2).
    over_tls: Option<HeaderValue>,
}

/// The service of [`SecurityHeaders`].
#[derive(Debug, Clone)]
pub struct SecurityHeadersService<S> {
    inner: S,
    headers: SecurityHeaders,
}

impl SecurityHeaders {
    /// The layer for these settings; `None` when they are off. Values that validation would have refused are left out.
    pub fn layer(settings: &HeaderSettings) -> Option<Self> {
        let parse = |value: &str| (!value.is_empty()).then(|| HeaderValue::from_str(value).ok()).flatten();
        let always = |(name, value): (&'static str, &str)| Some((HeaderName::from_static(name), parse(value)?));
        let values = || Values {
            always: settings.pairs().into_iter().filter_map(always).collect(),
            over_tls: parse(&settings.strict_transport_security),
        };
        settings.enabled.then(|| Self(Arc::new(values())))
    }
}

impl<S> Layer<S> for SecurityHeaders {
    type Service = SecurityHeadersService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        SecurityHeadersService { inner, headers: self.clone() }
    }
}

impl<S> Service<Request<Body>> for SecurityHeadersService<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = SecurityHeadersFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let tls = request.extensions().get::<Arc<RequestContext>>().is_some_and(|context| context.scheme == "https");
        SecurityHeadersFuture { inner: self.inner.call(request), headers: self.headers.clone(), tls }
    }
}

pin_project_lite::pin_project! {
    /// The future of [`SecurityHeadersService`].
    pub struct SecurityHeadersFuture<F> {
        #[pin]
        inner: F,
        headers: SecurityHeaders,
        tls: bool,
    }
}

impl<F> Future for SecurityHeadersFuture<F>
where
    F: Future<Output = Result<Response<Body>, Infallible>>,
{
    type Output = Result<Response<Body>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Ok(mut response) = ready!(this.inner.poll(cx));
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            let present = response.headers_mut();
            for (name, value) in &this.headers.0.always {
                // The app knows its own pages best: what it sets stays.
                present.entry(name).or_insert_with(|| value.clone());
            }
            if let Some(value) = this.headers.0.over_tls.as_ref().filter(|_| *this.tls) {
                present.entry(STRICT_TRANSPORT_SECURITY).or_insert_with(|| value.clone());
            }
        }
        Poll::Ready(Ok(response))
    }
}

#[cfg(test)]
mod tests {
    use seaworthy_core::empty_body;
    use tower::ServiceExt;

    use super::*;

    async fn answer(settings: &HeaderSettings) -> Option<Response<Body>> {
        let app = tower::service_fn(|_| async {
            let mut response = Response::new(empty_body());
            response.headers_mut().insert("x-frame-options", HeaderValue::from_static("DENY"));
            Ok::<_, Infallible>(response)
        });
        let layer = SecurityHeaders::layer(settings)?;
        Some(layer.layer(app).oneshot(Request::new(empty_body())).await.unwrap())
    }

    #[tokio::test]
    async fn adds_what_is_missing_and_keeps_what_the_app_says() {
        let settings = HeaderSettings { permissions_policy: String::new(), ..HeaderSettings::default() };
        let response = answer(&settings).await.unwrap();
        assert_eq!(response.headers()["x-content-type-options"], "nosniff");
        assert_eq!(response.headers()["x-frame-options"], "DENY");
        assert!(response.headers().contains_key("content-security-policy"));
        assert!(!response.headers().contains_key("permissions-policy"));
        assert!(!response.headers().contains_key("strict-transport-security"), "never over plain HTTP");
    }

    #[tokio::test]
    async fn off_is_absent() {
        assert!(answer(&HeaderSettings { enabled: false, ..HeaderSettings::default() }).await.is_none());
    }
}
