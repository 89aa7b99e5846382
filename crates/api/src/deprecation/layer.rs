//! The layer: says in each answer that the operation will go away, and counts who asked.

use std::{
    convert::Infallible,
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{SystemTime, UNIX_EPOCH},
};

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header::LINK};
use metrics::{Counter, counter};
use seaworthy_core::{Body, RequestContext};
use tower::{Layer, Service};

use super::{
    callers::{Callers, OfRoute},
    settings::{AfterSunset, DeprecatedSettings, moment},
};
use crate::problems;

/// RFC 9745, 2.1.
const DEPRECATION: HeaderName = HeaderName::from_static("deprecation");
/// RFC 8594, 3.
const SUNSET: HeaderName = HeaderName::from_static("sunset");

/// The layer of one deprecated route.
#[derive(Clone)]
pub struct Deprecated(Arc<Route>);

struct Route {
    deprecation: HeaderValue,
    sunset: Option<HeaderValue>,
    links: Vec<HeaderValue>,
    /// From then on the app is not asked.
    gone: Option<SystemTime>,
    callers: OfRoute,
    counters: [(&'static str, Counter); 3],
}

/// The service of [`Deprecated`].
#[derive(Clone)]
pub struct DeprecatedService<S> {
    inner: S,
    route: Arc<Route>,
}

impl Deprecated {
    /// The layer of a route; `None` when it is not deprecated. What validation would have refused is left out.
    pub fn layer(route: &str, settings: Option<&DeprecatedSettings>, callers: &Callers) -> Option<Self> {
        let settings = settings?;
        let since = moment(&settings.since)?.duration_since(UNIX_EPOCH).ok()?;
        let sunset = settings.sunset.as_deref().and_then(moment);
        let mut links = Vec::new();
        let mut link = |address: &Option<String>, relation: &str| {
            let address = address.iter();
            links.extend(
                address.filter_map(|address| HeaderValue::try_from(format!("<{address}>; rel=\"{relation}\"")).ok()),
            );
        };
        link(&settings.link, "deprecation");
        if sunset.is_some() {
            link(&settings.link, "sunset");
        }
        link(&settings.successor, "successor-version");
        let count = |kind: &'static str| {
            (kind, counter!("seaworthy_deprecated_requests_total", "route" => route.to_owned(), "caller" => kind))
        };
        Some(Self(Arc::new(Route {
            // A date of RFC 9651, 3.3.7.
            deprecation: HeaderValue::try_from(format!("@{}", since.as_secs())).ok()?,
            sunset: sunset.and_then(|at| HeaderValue::try_from(httpdate::fmt_http_date(at)).ok()),
            links,
            gone: sunset.filter(|_| settings.after_sunset == AfterSunset::Gone),
            callers: callers.of_route(route),
            counters: ["user", "service", "address"].map(count),
        })))
    }
}

impl Route {
    fn count(&self, context: &RequestContext, headers: &HeaderMap, now: SystemTime) {
        let kind = self.callers.count(context, headers, now);
        if let Some((_, counter)) = self.counters.iter().find(|(known, _)| *known == kind) {
            counter.increment(1);
        }
    }

    /// Ours goes over what the app says of its own dates; its other links stay.
    fn tell(&self, headers: &mut HeaderMap) {
        headers.insert(DEPRECATION, self.deprecation.clone());
        if let Some(sunset) = &self.sunset {
            headers.insert(SUNSET, sunset.clone());
        }
        for link in &self.links {
            headers.append(LINK, link.clone());
        }
    }
}

impl fmt::Debug for Deprecated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deprecated").finish_non_exhaustive()
    }
}

impl<S> Layer<S> for Deprecated {
    type Service = DeprecatedService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        DeprecatedService { inner, route: self.0.clone() }
    }
}

impl<S> Service<Request<Body>> for DeprecatedService<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = DeprecatedFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let route = self.route.clone();
        let Some(context) = request.extensions().get::<Arc<RequestContext>>() else {
            // Only the edge calls a pipeline, and it always adds the context.
            return DeprecatedFuture { inner: Some(self.inner.call(request)), gone: None, route };
        };
        let now = SystemTime::now();
        route.count(context, request.headers(), now);
        if route.gone.is_some_and(|gone| now >= gone) {
            let gone = Some(problems::answer(problems::GONE, context));
            return DeprecatedFuture { inner: None, gone, route };
        }
        DeprecatedFuture { inner: Some(self.inner.call(request)), gone: None, route }
    }
}

pin_project_lite::pin_project! {
    /// The future of [`DeprecatedService`].
    pub struct DeprecatedFuture<F> {
        #[pin]
        inner: Option<F>,
        gone: Option<Response<Body>>,
        route: Arc<Route>,
    }
}

impl<F> Future for DeprecatedFuture<F>
where
    F: Future<Output = Result<Response<Body>, Infallible>>,
{
    type Output = Result<Response<Body>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = match (this.gone.take(), this.inner.as_pin_mut()) {
            (Some(gone), _) => gone,
            (None, Some(inner)) => {
                let Ok(response) = ready!(inner.poll(cx));
                response
            }
            // Nobody asks a future twice; one that did waits.
            (None, None) => return Poll::Pending,
        };
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            this.route.tell(response.headers_mut());
        }
        Poll::Ready(Ok(response))
    }
}
