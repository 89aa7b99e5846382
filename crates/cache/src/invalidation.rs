//! A request that changes something takes what is stored of it out (RFC 9111, 4.4), also on routes that cache nothing.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::{
    HeaderMap, Method, Request, Response,
    header::{CONTENT_LOCATION, LOCATION},
};
use seaworthy_core::{Body, RequestContext};
use tokio_util::either::Either;
use tower::{Layer, Service};

use crate::{app::App, key, store::Store};

/// The layer for routes without a cache, where others have one.
#[derive(Debug, Clone)]
pub struct Invalidate(Store);

/// The service of [`Invalidate`].
#[derive(Debug, Clone)]
pub struct InvalidateService<S> {
    inner: S,
    /// The same, its type erased.
    app: App,
    store: Store,
}

impl Invalidate {
    /// A layer that takes out of this store what its requests change.
    pub fn layer(store: &Store) -> Self {
        Self(store.clone())
    }
}

impl<S> Layer<S> for Invalidate
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
{
    type Service = InvalidateService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        InvalidateService { app: App::new(inner.clone()), inner, store: self.0.clone() }
    }
}

impl<S> Service<Request<Body>> for InvalidateService<S>
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
        let context = request.extensions().get::<Arc<RequestContext>>().filter(|_| !is_safe(request.method())).cloned();
        let Some(context) = context else { return Either::Left(self.inner.call(request)) };
        let (app, store) = (self.app.clone(), self.store.clone());
        Either::Right(Box::pin(async move { Ok(call(app, &store, &context, request).await) }))
    }
}

/// Methods that change nothing (RFC 9110, 9.2.1, and those of WebDAV that only ask). Of one that is not known everything
/// is to be expected.
pub(crate) fn is_safe(method: &Method) -> bool {
    matches!(method.as_str(), "GET" | "HEAD" | "OPTIONS" | "TRACE" | "PROPFIND" | "REPORT" | "SEARCH" | "QUERY" | "PRI")
}

/// Passes a request on, and when it went well takes out what is stored for its target, and for the addresses that its
/// answer names.
pub(crate) async fn call(app: App, store: &Store, context: &RequestContext, request: Request<Body>) -> Response<Body> {
    let target = key::target(request.uri()).to_owned();
    let mut site = Vec::new();
    key::write_site(&mut site, request.headers(), context);
    let Ok(response) = app.ask(request).await;
    let status = response.status();
    if status.is_success() || status.is_redirection() {
        let others = [LOCATION, CONTENT_LOCATION].map(|name| named(response.headers(), &name, &site));
        let targets: Vec<&str> = [Some(&*target)].into_iter().chain(others).flatten().collect();
        store.changed(&site, &targets).await;
    }
    response
}

/// The target that an answer names, when it is on the same site: another site's answers are not for this one to remove.
fn named<'a>(headers: &'a HeaderMap, name: &http::HeaderName, site: &[u8]) -> Option<&'a str> {
    let address = headers.get(name)?.to_str().ok()?;
    let address = address.split('#').next().unwrap_or_default();
    if address.starts_with('/') && !address.starts_with("//") {
        return Some(address);
    }
    let own = std::str::from_utf8(site.split(|byte| *byte == b' ').next()?).ok()?;
    let start = address.get(..own.len())?;
    start.eq_ignore_ascii_case(own).then(|| &address[own.len()..]).filter(|target| target.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stored::tests::headers;

    #[test]
    fn only_addresses_of_the_same_site_count() {
        let of = |address: &'static str| {
            named(&headers(&[("location", address)]), &LOCATION, b"http://a.test:80 b.test").map(str::to_owned)
        };
        assert_eq!(of("/a?b#c").as_deref(), Some("/a?b"));
        assert_eq!(of("http://A.test:80/a").as_deref(), Some("/a"));
        for other in ["//a.test:80/a", "https://a.test:80/a", "http://a.test:8080/a", "http://a.test:80", "a", ""] {
            assert_eq!(of(other), None, "{other}");
        }
    }
}
