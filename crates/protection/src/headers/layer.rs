//! Adds the security headers to whatever passes, our own errors included, and takes away what tells of the software behind.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode,
    header::{ACCEPT, ACCEPT_ENCODING, CONTENT_SECURITY_POLICY, STRICT_TRANSPORT_SECURITY, X_FRAME_OPTIONS},
};
use seaworthy_core::{Body, RequestContext};
use tower::{Layer, Service};

use super::{
    csp::{Nonce, Template, can_take_nonces, is_page, keep_from_others, make_private, unread, with_nonces},
    settings::{FromApp, HeaderSettings, on},
    values,
};

const ENDPOINTS: HeaderName = HeaderName::from_static("reporting-endpoints");
const FETCH_DESTINATION: HeaderName = HeaderName::from_static("sec-fetch-dest");

/// Lengths of names that are told apart.
const LENGTHS: usize = 64;

/// Of so many codings it is said that they cannot be read; an app has one or two.
const MOST_TOLD: usize = 8;

/// The layer; its headers are parsed once, when the config loads.
#[derive(Debug, Clone)]
pub struct SecurityHeaders(Arc<Values>);

#[derive(Debug)]
struct Values {
    always: Vec<(HeaderName, HeaderValue)>,
    /// `Strict-Transport-Security`: never over plain HTTP (RFC 6797, 7.2).
    over_tls: Option<HeaderValue>,
    /// Over plain HTTP, and over TLS.
    policies: [Option<Template>; 2],
    nonces: bool,
    marker: String,
    replace: bool,
    removed: Names,
    /// Of which codings it was said that a page in them cannot be read.
    told: Mutex<Vec<HeaderValue>>,
}

/// A few names, by their length: nearly every other name is told from them by that.
#[derive(Debug)]
struct Names {
    names: Vec<HeaderName>,
    /// Where those of each length begin, those of 63 and more as one, and behind them the end.
    starts: [usize; LENGTHS + 1],
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
        settings.enabled.then(|| Self(Arc::new(Values::new(settings))))
    }
}

impl Values {
    fn new(settings: &HeaderSettings) -> Self {
        let parse = |text: &str| on(text).and_then(|text| HeaderValue::from_str(text).ok());
        let always = settings.texts().into_iter();
        let always = always.filter_map(|(_, name, text)| Some((HeaderName::from_static(name), parse(text)?)));
        let frame = match on(&settings.frame) {
            Some("self") => Some(HeaderValue::from_static("SAMEORIGIN")),
            Some("none") => Some(HeaderValue::from_static("DENY")),
            // It cannot name origins; browsers of today read `frame-ancestors` (RFC 7034, 2.1).
            _ => None,
        };
        let ancestors = on(&settings.frame).map(values::frame_ancestors).unwrap_or_default();
        let policies = [false, true].map(|tls| Template::new(&settings.csp, &ancestors, tls));
        Self {
            always: always.chain(frame.map(|value| (X_FRAME_OPTIONS, value))).collect(),
            over_tls: parse(&settings.strict_transport_security),
            nonces: policies.iter().flatten().any(Template::has_nonces),
            policies,
            marker: settings.csp.nonce_marker.clone(),
            replace: settings.from_app == FromApp::Replace,
            removed: Names::new(&settings.remove),
            told: Mutex::default(),
        }
    }

    fn put(&self, headers: &mut HeaderMap, name: &HeaderName, value: &HeaderValue) {
        if self.replace {
            headers.insert(name, value.clone());
        } else {
            // The app knows its own pages best: what it sets stays.
            headers.entry(name).or_insert_with(|| value.clone());
        }
    }

    fn apply(&self, mut response: Response<Body>, asked: Asked) -> Response<Body> {
        let headers = response.headers_mut();
        self.removed.remove_from(headers);
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return response;
        }
        let headers = response.headers_mut();
        // Grows once for all that follows.
        headers.reserve(self.always.len() + 2);
        for (name, value) in &self.always {
            self.put(headers, name, value);
        }
        if let Some(value) = self.over_tls.as_ref().filter(|_| asked.tls) {
            self.put(headers, &STRICT_TRANSPORT_SECURITY, value);
        }
        match &self.policies[usize::from(asked.tls)] {
            Some(policy) => self.apply_policy(response, policy, asked.shown),
            None => response,
        }
    }

    fn apply_policy(&self, mut response: Response<Body>, policy: &Template, shown: bool) -> Response<Body> {
        let theirs = response.headers().contains_key(&policy.name) && !self.replace;
        // Its tags may carry nonces of its own, which must stay.
        let enforces = response.headers().contains_key(CONTENT_SECURITY_POLICY)
            && !(self.replace && policy.name == CONTENT_SECURITY_POLICY);
        if let Some(enforced) = &policy.enforced {
            // While ours only reports, it is no reason to take away what the app enforces.
            response.headers_mut().entry(CONTENT_SECURITY_POLICY).or_insert_with(|| enforced.clone());
        }
        // Under the app's own policy our nonce would open nothing.
        if theirs {
            return response;
        }
        if policy.has_nonces() {
            if response.status() == StatusCode::NOT_MODIFIED {
                // It would go over the policy of the page that a browser has stored, whose nonce is another (RFC 9111, 3.2).
                if self.replace {
                    response.headers_mut().remove(&policy.name);
                }
                return response;
            }
            let nonce = (!enforces && is_page(&response)).then(Nonce::fresh).flatten();
            if let Some((value, nonce)) = nonce.and_then(|nonce| Some((policy.with(&nonce)?, nonce))) {
                response.headers_mut().insert(&policy.name, value);
                self.name_endpoints(response.headers_mut(), policy);
                if !can_take_nonces(&response) {
                    // Its tags cannot be found: none of them has this nonce, and none of its scripts may run. Out of a cache it
                    // would be the same for all, and so known to whoever writes into the page.
                    keep_from_others(response.headers_mut());
                    if shown && response.status() == StatusCode::OK {
                        self.tell_of_coding(response.headers());
                    }
                    return response;
                }
                make_private(response.headers_mut());
                return with_nonces(response, &nonce, policy.styles, &self.marker);
            }
        }
        if let Some(value) = &policy.plain {
            response.headers_mut().insert(&policy.name, value.clone());
            self.name_endpoints(response.headers_mut(), policy);
        }
        response
    }

    /// Once for each: nobody would know why a page stays blank.
    fn tell_of_coding(&self, headers: &HeaderMap) {
        let Some(coding) = unread(headers) else { return };
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() < MOST_TOLD && !told.contains(coding) {
            told.push(coding.clone());
            tracing::warn!(?coding, "an HTML answer cannot be read, and gets no nonces: no script of it runs");
        }
    }

    /// One more, beside those that the app has for itself.
    fn name_endpoints(&self, headers: &mut HeaderMap, policy: &Template) {
        if let Some(endpoints) = &policy.endpoints {
            headers.append(ENDPOINTS, endpoints.clone());
        }
    }
}

impl Names {
    fn new(names: &[String]) -> Self {
        let mut names: Vec<HeaderName> = names
            .iter()
            .filter(|name| values::may_be_removed(name))
            .filter_map(|name| HeaderName::from_bytes(name.as_bytes()).ok())
            .collect();
        names.sort_by_key(length);
        let starts = std::array::from_fn(|start| names.partition_point(|name| length(name) < start));
        Self { names, starts }
    }

    fn find(&self, name: &HeaderName) -> Option<&HeaderName> {
        let length = length(name);
        self.names[self.starts[length]..self.starts[length + 1]].iter().find(|known| *known == name)
    }

    fn remove_from(&self, headers: &mut HeaderMap) {
        // One pass over what is there is cheaper than a look-up for each that might be; most answers have one of them or none.
        let found: Vec<&HeaderName> = headers.keys().filter_map(|name| self.find(name)).collect();
        for name in found {
            headers.remove(name);
        }
    }
}

fn length(name: &HeaderName) -> usize {
    name.as_str().len().min(LENGTHS - 1)
}

/// What the answer has to know of its request.
#[derive(Clone, Copy)]
struct Asked {
    tls: bool,
    /// The answer is shown as a page, and is no piece that a script puts into one.
    shown: bool,
}

fn names_html(headers: &HeaderMap) -> bool {
    headers.get_all(ACCEPT).iter().any(|value| memchr::memmem::find(value.as_bytes(), b"text/html").is_some())
}

fn is_for_page(destination: &HeaderValue) -> bool {
    matches!(destination.as_bytes(), b"document" | b"iframe" | b"frame" | b"embed" | b"object")
}

/// A browser on its way to a page, to a frame of one, or to a piece of one: its answer may have to be rewritten.
fn asks_for_page(headers: &HeaderMap) -> bool {
    headers.get(FETCH_DESTINATION).is_some_and(is_for_page) || names_html(headers)
}

/// A browser that shows what it gets; older ones do not say what for they ask.
fn shows_page(headers: &HeaderMap) -> bool {
    headers.get(FETCH_DESTINATION).map_or_else(|| names_html(headers), is_for_page)
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

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let tls = request.extensions().get::<Arc<RequestContext>>().is_some_and(|context| context.scheme == "https");
        let shown = self.headers.0.nonces && shows_page(request.headers());
        if self.headers.0.nonces && asks_for_page(request.headers()) {
            // Tags inside of a compressed page cannot be found; scripts and pictures are asked for in their own way.
            request.headers_mut().insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        }
        let asked = Asked { tls, shown };
        SecurityHeadersFuture { inner: self.inner.call(request), headers: self.headers.clone(), asked }
    }
}

pin_project_lite::pin_project! {
    /// The future of [`SecurityHeadersService`].
    pub struct SecurityHeadersFuture<F> {
        #[pin]
        inner: F,
        headers: SecurityHeaders,
        asked: Asked,
    }
}

impl<F> Future for SecurityHeadersFuture<F>
where
    F: Future<Output = Result<Response<Body>, Infallible>>,
{
    type Output = Result<Response<Body>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Ok(response) = ready!(this.inner.poll(cx));
        Poll::Ready(Ok(this.headers.0.apply(response, *this.asked)))
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use seaworthy_core::{RequestId, full_body};
    use tower::ServiceExt;

    use super::*;
    use crate::headers::{CspSettings, Directives};

    const PAGE: &str = "<script>1</script>";

    /// An app that answers with these headers and a page, behind the layer.
    async fn answer_of(
        settings: &HeaderSettings,
        scheme: &'static str,
        status: u16,
        set: &[(&'static str, &str)],
    ) -> Response<Body> {
        let set: Vec<(&'static str, String)> = set.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        let app = tower::service_fn(move |request: Request<Body>| {
            let mut response = Response::builder().status(status);
            let asked = request.headers().get(ACCEPT_ENCODING).cloned();
            for (name, value) in &set {
                response = response.header(*name, value);
            }
            response = response.header("x-asked-encoding", asked.unwrap_or(HeaderValue::from_static("")));
            let body = if status == 304 { seaworthy_core::empty_body() } else { full_body(PAGE) };
            let response = response.body(body).unwrap();
            async { Ok::<_, Infallible>(response) }
        });
        let id = RequestId::from_client(&HeaderValue::from_static("r-1")).unwrap();
        let context = RequestContext { scheme, ..RequestContext::new(id) };
        let mut request = Request::new(seaworthy_core::empty_body());
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static("text/html, */*"));
        request.headers_mut().insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        request.extensions_mut().insert(Arc::new(context));
        SecurityHeaders::layer(settings).unwrap().layer(app).oneshot(request).await.unwrap()
    }

    fn with_csp(csp: CspSettings) -> HeaderSettings {
        HeaderSettings { csp, ..HeaderSettings::default() }
    }

    fn with_nonces_on() -> HeaderSettings {
        with_csp(CspSettings { nonces: true, ..CspSettings::default() })
    }

    const HTML: (&str, &str) = ("content-type", "text/html");

    #[tokio::test]
    async fn adds_what_is_missing_and_keeps_what_the_app_says() {
        let settings = HeaderSettings { permissions_policy: String::new(), ..HeaderSettings::default() };
        let response = answer_of(&settings, "http", 200, &[("x-frame-options", "DENY"), HTML]).await;
        assert_eq!(response.headers()["x-content-type-options"], "nosniff");
        assert_eq!(response.headers()["x-frame-options"], "DENY");
        assert_eq!(
            response.headers()["content-security-policy"],
            "object-src 'none'; base-uri 'self'; frame-ancestors 'self'"
        );
        assert!(!response.headers().contains_key("permissions-policy"));
        assert!(!response.headers().contains_key("strict-transport-security"), "never over plain HTTP");
        assert_eq!(response.headers()["x-asked-encoding"], "gzip", "nothing is rewritten");
        let encrypted = answer_of(&settings, "https", 200, &[]).await;
        assert_eq!(encrypted.headers()["strict-transport-security"], "max-age=31536000");
    }

    #[tokio::test]
    async fn replaces_what_the_app_says_when_told_to() {
        let settings = HeaderSettings { from_app: FromApp::Replace, frame: "none".into(), ..HeaderSettings::default() };
        let set = [
            ("x-frame-options", "ALLOWALL"),
            ("content-security-policy", "default-src *"),
            ("referrer-policy", "unsafe-url"),
        ];
        let response = answer_of(&settings, "http", 200, &set).await;
        assert_eq!(response.headers()["x-frame-options"], "DENY");
        assert_eq!(response.headers()["referrer-policy"], "strict-origin-when-cross-origin");
        let policies: Vec<_> = response.headers().get_all("content-security-policy").iter().collect();
        assert_eq!(policies, ["object-src 'none'; base-uri 'self'; frame-ancestors 'none'"]);
    }

    #[tokio::test]
    async fn what_tells_of_the_software_is_gone() {
        let set = [("server", "gunicorn/20"), ("x-powered-by", "PHP/8"), ("x-runtime", "0.2"), ("x-kept", "1")];
        let response = answer_of(&HeaderSettings::default(), "http", 200, &set).await;
        for (name, _) in &set[..3] {
            assert!(!response.headers().contains_key(*name), "{name}");
        }
        assert_eq!(response.headers()["x-kept"], "1");
        let upgraded = answer_of(&HeaderSettings::default(), "http", 101, &set).await;
        assert!(!upgraded.headers().contains_key("server") && !upgraded.headers().contains_key("referrer-policy"));
        let settings = HeaderSettings { remove: Vec::new(), ..HeaderSettings::default() };
        assert_eq!(answer_of(&settings, "http", 200, &set).await.headers()["server"], "gunicorn/20");
    }

    #[test]
    fn names_are_removed_however_many_and_however_long() {
        let long = |length: usize| format!("x-{}", "a".repeat(length - 2));
        let mut listed: Vec<String> = (0..300).map(|number| format!("x-{number:03}")).collect();
        listed.extend([long(62), long(63), long(64), long(70), "X-Runtime".into()]);
        let names = Names::new(&listed);
        let kept = ["x-kept".to_owned(), "x-999".into(), long(61), long(65), long(71)];
        for count in [0, 1, 3, 4, 5, 6, 300] {
            let mut headers = HeaderMap::new();
            let gone = listed[..count].iter().chain(&listed[300..]).take(count);
            for name in kept.iter().chain(gone) {
                for value in ["a", "b"] {
                    headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_static(value));
                }
            }
            names.remove_from(&mut headers);
            assert_eq!(headers.keys_len(), kept.len(), "{count}: {headers:?}");
            assert!(kept.iter().all(|name| headers.get_all(name).iter().count() == 2), "{count}");
        }
        for name in &listed {
            let mut headers = HeaderMap::new();
            headers.insert(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_static("a"));
            names.remove_from(&mut headers);
            assert!(headers.is_empty(), "{name}");
        }
    }

    #[tokio::test]
    async fn each_page_has_a_nonce_of_its_own_in_its_policy_and_its_tags() {
        let mut seen = std::collections::HashSet::new();
        for _ in 0..3 {
            let response = answer_of(
                &with_nonces_on(),
                "http",
                500,
                &[HTML, ("content-length", "18"), ("cache-control", "public")],
            )
            .await;
            assert_eq!(response.headers()["x-asked-encoding"], "identity");
            assert_eq!(response.headers()["cache-control"], "private, no-cache");
            assert!(!response.headers().contains_key("content-length"));
            let policy = response.headers()["content-security-policy"].to_str().unwrap().to_owned();
            let body = response.into_body().collect().await.unwrap().to_bytes();
            let body = String::from_utf8(body.to_vec()).unwrap();
            let nonce =
                body.strip_prefix("<script nonce=\"").unwrap().strip_suffix("\">1</script>").unwrap().to_owned();
            assert!(policy.contains(&format!("'nonce-{nonce}'")), "{policy}");
            assert!(seen.insert(nonce));
        }
    }

    #[tokio::test]
    async fn no_nonce_where_no_tag_can_carry_it() {
        let body_of = async |response: Response<Body>| response.into_body().collect().await.unwrap().to_bytes();
        let text = answer_of(&with_nonces_on(), "http", 200, &[("content-type", "text/plain")]).await;
        assert!(!text.headers()["content-security-policy"].to_str().unwrap().contains("nonce"));
        assert_eq!(body_of(text).await, PAGE);
        // A page that was not sent again keeps the policy that came with it.
        let unchanged = answer_of(&with_nonces_on(), "http", 304, &[HTML]).await;
        assert!(!unchanged.headers().contains_key("content-security-policy"));
        // The app's own policy stays, and its page with it.
        let own =
            answer_of(&with_nonces_on(), "http", 200, &[HTML, ("content-security-policy", "script-src 'self'")]).await;
        assert_eq!(own.headers()["content-security-policy"], "script-src 'self'");
        assert_eq!(body_of(own).await, PAGE);
        let learning = with_csp(CspSettings { nonces: true, report_only: true, ..CspSettings::default() });
        let own =
            answer_of(&learning, "http", 200, &[HTML, ("content-security-policy", "script-src 'nonce-own'")]).await;
        assert!(own.headers().contains_key("content-security-policy-report-only"));
        assert_eq!(body_of(own).await, PAGE, "the app's nonces stay");
    }

    #[tokio::test]
    async fn a_page_that_cannot_be_read_runs_no_scripts() {
        for set in [&[HTML, ("content-encoding", "br")][..], &[("content-type", "text/html; charset=utf-16")]] {
            let kept = [("cache-control", "public, max-age=60"), ("content-length", "18"), ("etag", "\"a\"")];
            let cached = [("expires", "Thu, 01 Jan 2099 00:00:00 GMT"), ("cdn-cache-control", "max-age=60")];
            let set = [set, &kept, &cached].concat();
            let response = answer_of(&with_nonces_on(), "http", 200, &set).await;
            assert_eq!(response.headers()["cache-control"], "private, no-cache", "the nonce is nobody else's");
            assert!(cached.iter().all(|(name, _)| !response.headers().contains_key(*name)));
            assert_eq!(
                (&response.headers()["content-length"], &response.headers()["etag"]),
                (&"18".parse().unwrap(), &"\"a\"".parse().unwrap())
            );
            let policy = response.headers()["content-security-policy"].to_str().unwrap().to_owned();
            assert!(policy.contains("script-src 'strict-dynamic' 'nonce-"), "{set:?}: {policy}");
            let body = response.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(body, PAGE, "no tag has it");
        }
        let script = answer_of(&with_nonces_on(), "http", 200, &[("content-type", "text/javascript")]).await;
        let policy = script.headers()["content-security-policy"].to_str().unwrap();
        assert!(!policy.contains("script-src"), "a worker goes by its own: {policy}");
    }

    #[tokio::test]
    async fn of_pages_that_cannot_be_read_each_coding_is_told_once() {
        let layer = SecurityHeaders::layer(&with_nonces_on()).unwrap();
        let ask = async |status: u16, coding: &'static str, charset: &'static str, for_what: Option<&'static str>| {
            let app = tower::service_fn(move |_: Request<Body>| async move {
                let response = Response::builder().status(status).header("content-encoding", coding);
                Ok::<_, Infallible>(response.header("content-type", charset).body(full_body(PAGE)).unwrap())
            });
            let mut request = Request::get("/").header(ACCEPT, "text/html");
            if let Some(destination) = for_what {
                request = request.header(FETCH_DESTINATION, destination);
            }
            let request = request.body(seaworthy_core::empty_body()).unwrap();
            layer.layer(app).oneshot(request).await.unwrap();
            layer.0.told.lock().unwrap().len()
        };
        let html = "text/html";
        assert_eq!(ask(206, "identity", html, Some("document")).await, 0, "a part");
        assert_eq!(ask(404, "br", html, Some("document")).await, 0);
        assert_eq!(ask(200, "br", html, Some("empty")).await, 0, "a piece that a script asks for");
        assert_eq!(ask(200, "br", html, Some("document")).await, 1);
        assert_eq!(ask(200, "br", html, None).await, 1);
        assert_eq!(ask(200, "zstd", html, None).await, 2);
        assert_eq!(ask(200, "identity", "text/html; charset=utf-16", Some("iframe")).await, 3);
    }

    #[tokio::test]
    async fn reports_are_asked_for_where_browsers_can_send_them() {
        let learning = with_csp(CspSettings { report_only: true, ..CspSettings::default() });
        let plain = answer_of(&learning, "http", 200, &[HTML]).await;
        assert_eq!(plain.headers()["content-security-policy"], "frame-ancestors 'self'");
        let policy = plain.headers()["content-security-policy-report-only"].to_str().unwrap();
        assert!(policy.ends_with("report-uri /.well-known/csp-reports"), "{policy}");
        let encrypted = answer_of(&learning, "https", 200, &[HTML, ("reporting-endpoints", "own=\"/r\"")]).await;
        let endpoints: Vec<_> = encrypted.headers().get_all("reporting-endpoints").iter().collect();
        assert_eq!(endpoints, ["own=\"/r\"", "seaworthy-csp=\"/.well-known/csp-reports\""]);
    }

    #[tokio::test]
    async fn off_is_absent() {
        assert!(SecurityHeaders::layer(&HeaderSettings { enabled: false, ..HeaderSettings::default() }).is_none());
        let off = HeaderSettings {
            frame: "off".into(),
            csp: CspSettings { directives: Some(Directives::Text("off".into())), ..CspSettings::default() },
            ..HeaderSettings::default()
        };
        let response = answer_of(&off, "http", 200, &[]).await;
        assert!(!response.headers().contains_key("content-security-policy"));
        assert!(!response.headers().contains_key("x-frame-options"));
    }
}
