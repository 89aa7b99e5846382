//! The layer: what is fresh is answered at once, what is not goes the long way (`exchange.rs`).

use std::{
    convert::Infallible,
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use http::{
    Method, Request, Response, StatusCode,
    header::{IF_MATCH, IF_UNMODIFIED_SINCE, UPGRADE},
};
use http_body::Body as HttpBody;
use seaworthy_core::{Body, Problem, ProblemKind, RequestContext, Shutdown};
use sha2::{Digest, Sha256};
use tower::{Layer, Service};

use crate::{
    answer,
    app::App,
    counts::RouteCounts,
    directives::Directives,
    exchange::Exchange,
    invalidation,
    key::Key,
    policy::{Partition, Policy},
    purge::take_tags,
    search,
    settings::Settings,
    status::{self, Outcome},
    store::{Found, Store},
    stored::Stored,
    tiers::Tier,
};

/// A client wants what is stored or nothing, and nothing is (RFC 9111, 5.2.1.7).
const NOT_STORED: ProblemKind = ProblemKind {
    code: "SEA_CACHE_NOT_STORED",
    status: StatusCode::GATEWAY_TIMEOUT,
    title: "No stored answer may be given to this request",
    advice: "Send the request without `Cache-Control: only-if-cached`: then the app is asked.",
};

/// The layer of one route. Absent where the route caches nothing.
#[derive(Clone)]
pub struct Cache(Arc<Route>);

/// What a route's requests have together.
pub(crate) struct Route {
    pub store: Store,
    pub policy: Policy,
    /// Digest of the policy: below the memory, what another policy stored is not found.
    pub policy_digest: [u8; 32],
    pub largest: usize,
    pub wait: Duration,
    pub tasks: Shutdown,
    pub counts: RouteCounts,
    tells: bool,
}

/// The service of [`Cache`].
#[derive(Clone)]
pub struct CacheService<S> {
    inner: S,
    /// The same, its type erased.
    app: App,
    route: Arc<Route>,
}

impl Cache {
    /// The layer of a route with this policy. `tasks` counts what refreshes stale answers.
    pub fn layer(route: &str, store: &Store, policy: Policy, settings: &Settings, tasks: &Shutdown) -> Self {
        Self(Arc::new(Route {
            store: store.clone(),
            policy_digest: Sha256::digest(format!("{policy:?}")).into(),
            policy,
            largest: usize::try_from(settings.largest.0).unwrap_or(usize::MAX),
            wait: settings.wait.0,
            tasks: tasks.clone(),
            counts: RouteCounts::new(route),
            tells: settings.status,
        }))
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").finish_non_exhaustive()
    }
}

impl<S: fmt::Debug> fmt::Debug for CacheService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheService").field("inner", &self.inner).finish_non_exhaustive()
    }
}

/// What to do with a request, before anything is looked up.
enum Plan {
    /// Nothing, for this reason.
    Pass(&'static str),
    Look(Key, Partition),
    /// A POST that only asks.
    Search,
    /// It may change what is stored.
    Change,
}

impl Route {
    fn plan(&self, request: &Request<Body>, context: &RequestContext) -> Plan {
        let headers = request.headers();
        match *request.method() {
            _ if headers.contains_key(UPGRADE) => Plan::Pass("bypass"),
            Method::GET | Method::HEAD => {
                let odd = headers.contains_key(IF_MATCH)
                    || headers.contains_key(IF_UNMODIFIED_SINCE)
                    || !request.body().is_end_stream();
                if odd {
                    return Plan::Pass("request");
                }
                let partition = self.policy.partition(headers, context.principal.get());
                Plan::Look(Key::of(request, context, &self.policy, partition, None), partition)
            }
            Method::POST if self.policy.search.is_some() => Plan::Search,
            _ if invalidation::is_safe(request.method()) => Plan::Pass("method"),
            _ => Plan::Change,
        }
    }

    /// Whether this answer is for whoever asks: what is fresh by a policy alone is not for those who say who they are.
    pub(crate) fn may_share(partition: Partition, stored: &Stored) -> bool {
        !(stored.terms.by_policy && partition == Partition::Named)
    }

    /// The answer from the store, fresh or not.
    pub(crate) fn hit(
        &self,
        stored: &Stored,
        method: &Method,
        request: &http::HeaderMap,
        now: Instant,
        from: Option<Tier>,
    ) -> Response<Body> {
        let mut response = answer::from_store(stored, method, request, now);
        if self.tells {
            let seconds = |time: Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
            let ttl = seconds(stored.terms.fresh_for).saturating_sub(seconds(stored.age(now)));
            self.tell(&mut response, Outcome::Hit { ttl, from });
        }
        response
    }

    /// For who wants what is stored or nothing (RFC 9111, 5.2.1.7): a stale answer that may still be given, or 504. The app
    /// is not asked.
    fn stored_only(
        &self,
        found: Found,
        partition: Partition,
        request: &Request<Body>,
        context: &RequestContext,
    ) -> Response<Body> {
        let now = context.received;
        match found {
            Found::Answer(stored) if stored.serves_while_revalidating(now) && Self::may_share(partition, &stored) => {
                self.counts.stale.increment(1);
                self.hit(&stored, request.method(), request.headers(), now, None)
            }
            _ => {
                self.counts.pass.increment(1);
                let mut response = Problem::new(NOT_STORED).into_response(context);
                self.tell(&mut response, Outcome::NotStored);
                response
            }
        }
    }

    pub(crate) fn tell(&self, response: &mut Response<Body>, outcome: Outcome) {
        if self.tells {
            status::tell(response.headers_mut(), outcome);
        }
    }

    /// What the cache does with an answer that it has nothing to do with.
    pub(crate) fn pass(&self, response: &mut Response<Body>, why: &'static str) {
        self.counts.pass.increment(1);
        take_tags(response.headers_mut(), |_| {});
        let status = response.status();
        self.tell(response, Outcome::Forwarded { why, status, stored: false });
    }
}

impl<S> Layer<S> for Cache
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
{
    type Service = CacheService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        CacheService { app: App::new(inner.clone()), inner, route: self.0.clone() }
    }
}

impl<S> Service<Request<Body>> for CacheService<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = CacheFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let Some(context) = request.extensions().get::<Arc<RequestContext>>().cloned() else {
            // Only the edge calls a pipeline, and it always adds the context.
            return self.pass(request, "bypass");
        };
        let (key, partition) = match self.route.plan(&request, &context) {
            Plan::Pass(why) => return self.pass(request, why),
            Plan::Change => {
                let (app, store) = (self.app.clone(), self.route.store.clone());
                let route = self.route.clone();
                return CacheFuture::boxed(async move {
                    let mut response = invalidation::call(app, &store, &context, request).await;
                    route.pass(&mut response, "method");
                    response
                });
            }
            Plan::Search => {
                let (app, route) = (self.app.clone(), self.route.clone());
                return CacheFuture::boxed(search::call(app, route, context, request));
            }
            Plan::Look(key, partition) => (key, partition),
        };
        let headers = request.headers();
        // The edge has looked at the clock for this request already.
        let now = context.received;
        match self.route.store.find(&key, headers) {
            Found::Answer(stored) if stored.is_fresh(now) && Route::may_share(partition, &stored) => {
                self.route.counts.hit.increment(1);
                let answer = self.route.hit(&stored, request.method(), headers, now, None);
                return CacheFuture::Ready { answer: Some(answer) };
            }
            found if Directives::of_cache_control(headers).only_if_cached => {
                let answer = self.route.stored_only(found, partition, &request, &context);
                return CacheFuture::Ready { answer: Some(answer) };
            }
            Found::Answer(stored) if !Route::may_share(partition, &stored) => return self.pass(request, "bypass"),
            _ if *request.method() == Method::HEAD => return self.pass(request, "uri-miss"),
            _ => {}
        }
        let (parts, _) = request.into_parts();
        let exchange = Exchange {
            app: self.app.clone(),
            route: self.route.clone(),
            parts,
            body: Default::default(),
            key,
            partition,
        };
        CacheFuture::boxed(exchange.run())
    }
}

impl<S> CacheService<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    fn pass(&mut self, request: Request<Body>, why: &'static str) -> CacheFuture<S::Future> {
        CacheFuture::Pass { inner: self.inner.call(request), route: self.route.clone(), why }
    }
}

pin_project_lite::pin_project! {
    /// The future of [`CacheService`].
    #[project = CacheFutureProjection]
    pub enum CacheFuture<F> {
        Ready { answer: Option<Response<Body>> },
        Pass { #[pin] inner: F, route: Arc<Route>, why: &'static str },
        Long { future: Pin<Box<dyn Future<Output = Response<Body>> + Send>> },
    }
}

impl<F> CacheFuture<F> {
    fn boxed(future: impl Future<Output = Response<Body>> + Send + 'static) -> Self {
        Self::Long { future: Box::pin(future) }
    }
}

impl<F> Future for CacheFuture<F>
where
    F: Future<Output = Result<Response<Body>, Infallible>>,
{
    type Output = Result<Response<Body>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            CacheFutureProjection::Ready { answer } => match answer.take() {
                Some(answer) => Poll::Ready(Ok(answer)),
                // Nobody asks a future twice; one that did waits.
                None => Poll::Pending,
            },
            CacheFutureProjection::Pass { inner, route, why } => {
                let Ok(mut response) = ready!(inner.poll(cx));
                route.pass(&mut response, why);
                Poll::Ready(Ok(response))
            }
            CacheFutureProjection::Long { future } => future.as_mut().poll(cx).map(Ok),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    };

    use http::{HeaderMap, header::CACHE_CONTROL};
    use http_body_util::BodyExt;
    use seaworthy_core::{empty_body, full_body};
    use tower::ServiceExt;

    use super::*;
    use crate::{key::tests::context, settings::CacheSetting, stored::tests::headers};

    type Lines<'a> = &'a [(&'static str, &'static str)];

    /// An app that answers as it was last told, behind a cache that believes its headers.
    struct Behind {
        says: Arc<Mutex<(u16, HeaderMap)>>,
        asked: Arc<AtomicUsize>,
        cache: seaworthy_core::Handler,
    }

    impl Behind {
        fn new() -> Self {
            let (says, asked) = (Arc::new(Mutex::new((200, HeaderMap::new()))), Arc::new(AtomicUsize::new(0)));
            let (said, count) = (says.clone(), asked.clone());
            let app = tower::service_fn(move |_: Request<Body>| {
                count.fetch_add(1, Ordering::Relaxed);
                let (status, headers) = said.lock().unwrap().clone();
                let mut response = Response::new(full_body("hello"));
                *response.status_mut() = StatusCode::from_u16(status).unwrap();
                *response.headers_mut() = headers;
                async { Ok::<_, Infallible>(response) }
            });
            let store = Store::default();
            store.resize(1 << 20);
            let policy = CacheSetting::Switch(true).policy().unwrap();
            let layer = Cache::layer("*", &store, policy, &Settings::default(), &Shutdown::new());
            Self { says, asked, cache: seaworthy_core::Handler::new(layer.layer(app)) }
        }

        fn says(&self, status: u16, lines: Lines<'_>) {
            *self.says.lock().unwrap() = (status, headers(lines));
        }

        /// The status, and how often the app was asked by then.
        async fn get(&self, path: &'static str, lines: Lines<'_>) -> (u16, usize, Response<()>) {
            let mut request = Request::new(empty_body());
            *request.uri_mut() = path.parse().unwrap();
            *request.headers_mut() = headers(lines);
            request.extensions_mut().insert(Arc::new(context()));
            let (parts, body) = self.cache.clone().oneshot(request).await.unwrap().into_parts();
            body.collect().await.unwrap();
            (parts.status.as_u16(), self.asked.load(Ordering::Relaxed), Response::from_parts(parts, ()))
        }
    }

    #[tokio::test]
    async fn who_wants_what_is_stored_or_nothing_never_asks_the_app() {
        const ONLY: (&str, &str) = ("cache-control", "Only-If-Cached");
        let behind = Behind::new();
        behind.says(200, &[("cache-control", "max-age=60")]);
        let (status, asked, answer) = behind.get("/a", &[ONLY]).await;
        assert_eq!((status, asked), (504, 0));
        assert_eq!(answer.headers()["cache-status"], "seaworthy; detail=only-if-cached");
        assert_eq!(answer.headers()[CACHE_CONTROL], "no-store");
        assert_eq!(behind.get("/a", &[]).await.1, 1);
        let (status, asked, _) = behind.get("/a", &[ONLY]).await;
        assert_eq!((status, asked), (200, 1));
        behind.says(200, &[("cache-control", "max-age=0"), ("etag", "\"a\"")]);
        assert_eq!(behind.get("/stale", &[]).await.1, 2);
        assert_eq!((behind.get("/stale", &[ONLY]).await.0, behind.get("/stale", &[ONLY]).await.1), (504, 2));
        behind.says(200, &[("cache-control", "max-age=0, stale-while-revalidate=60")]);
        assert_eq!(behind.get("/while", &[]).await.1, 3);
        assert_eq!((behind.get("/while", &[ONLY]).await.0, behind.get("/while", &[ONLY]).await.1), (200, 3));
    }

    #[tokio::test]
    async fn what_is_gone_is_not_given_while_it_is_refreshed() {
        const STALE: (&str, &str) = ("cache-control", "max-age=0, stale-while-revalidate=600");
        for (path, status, goes) in [("/gone", 404, true), ("/moved", 302, true), ("/busy", 429, false)] {
            let behind = Behind::new();
            behind.says(200, &[STALE]);
            assert_eq!(behind.get(path, &[]).await.0, 200);
            behind.says(status, &[]);
            assert_eq!(behind.get(path, &[]).await.0, 200, "the stale one, and the app is asked behind it");
            let mut last = 200;
            for _ in 0..1_000 {
                tokio::task::yield_now().await;
                let (now, asked, _) = behind.get(path, &[]).await;
                last = now;
                if now == status || asked > 5 {
                    break;
                }
            }
            assert_eq!(last == status, goes, "{path}");
        }
        // What somebody in particular is answered says nothing to the others.
        let behind = Behind::new();
        behind.says(200, &[STALE]);
        assert_eq!(behind.get("/a", &[]).await.0, 200);
        behind.says(404, &[("cache-control", "no-store")]);
        for _ in 0..20 {
            tokio::task::yield_now().await;
            assert_eq!(behind.get("/a", &[("authorization", "Bearer x")]).await.0, 200);
        }
        assert!(behind.asked.load(Ordering::Relaxed) > 1);
        assert_eq!(behind.get("/a", &[]).await.0, 200);
    }

    #[tokio::test]
    async fn what_was_confirmed_without_a_date_is_fresh_again() {
        const OLD: &str = "Tue, 14 Nov 2023 22:13:20 GMT";
        let behind = Behind::new();
        behind.says(200, &[("cache-control", "max-age=60"), ("etag", "\"a\""), ("date", OLD)]);
        assert_eq!(behind.get("/a", &[]).await.1, 1);
        behind.says(304, &[("cache-control", "max-age=60"), ("etag", "\"a\"")]);
        let (status, asked, answer) = behind.get("/a", &[]).await;
        assert_eq!((status, asked, &answer.headers()["age"]), (200, 2, &http::HeaderValue::from_static("0")));
        assert_ne!(answer.headers()["date"], OLD);
        assert_eq!(behind.get("/a", &[]).await.1, 2, "a hit");
    }
}
