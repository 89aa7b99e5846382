//! Which other sites' pages may read answers (the CORS protocol of the Fetch standard, <https://fetch.spec.whatwg.org/#http-cors-protocol>).
//!
//! Where origins are configured, CORS is ours alone: preflights are answered here, before anybody must sign in, and what
//! the app says of CORS is taken away. It stands outside of whatever refuses, so that a page can read our errors too.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode,
    header::{
        ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
        ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
        ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
    },
};
use seaworthy_core::{Body, Problem, ProblemKind, RequestContext, RequestId, empty_body};
use tower::{Layer, Service};

use crate::settings::CorsSettings;

/// A page of a site that is not on the list asked whether it may call.
const ORIGIN_REFUSED: ProblemKind = ProblemKind {
    code: "SEA_PROTECTION_CORS_ORIGIN",
    status: StatusCode::FORBIDDEN,
    title: "Pages of this origin may not call this API",
    advice: "Operators: add the origin, with its scheme and port, to `protection.cors.origins`.",
};

/// What a page may be told beside `Access-Control-Allow-Origin`: an app behind us must not say more than the policy.
const OF_CORS: [HeaderName; 7] = [
    ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_ALLOW_CREDENTIALS,
    ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_HEADERS,
    ACCESS_CONTROL_EXPOSE_HEADERS,
    ACCESS_CONTROL_MAX_AGE,
    // A page of the web that may reach into the network of whoever reads it: nobody is let (Private Network Access, 3.1).
    HeaderName::from_static("access-control-allow-private-network"),
];

fn is_of_cors(name: &HeaderName) -> bool {
    name.as_str().starts_with("access-control-")
}

/// The layer; its answers are made once, when the config loads.
#[derive(Debug, Clone)]
pub struct Cors(Arc<Policy>);

#[derive(Debug)]
struct Policy {
    /// As browsers send them; empty when any may.
    origins: Vec<HeaderValue>,
    any: bool,
    credentials: bool,
    /// `None`: whatever the page asks for.
    headers: Option<HeaderValue>,
    methods: HeaderValue,
    expose: Option<HeaderValue>,
    max_age: HeaderValue,
}

/// The service of [`Cors`].
#[derive(Debug, Clone)]
pub struct CorsService<S> {
    inner: S,
    policy: Arc<Policy>,
}

impl Cors {
    /// The layer for these settings; `None` when no origin is listed. Values that validation would have refused are left
    /// out.
    pub fn layer(settings: &CorsSettings) -> Option<Self> {
        if settings.origins.is_empty() {
            return None;
        }
        let list = |values: &[String]| HeaderValue::from_str(&values.join(", ")).ok().filter(|value| !value.is_empty());
        let any = settings.origins.iter().any(|origin| origin == "*");
        Some(Self(Arc::new(Policy {
            origins: settings.origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()).collect(),
            any,
            credentials: settings.credentials && !any,
            headers: list(&settings.headers),
            methods: list(&settings.methods).unwrap_or(HeaderValue::from_static("GET, HEAD, POST")),
            expose: list(&settings.expose),
            max_age: HeaderValue::from(settings.max_age.0.as_secs()),
        })))
    }
}

impl Policy {
    /// What this origin is told; `None` when it is not on the list. The comparison is of bytes, as the standard has it:
    /// scheme, host and port in one.
    fn allowed(&self, origin: &HeaderValue) -> Option<HeaderValue> {
        if self.any {
            return Some(HeaderValue::from_static("*"));
        }
        self.origins.iter().find(|known| *known == origin).cloned()
    }

    /// Puts what the policy says in place of what the answer says.
    fn apply(&self, headers: &mut HeaderMap, origin: Option<&HeaderValue>) {
        // Hardly any app says something: one look at what is there is cheaper than one for each name.
        if headers.keys().any(is_of_cors) {
            for name in OF_CORS {
                headers.remove(name);
            }
        }
        if !self.any {
            // Also where there was no origin: a cache must not give this answer to a page.
            headers.append(VARY, HeaderValue::from_static("origin"));
        }
        // With a star every answer says the same, asked from where it may be: caches keep one.
        let star = || self.any.then(|| HeaderValue::from_static("*"));
        let Some(allowed) = origin.and_then(|origin| self.allowed(origin)).or_else(star) else { return };
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
        if self.credentials {
            headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
        if let Some(expose) = &self.expose {
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, expose.clone());
        }
    }

    /// The answer to a page that asks before it calls.
    fn preflight(&self, request: &Request<Body>, origin: &HeaderValue) -> Response<Body> {
        let allowed = self.allowed(origin).is_some();
        let mut response = if allowed {
            let mut response = Response::new(empty_body());
            *response.status_mut() = StatusCode::NO_CONTENT;
            response
        } else {
            let unknown = RequestId::from_client(&HeaderValue::from_static("unknown"));
            let context = request.extensions().get::<Arc<RequestContext>>();
            match (context, unknown) {
                (Some(context), _) => Problem::new(ORIGIN_REFUSED).into_response(context),
                (None, Some(id)) => Problem::new(ORIGIN_REFUSED).into_response(&RequestContext::new(id)),
                (None, None) => Response::new(empty_body()),
            }
        };
        let headers = response.headers_mut();
        self.apply(headers, Some(origin));
        headers.remove(ACCESS_CONTROL_EXPOSE_HEADERS);
        headers.append(VARY, HeaderValue::from_static("access-control-request-method, access-control-request-headers"));
        if allowed {
            headers.insert(ACCESS_CONTROL_ALLOW_METHODS, self.methods.clone());
            let asked = request.headers().get(ACCESS_CONTROL_REQUEST_HEADERS).cloned();
            if let Some(may) = self.headers.clone().or(asked) {
                headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, may);
            }
            headers.insert(ACCESS_CONTROL_MAX_AGE, self.max_age.clone());
        }
        response
    }
}

impl<S> Layer<S> for Cors {
    type Service = CorsService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        CorsService { inner, policy: self.0.clone() }
    }
}

impl<S> Service<Request<Body>> for CorsService<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = CorsFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let origin = request.headers().get(ORIGIN).cloned();
        let asks =
            *request.method() == Method::OPTIONS && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        if let Some(origin) = origin.as_ref().filter(|_| asks) {
            let answer = Some(self.policy.preflight(&request, origin));
            return CorsFuture::Preflight { answer };
        }
        CorsFuture::Call { inner: self.inner.call(request), policy: self.policy.clone(), origin }
    }
}

pin_project_lite::pin_project! {
    /// The future of [`CorsService`].
    #[project = CorsFutureProjection]
    pub enum CorsFuture<F> {
        Preflight { answer: Option<Response<Body>> },
        Call { #[pin] inner: F, policy: Arc<Policy>, origin: Option<HeaderValue> },
    }
}

impl<F> Future for CorsFuture<F>
where
    F: Future<Output = Result<Response<Body>, Infallible>>,
{
    type Output = Result<Response<Body>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            CorsFutureProjection::Preflight { answer } => match answer.take() {
                Some(answer) => Poll::Ready(Ok(answer)),
                // Nobody asks a future twice; one that did waits.
                None => Poll::Pending,
            },
            CorsFutureProjection::Call { inner, policy, origin } => {
                let Ok(mut response) = ready!(inner.poll(cx));
                if response.status() != StatusCode::SWITCHING_PROTOCOLS {
                    policy.apply(response.headers_mut(), origin.as_ref());
                }
                Poll::Ready(Ok(response))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tower::ServiceExt;

    use super::*;

    const OURS: &str = "https://app.example.com";

    fn settings(origins: &[&str]) -> CorsSettings {
        CorsSettings { origins: origins.iter().map(|one| (*one).to_owned()).collect(), ..CorsSettings::default() }
    }

    /// An app that is careless about CORS, behind the layer.
    async fn ask(settings: &CorsSettings, method: Method, headers: &[(HeaderName, &str)]) -> Response<Body> {
        let app = tower::service_fn(|_| async {
            let mut response = Response::new(empty_body());
            let headers = response.headers_mut();
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
            headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
            headers.insert("access-control-allow-private-network", HeaderValue::from_static("true"));
            headers.insert("x-from", HeaderValue::from_static("app"));
            Ok::<_, Infallible>(response)
        });
        let mut request = Request::new(empty_body());
        *request.method_mut() = method;
        for (name, value) in headers {
            request.headers_mut().insert(name, HeaderValue::from_str(value).unwrap());
        }
        Cors::layer(settings).unwrap().layer(app).oneshot(request).await.unwrap()
    }

    #[tokio::test]
    async fn a_listed_origin_is_echoed_and_no_other() {
        let settings = CorsSettings { credentials: true, ..settings(&[OURS, "http://localhost:3000"]) };
        let allowed = ask(&settings, Method::GET, &[(ORIGIN, OURS)]).await;
        assert_eq!(allowed.headers()[ACCESS_CONTROL_ALLOW_ORIGIN], OURS);
        assert_eq!(allowed.headers()[ACCESS_CONTROL_ALLOW_CREDENTIALS], "true");
        for hostile in [
            "https://evil.example",
            "null",
            "https://app.example.com.evil.example",
            "https://evil-app.example.com",
            "http://app.example.com",
            "https://app.example.com:8443",
            "https://APP.example.com",
        ] {
            let refused = ask(&settings, Method::GET, &[(ORIGIN, hostile)]).await;
            assert!(OF_CORS.iter().all(|name| !refused.headers().contains_key(name)), "{hostile}");
            assert_eq!(refused.headers()["x-from"], "app", "who may read it is the browser's to enforce");
            assert_eq!(refused.headers()[VARY], "origin");
        }
        let plain = ask(&settings, Method::GET, &[]).await;
        assert!(!plain.headers().contains_key(ACCESS_CONTROL_ALLOW_ORIGIN));
        assert_eq!(plain.headers()[VARY], "origin", "a cache must tell them apart");
    }

    #[tokio::test]
    async fn a_preflight_is_answered_before_the_app() {
        let asks = |origin| {
            [(ORIGIN, origin), (ACCESS_CONTROL_REQUEST_METHOD, "PUT"), (ACCESS_CONTROL_REQUEST_HEADERS, "x-a")]
        };
        let allowed = ask(&settings(&[OURS]), Method::OPTIONS, &asks(OURS)).await;
        assert_eq!(allowed.status(), StatusCode::NO_CONTENT);
        assert!(!allowed.headers().contains_key("x-from"));
        assert!(allowed.headers()[ACCESS_CONTROL_ALLOW_METHODS].to_str().unwrap().contains("PUT"));
        assert_eq!(allowed.headers()[ACCESS_CONTROL_ALLOW_HEADERS], "x-a");
        assert_eq!(allowed.headers()[ACCESS_CONTROL_MAX_AGE], "600");
        let refused = ask(&settings(&[OURS]), Method::OPTIONS, &asks("https://evil.example")).await;
        assert_eq!(refused.status(), StatusCode::FORBIDDEN);
        assert!(OF_CORS.iter().all(|name| !refused.headers().contains_key(name)));
        let ordinary = ask(&settings(&[OURS]), Method::OPTIONS, &[(ORIGIN, OURS)]).await;
        assert_eq!(ordinary.headers()["x-from"], "app", "an OPTIONS that is no preflight is the app's");
    }

    #[tokio::test]
    async fn a_star_never_goes_with_credentials() {
        let open = CorsSettings { credentials: true, ..settings(&["*"]) };
        let answer = ask(&open, Method::GET, &[(ORIGIN, "https://anybody.example")]).await;
        assert_eq!(answer.headers()[ACCESS_CONTROL_ALLOW_ORIGIN], "*");
        assert!(!answer.headers().contains_key(ACCESS_CONTROL_ALLOW_CREDENTIALS));
        assert!(!answer.headers().contains_key(VARY));
        let plain = ask(&open, Method::GET, &[]).await;
        assert_eq!(plain.headers()[ACCESS_CONTROL_ALLOW_ORIGIN], "*", "a cache may give it to a page");
    }

    #[test]
    fn without_origins_it_is_absent() {
        assert!(Cors::layer(&CorsSettings::default()).is_none());
    }
}
