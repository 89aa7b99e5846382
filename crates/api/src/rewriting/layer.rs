//! The layer: the last one before the app, so that everything else sees what the client asked for.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{
    HeaderValue, Request, Response, StatusCode, Uri,
    header::{CACHE_CONTROL, HOST, LOCATION},
    uri::PathAndQuery,
};
use seaworthy_core::{Body, Delivery, ForwardedPrefix, Problem, ProblemKind, RequestContext, empty_body};
use tower::{Layer, Service};

use super::{
    back::Back,
    path::{below, is_plain},
    settings::{PrefixSettings, RewritePolicy, Unversioned, path_of},
    template::Template,
};
use crate::problems;

/// The layer of one route. Absent where paths stay as they are.
#[derive(Debug, Clone)]
pub struct Rewrite(Arc<Route>);

#[derive(Debug)]
struct Route {
    plan: Plan,
    /// Told to the app.
    prefix: Option<HeaderValue>,
    back: Option<Back>,
}

#[derive(Debug)]
enum Plan {
    /// Taken off; what is not below it is refused or redirected.
    Version {
        prefix: String,
        unversioned: Unversioned,
    },
    Strip(String),
    Template(Template),
}

/// The service of [`Rewrite`].
#[derive(Debug, Clone)]
pub struct RewriteService<S> {
    inner: S,
    route: Arc<Route>,
}

impl Rewrite {
    /// The layer of a route that matches this; `None` when the app sees paths as they are. What validation would have
    /// refused is left out.
    pub fn layer(matched: &str, policy: &RewritePolicy, settings: &PrefixSettings) -> Option<Self> {
        let path = path_of(matched);
        let (plan, prefix, back) = if let Some(to) = &policy.rewrite {
            let template = Template::new(path, to).ok()?;
            let client = path.strip_suffix("/*").map(str::to_owned);
            let back = template.prefix().zip(client).map(|(app, client)| Back { app, client });
            (Plan::Template(template), None, back)
        } else if let Some(prefix) = &policy.strip_prefix {
            let back = Back { app: String::new(), client: prefix.clone() };
            (Plan::Strip(prefix.clone()), Some(prefix), Some(back))
        } else {
            let prefix = settings.version_prefix.as_ref().filter(|_| policy.versioned != Some(false))?;
            let back = Back { app: String::new(), client: prefix.clone() };
            let plan = Plan::Version { prefix: prefix.clone(), unversioned: settings.unversioned };
            (plan, Some(prefix), Some(back))
        };
        let prefix = prefix.and_then(|prefix| HeaderValue::from_str(prefix).ok());
        let back = back.filter(|_| policy.map_back.unwrap_or(settings.map_back));
        Some(Self(Arc::new(Route { plan, prefix, back })))
    }

    /// The path that the app sees; `None` for one that never gets there.
    pub fn seen_by_app(&self, path: &str) -> Option<String> {
        match self.0.way(path) {
            Way::Path(path) => Some(path),
            Way::Redirect(_) | Way::Refuse(_) => None,
        }
    }

    /// Whether only the beginning of paths is taken off, so that an app which heeds `X-Forwarded-Prefix` may still
    /// describe itself with it.
    pub fn takes_prefix_off(&self) -> bool {
        self.0.prefix.is_some()
    }
}

impl<S> Layer<S> for Rewrite {
    type Service = RewriteService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RewriteService { inner, route: self.0.clone() }
    }
}

/// What becomes of a path.
#[derive(Debug, PartialEq, Eq)]
enum Way {
    /// The app sees this one.
    Path(String),
    Redirect(String),
    Refuse(ProblemKind),
}

impl Route {
    fn way(&self, path: &str) -> Way {
        if !is_plain(path) {
            return Way::Refuse(problems::AMBIGUOUS_PATH);
        }
        let root = |rest: &str| if rest.is_empty() { "/".to_owned() } else { rest.to_owned() };
        match &self.plan {
            Plan::Template(template) => template.apply(path).map_or(Way::Refuse(problems::NO_VERSION), Way::Path),
            Plan::Strip(prefix) => {
                below(path, prefix).map_or(Way::Refuse(problems::NO_VERSION), |rest| Way::Path(root(rest)))
            }
            Plan::Version { prefix, unversioned } => match (below(path, prefix), unversioned) {
                (Some(rest), _) => Way::Path(root(rest)),
                (None, Unversioned::Redirect) => Way::Redirect(format!("{prefix}{path}")),
                (None, Unversioned::NotFound) => Way::Refuse(problems::NO_VERSION),
            },
        }
    }

    fn refuse(&self, kind: ProblemKind, context: &RequestContext) -> Response<Body> {
        let mut problem = Problem::new(kind);
        if let (Plan::Version { prefix, .. }, true) = (&self.plan, kind == problems::NO_VERSION) {
            problem = problem.detail(format!("Paths of this API begin with {prefix}/."));
        }
        let mut response = problem.into_response(context);
        response.extensions_mut().insert(Delivery::NotSent);
        response
    }
}

/// The same path elsewhere, with its query (RFC 9110, 15.4.9).
fn redirect(path: &str, query: Option<&str>) -> Response<Body> {
    let mut response = Response::new(empty_body());
    *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
    response.extensions_mut().insert(Delivery::NotSent);
    // What was a path and a query is one again, so the fallback never shows.
    let location = HeaderValue::try_from(with_query(path, query)).unwrap_or(HeaderValue::from_static("/"));
    response.headers_mut().insert(LOCATION, location);
    // Which version is the usual one may change.
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn with_query(path: &str, query: Option<&str>) -> String {
    query.map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"))
}

impl<S> Service<Request<Body>> for RewriteService<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = RewriteFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let ready = |answer| RewriteFuture { inner: None, answer: Some(answer), turning: None };
        // `OPTIONS *` asks about the whole server (RFC 9110, 9.3.7), and only the edge calls a pipeline: it adds the context.
        let context =
            request.extensions().get::<Arc<RequestContext>>().filter(|_| request.uri().path() != "*").cloned();
        let Some(context) = context else {
            return RewriteFuture { inner: Some(self.inner.call(request)), answer: None, turning: None };
        };
        let query = request.uri().query();
        let path = match self.route.way(request.uri().path()) {
            Way::Path(path) => path,
            Way::Redirect(path) => return ready(redirect(&path, query)),
            Way::Refuse(kind) => return ready(self.route.refuse(kind, &context)),
        };
        let Ok(target) = PathAndQuery::try_from(with_query(&path, query)) else {
            return ready(self.route.refuse(problems::AMBIGUOUS_PATH, &context));
        };
        let turning =
            self.route.back.is_some().then(|| Turning { route: self.route.clone(), hosts: hosts(&request, &context) });
        *request.uri_mut() = Uri::from(target);
        if let Some(prefix) = &self.route.prefix {
            request.extensions_mut().insert(ForwardedPrefix(prefix.clone()));
        }
        RewriteFuture { inner: Some(self.inner.call(request)), answer: None, turning }
    }
}

fn hosts(request: &Request<Body>, context: &RequestContext) -> Vec<HeaderValue> {
    request.headers().get(HOST).into_iter().chain(&context.forwarded_host).cloned().collect()
}

/// What it takes to turn an answer's paths round.
struct Turning {
    route: Arc<Route>,
    hosts: Vec<HeaderValue>,
}

pin_project_lite::pin_project! {
    /// The future of [`RewriteService`].
    pub struct RewriteFuture<F> {
        #[pin]
        inner: Option<F>,
        answer: Option<Response<Body>>,
        turning: Option<Turning>,
    }
}

impl<F> Future for RewriteFuture<F>
where
    F: Future<Output = Result<Response<Body>, Infallible>>,
{
    type Output = Result<Response<Body>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = match (this.answer.take(), this.inner.as_pin_mut()) {
            (Some(answer), _) => return Poll::Ready(Ok(answer)),
            (None, Some(inner)) => {
                let Ok(response) = ready!(inner.poll(cx));
                response
            }
            // Nobody asks a future twice; one that did waits.
            (None, None) => return Poll::Pending,
        };
        if let Some(Turning { route, hosts }) = this.turning
            && let Some(back) = &route.back
        {
            back.turn(response.headers_mut(), hosts);
        }
        Poll::Ready(Ok(response))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_taken_off_and_asked_for() {
        let settings =
            |unversioned| PrefixSettings { version_prefix: Some("/v1".into()), unversioned, map_back: false };
        let way = |unversioned, path: &str| {
            Rewrite::layer("/*", &RewritePolicy::default(), &settings(unversioned)).unwrap().0.way(path)
        };
        assert_eq!(way(Unversioned::NotFound, "/v1/items"), Way::Path("/items".into()));
        assert_eq!(way(Unversioned::NotFound, "/v1"), Way::Path("/".into()));
        assert_eq!(way(Unversioned::NotFound, "/items"), Way::Refuse(problems::NO_VERSION));
        assert_eq!(way(Unversioned::NotFound, "/v10/items"), Way::Refuse(problems::NO_VERSION));
        assert_eq!(way(Unversioned::Redirect, "/items"), Way::Redirect("/v1/items".into()));
        for path in ["/v1/../admin", "/v1//admin", "//evil.test/x", "/v1/%61dmin"] {
            assert_eq!(way(Unversioned::Redirect, path), Way::Refuse(problems::AMBIGUOUS_PATH), "{path}");
        }
        let off = RewritePolicy { versioned: Some(false), ..RewritePolicy::default() };
        assert!(Rewrite::layer("/health", &off, &settings(Unversioned::NotFound)).is_none());
        assert!(Rewrite::layer("/*", &RewritePolicy::default(), &PrefixSettings::default()).is_none());
    }
}
