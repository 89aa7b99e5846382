//! From a parsed request to the pipeline of its route.

use std::{
    convert::Infallible,
    future::Future,
    sync::{Arc, OnceLock},
    time::Instant,
};

use arc_swap::ArcSwap;
use http::{HeaderValue, Request, Response, StatusCode, Version, header, uri::PathAndQuery};
use http_body::Body as HttpBody;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use seaworthy_core::{
    Body, Problem, ProblemKind, RequestContext, RequestId, RequestIdSource, TraceContext, empty_body, full_body,
};
use tokio::sync::Notify;

use crate::{
    client::{self, Client},
    connection::Origin,
    failure::Failure,
    headers,
    own_answers::Prepared,
    policy::Policy,
    problems,
    routing::RouteTable,
    settings::{MethodOverride, TracePolicy},
    target,
    tls::Tls,
};

/// Where a certificate authority looks for the answer to its challenge (RFC 8555, 8.3).
const CHALLENGE: &str = "/.well-known/acme-challenge/";
/// The route name of answers that the edge gives itself.
const OWN_ROUTE: &str = "(edge)";

/// What one core needs to answer requests.
pub(crate) struct Core {
    /// Swapped whole on reload; a request in flight keeps the handler that it started with.
    pub table: ArcSwap<RouteTable>,
    /// Swapped with it; a connection keeps the one that it started with for its own limits.
    pub policy: ArcSwap<Policy>,
    pub ids: RequestIdSource,
    pub certificates: Option<Tls>,
    /// Tells connections without a request that their place is needed.
    pub crowded: Notify,
}

impl Core {
    /// Answers one request: context, route, pipeline, and the id on the answer.
    pub(crate) async fn answer(self: &Arc<Self>, origin: &Origin, mut request: Request<Incoming>) -> Response<Body> {
        let (answering, id) = {
            let policy = self.policy.load();
            let client = client::identify(origin, request.headers(), &policy);
            let own = match oversized(&policy, &request).map_or_else(|| target::normalise(&mut request), Err) {
                Ok(()) => self.own_answer(&policy, &client, &request),
                Err(kind) => Some(OwnAnswer::Problem(kind)),
            };
            let table = self.table.load();
            let route = own.is_none().then(|| table.of(request.method(), request.uri().path(), request.headers()));
            let (own, route) = match route {
                Some(route) if !route.heeds_override && overridden(&policy, &request) => {
                    (Some(OwnAnswer::Problem(problems::METHOD_OVERRIDE)), None)
                }
                route => (own, route),
            };
            let (route, handler) = match route {
                Some(route) => (route.name.clone(), &*route.handler),
                None => (OWN_ROUTE.into(), table.own()),
            };
            let context = self.context(&policy, origin, client, route, &request);
            let id = context.id.clone();
            let (parts, body) = request.into_parts();
            let mut request = Request::from_parts(parts, erase(body));
            if let Some(own) = own {
                request.extensions_mut().insert(Prepared::new(own.into_response(&context)));
            }
            request.extensions_mut().insert(Arc::new(context));
            (handler.call(request), id)
        };
        finish(answering, &id).await
    }

    /// Answers what is no request with a problem, by way of the log.
    pub(crate) async fn refuse(
        self: &Arc<Self>,
        origin: &Origin,
        mut request: Request<Body>,
        kind: ProblemKind,
    ) -> Response<Body> {
        let policy = self.policy.load();
        let client = client::identify(origin, request.headers(), &policy);
        let context = self.context(&policy, origin, client, OWN_ROUTE.into(), &request);
        drop(policy);
        let id = context.id.clone();
        request.extensions_mut().insert(Prepared::new(Failure::refused(kind).into_response(&context)));
        request.extensions_mut().insert(Arc::new(context));
        let answering = self.table.load().own().call(request);
        finish(answering, &id).await
    }

    /// What is answered without asking the app: challenges, redirects, names that are not served here.
    fn own_answer(&self, policy: &Policy, client: &Client, request: &Request<Incoming>) -> Option<OwnAnswer> {
        if !client.secure {
            let token = request.uri().path().strip_prefix(CHALLENGE);
            if let Some(answer) = token.and_then(|token| self.certificates.as_ref()?.challenge(token)) {
                return Some(OwnAnswer::Challenge(answer));
            }
        }
        let named = client.host.as_ref().and_then(|host| host.to_str().ok()).map(target::without_port);
        let direct = target::host_name(request);
        // The app may believe either of them.
        if [named, direct].into_iter().flatten().any(|host| !policy.serves(host)) {
            return Some(OwnAnswer::Problem(problems::UNKNOWN_HOST));
        }
        let host = named.or(direct);
        let port = policy.redirect.filter(|_| !client.secure)?;
        Some(host.and_then(|host| redirect(host, port, request)).unwrap_or(OwnAnswer::Problem(problems::BAD_HOST)))
    }

    fn context<B>(
        &self,
        policy: &Policy,
        origin: &Origin,
        client: Client,
        route: Arc<str>,
        request: &Request<B>,
    ) -> RequestContext {
        let headers = request.headers();
        let read = headers::Read::of(headers);
        let host = client.host.as_ref().or(read.host);
        let given = read.request_id.and_then(RequestId::from_client);
        let trace = match policy.trace {
            TracePolicy::Off => None,
            TracePolicy::Restart => Some(TraceContext::start(fastrand::u128(..), fastrand::u64(..))),
            TracePolicy::Accept => {
                let known = read.trace_parent.and_then(TraceContext::parse);
                let span = fastrand::u64(..);
                Some(known.map_or_else(|| TraceContext::start(fastrand::u128(..), span), |trace| trace.step(span)))
            }
        };
        RequestContext {
            id: given.unwrap_or_else(|| self.ids.next()),
            client: Some(client.address),
            client_headers: Some(origin.described.of(client.address, client.secure, host)),
            route,
            received: Instant::now(),
            scheme: if client.secure { "https" } else { "http" },
            version: match request.version() {
                Version::HTTP_2 => "2",
                Version::HTTP_10 => "1.0",
                _ => "1.1",
            },
            forwarded_host: client.host,
            trace,
            wants_html: Problem::wants_html(headers),
            principal: OnceLock::new(),
        }
    }
}

/// Limits that the guard holds over HTTP/1, for HTTP/2.
fn oversized(policy: &Policy, request: &Request<Incoming>) -> Option<ProblemKind> {
    if request.version() != Version::HTTP_2 {
        return None;
    }
    let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    match () {
        () if target > policy.head.target => Some(problems::TARGET_TOO_LONG),
        () if request.headers().len() > policy.head.headers => Some(problems::HEAD_TOO_LARGE),
        () => None,
    }
}

/// The route is found by the method: the app must not take the request for another one.
fn overridden(policy: &Policy, request: &Request<Incoming>) -> bool {
    policy.method_override == MethodOverride::Refuse && headers::overrides_method(request.headers(), request.method())
}

/// An answer of our own.
enum OwnAnswer {
    Challenge(String),
    Redirect(HeaderValue),
    Problem(ProblemKind),
}

impl OwnAnswer {
    fn into_response(self, context: &RequestContext) -> Response<Body> {
        match self {
            Self::Problem(kind) => Failure::refused(kind).into_response(context),
            Self::Challenge(answer) => {
                let mut response = Response::new(full_body(answer));
                response
                    .headers_mut()
                    .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
                response
            }
            Self::Redirect(location) => {
                let mut response = Response::new(empty_body());
                // Keeps the method and the body, unlike a 301 (RFC 9110, 15.4.9).
                *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
                response.headers_mut().insert(header::LOCATION, location);
                response
            }
        }
    }
}

/// The same address over HTTPS. The host was checked to be one before it is written anywhere.
fn redirect(host: &str, port: u16, request: &Request<Incoming>) -> Option<OwnAnswer> {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':');
    if host.is_empty() || !host.bytes().all(is_name) {
        return None;
    }
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let port = if port == 443 { String::new() } else { format!(":{port}") };
    let path = request.uri().path_and_query().map_or("/", PathAndQuery::as_str);
    HeaderValue::from_str(&format!("https://{host}{port}{path}")).ok().map(OwnAnswer::Redirect)
}

async fn finish(answering: impl Future<Output = Result<Response<Body>, Infallible>>, id: &RequestId) -> Response<Body> {
    let Ok(mut response) = answering.await;
    response.headers_mut().insert(headers::REQUEST_ID, id.header());
    response
}

/// An empty body costs no allocation; most requests have one.
fn erase(body: Incoming) -> Body {
    if body.is_end_stream() { empty_body() } else { body.map_err(Into::into).boxed_unsync() }
}
