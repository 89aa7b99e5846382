//! What a client sees when the app fails: problem details with the request id, in place of whatever the app let slip.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{HeaderName, HeaderValue, Request, Response, header};
use schemars::JsonSchema;
use seaworthy_core::{Body, Problem, ProblemKind, RequestContext};
use serde::{Deserialize, Serialize};
use tower::{Layer, Service};

use crate::problems;

/// What happens to 5xx answers of the app.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorPolicy {
    /// JSON passes, everything else (pages, stack traces) is replaced.
    #[default]
    Unstructured,
    /// Every 5xx body is replaced.
    All,
    /// Nothing is replaced.
    Pass,
}

/// The layer. Absent from a pipeline whose policy is [`ErrorPolicy::Pass`].
#[derive(Debug, Clone, Copy)]
pub struct ErrorPages {
    policy: ErrorPolicy,
}

/// The service of [`ErrorPages`].
#[derive(Debug, Clone)]
pub struct ErrorPagesService<S> {
    inner: S,
    policy: ErrorPolicy,
}

impl ErrorPages {
    /// The layer for this policy; `None` when there is nothing to do.
    pub fn layer(policy: ErrorPolicy) -> Option<Self> {
        (policy != ErrorPolicy::Pass).then_some(Self { policy })
    }
}

impl<S> Layer<S> for ErrorPages {
    type Service = ErrorPagesService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ErrorPagesService { inner, policy: self.policy }
    }
}

impl<S> Service<Request<Body>> for ErrorPagesService<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = ErrorPagesFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let context = request.extensions().get::<Arc<RequestContext>>().cloned();
        ErrorPagesFuture { inner: self.inner.call(request), context, policy: self.policy }
    }
}

pin_project_lite::pin_project! {
    /// The future of [`ErrorPagesService`].
    pub struct ErrorPagesFuture<F> {
        #[pin]
        inner: F,
        context: Option<Arc<RequestContext>>,
        policy: ErrorPolicy,
    }
}

impl<F> Future for ErrorPagesFuture<F>
where
    F: Future<Output = Result<Response<Body>, Infallible>>,
{
    type Output = Result<Response<Body>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Ok(response) = ready!(this.inner.poll(cx));
        match this.context {
            Some(context) if must_replace(&response, *this.policy) => Poll::Ready(Ok(replace(response, context))),
            _ => Poll::Ready(Ok(response)),
        }
    }
}

fn must_replace(response: &Response<Body>, policy: ErrorPolicy) -> bool {
    if !response.status().is_server_error() {
        return false;
    }
    let kind = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    // An app's that already speaks RFC 9457, or one of ours (as a page, for a browser).
    if essence == "application/problem+json" || response.extensions().get::<ProblemKind>().is_some() {
        return false;
    }
    policy == ErrorPolicy::All || !(essence == "application/json" || essence.ends_with("+json"))
}

/// Headers of a replaced answer that still mean something.
const KEPT: [HeaderName; 5] =
    [header::RETRY_AFTER, header::SET_COOKIE, header::WWW_AUTHENTICATE, header::ALLOW, header::VARY];

fn replace(response: Response<Body>, context: &RequestContext) -> Response<Body> {
    let (parts, _) = response.into_parts();
    let mut kind = problems::APP_FAILED;
    kind.status = parts.status;
    let mut replaced = Problem::new(kind).into_response(context);
    // The status, when to come back, and who may read it are for the client; the rest described a body that is gone.
    for (name, value) in &parts.headers {
        if KEPT.contains(name) || name.as_str().starts_with("access-control-") {
            replaced.headers_mut().append(name, HeaderValue::clone(value));
        }
    }
    replaced
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use seaworthy_core::full_body;

    use super::*;

    fn answer(status: StatusCode, kind: &'static str) -> Response<Body> {
        let mut response = Response::new(full_body("Traceback (most recent call last)"));
        *response.status_mut() = status;
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        response
    }

    #[test]
    fn only_what_the_policy_names_is_replaced() {
        let replaced = |status, kind, policy| must_replace(&answer(status, kind), policy);
        let error = StatusCode::INTERNAL_SERVER_ERROR;
        assert!(replaced(error, "text/plain; charset=utf-8", ErrorPolicy::Unstructured));
        assert!(replaced(error, "text/html", ErrorPolicy::Unstructured));
        assert!(!replaced(error, "application/json; charset=utf-8", ErrorPolicy::Unstructured));
        assert!(replaced(error, "application/json", ErrorPolicy::All));
        assert!(!replaced(error, "application/problem+json", ErrorPolicy::All));
        assert!(!replaced(StatusCode::NOT_FOUND, "text/html", ErrorPolicy::All));
        assert!(ErrorPages::layer(ErrorPolicy::Pass).is_none());
    }
}
