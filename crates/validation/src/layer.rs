//! The layer: looks at a request, holds its body when it has to, and refuses it or passes it on.

use std::{
    convert::Infallible,
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::{HeaderValue, Method, Request, Response, header};
use http_body::Body as HttpBody;
use seaworthy_core::{Body, RequestContext};
use serde_json::Value;
use tower::{Layer, Service, ServiceExt};

use crate::{
    body::{self, Gathered},
    contract::{Contract, Operation},
    form::{METHOD_FIELD, OVERRIDE, OVERRIDES},
    json,
    media::{Kind, Look, body_kind},
    parameters::{Sources, decoded},
    paths::Found,
    patterns::Budget,
    refusal::Refusal,
    seen::SeenByApp,
    settings::{JsonSettings, Mode, RoutePolicy, Settings, Unknown},
    validation::Validation,
    violation::{self, Place, Violation},
};

/// The layer of one route. Absent where nothing is validated.
#[derive(Clone)]
pub struct Validate(Arc<Route>);

/// The service of [`Validate`].
#[derive(Debug, Clone)]
pub struct ValidateService<S> {
    inner: S,
    route: Validate,
}

struct Route {
    validation: Validation,
    /// Whether there is a document to compare with.
    by_document: bool,
    seen: Option<SeenByApp>,
    mode: Mode,
    unknown: Unknown,
    status: u16,
    body_limit: usize,
    json: JsonSettings,
}

/// A form of more fields is refused: each of them is compared with each that is described.
const FORM_FIELDS: usize = 1_000;

impl Validate {
    /// The layer of a route with this policy; `None` when there is nothing to do. `seen` is there where the app
    /// sees other paths than clients ask for.
    pub fn layer(
        settings: &Settings,
        route: &RoutePolicy,
        validation: &Validation,
        seen: Option<SeenByApp>,
    ) -> Option<Self> {
        let mode = route.validate.unwrap_or(settings.mode);
        let everywhere = route.json_limits.unwrap_or(settings.json.everywhere);
        let by_document = settings.openapi.is_some();
        if mode == Mode::Off || !(by_document || everywhere) {
            return None;
        }
        Some(Self(Arc::new(Route {
            validation: validation.clone(),
            by_document,
            seen,
            mode,
            unknown: settings.unknown,
            status: settings.status,
            body_limit: usize::try_from(settings.body_limit.0).unwrap_or(usize::MAX),
            json: JsonSettings { everywhere, ..settings.json },
        })))
    }
}

impl fmt::Debug for Validate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Validate").field("mode", &self.0.mode).finish_non_exhaustive()
    }
}

impl<S> Layer<S> for Validate {
    type Service = ValidateService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ValidateService { inner, route: self.clone() }
    }
}

/// What to do with a request once its head was seen.
enum Next {
    Pass,
    Refuse(Refusal),
    /// Read the body, and compare it with this; `None`: only with the limits.
    Read(Option<Expected>),
}

/// A body that is described.
struct Expected {
    contract: Arc<Contract>,
    operation: usize,
    kind: Kind,
    /// Several where nothing tells which one is meant.
    media: Vec<usize>,
    /// What was wrong before the body.
    violations: Vec<Violation>,
    /// What is left of it for the body.
    budget: Budget,
}

impl Expected {
    fn operation(&self) -> Option<&Operation> {
        self.contract.operations.get(self.operation)
    }
}

impl Route {
    fn look(&self, request: &Request<Body>) -> Next {
        if !self.by_document {
            return self.by_limits_alone(request);
        }
        let current = self.validation.current();
        let Some(contract) = current.as_ref() else {
            return if self.mode == Mode::Enforce { Next::Refuse(Refusal::NoDocument) } else { Next::Pass };
        };
        let (method, path) = (request.method(), request.uri().path());
        let seen = match &self.seen {
            Some(seen) => match (seen.path)(path) {
                Some(path) => Some(path),
                // It is refused or sent elsewhere before it gets to the app.
                None => return Next::Pass,
            },
            None => None,
        };
        let also_as_asked = self.seen.as_ref().is_some_and(|seen| seen.also_as_asked);
        let found = contract.find(method, path, seen.as_deref(), also_as_asked);
        let (number, values) = match found {
            Found::Operation(number, values) => (number, values),
            // A preflight is no call of the operation; answers to it are CORS' affair.
            _ if *method == Method::OPTIONS => return Next::Pass,
            found => {
                self.validation.observed().unknown(method, path);
                return match (found, self.mode, self.unknown) {
                    (Found::OtherMethods(methods), Mode::Enforce, Unknown::Refuse) => {
                        Next::Refuse(Refusal::method(&methods))
                    }
                    (_, Mode::Enforce, Unknown::Refuse) => Next::Refuse(Refusal::UnknownOperation),
                    _ => self.by_limits_alone(request),
                };
            }
        };
        let Some(operation) = contract.operations.get(number) else { return Next::Pass };
        operation.counts.asked();
        let (mut violations, mut budget) = (Vec::new(), Budget::default());
        if !operation.describes_method && overrides_method(method, request.uri().query()) {
            violations.push(Violation::of(Place::Query, METHOD_FIELD, OVERRIDE, OVERRIDES));
        }
        if !operation.parameters.is_empty() {
            let query = request.uri().query().filter(|_| operation.reads_query);
            let sources = Sources::of(values, query, request.headers(), &self.json);
            budget.spend(|| operation.parameters.iter().for_each(|one| one.check(&sources, &mut violations)));
        }
        match body_kind(operation, request, &mut violations) {
            Some((kind, media)) => {
                let contract = contract.clone();
                Next::Read(Some(Expected { contract, operation: number, kind, media, violations, budget }))
            }
            None if !violations.is_empty() => self.judged(operation, violations).map_or(Next::Pass, Next::Refuse),
            None if operation.body.is_none() => self.by_limits_alone(request),
            None => Next::Pass,
        }
    }

    fn by_limits_alone(&self, request: &Request<Body>) -> Next {
        let mut kinds = request.headers().get_all(header::CONTENT_TYPE).iter().filter_map(|kind| kind.to_str().ok());
        let holds = self.json.everywhere && !request.body().is_end_stream();
        // One of several is enough: the app may believe any of them.
        if holds && kinds.any(|kind| Kind::of(kind).is_json()) { Next::Read(None) } else { Next::Pass }
    }

    /// Counts what is wrong, and refuses where that was asked for.
    fn judged(&self, operation: &Operation, violations: Vec<Violation>) -> Option<Refusal> {
        if violations.is_empty() {
            return None;
        }
        operation.counts.wrong(&violations);
        (self.mode == Mode::Enforce).then_some(Refusal::Wrong(violations))
    }

    /// What is wrong with a body.
    fn read(&self, bytes: &[u8], expected: Option<&mut Expected>) -> Vec<Violation> {
        let Some(expected) = expected else {
            let limits = json::read(bytes, &self.json).err().filter(|_| !bytes.is_empty());
            return limits.map(|message| Violation::body("json", message)).into_iter().collect();
        };
        let mut budget = expected.budget;
        let found = budget.spend(|| self.compare(bytes, expected));
        expected.budget = budget;
        if budget.is_exhausted() { vec![Violation::too_dear(Place::Body, "")] } else { found }
    }

    /// The body is right when it is one of those that may be meant.
    fn compare(&self, bytes: &[u8], expected: &Expected) -> Vec<Violation> {
        let Some(rule) = expected.operation().and_then(|operation| operation.body.as_ref()) else { return Vec::new() };
        if bytes.is_empty() {
            return if rule.required { vec![Violation::body("required", "is missing")] } else { Vec::new() };
        }
        let mut first: Option<Vec<Violation>> = None;
        let mut value: Option<Result<Value, String>> = None;
        for media in expected.media.iter().filter_map(|number| rule.media.get(*number)) {
            let mut all = Vec::new();
            match media.look(&expected.kind) {
                None => {}
                Some(Look::Form(form)) => form.check(&String::from_utf8_lossy(bytes), FORM_FIELDS, &mut all),
                Some(Look::Json(rule)) => match (value.get_or_insert_with(|| json::read(bytes, &self.json)), rule) {
                    (Ok(value), Some(rule)) => violation::check(rule, value, Place::Body, "", &mut all),
                    (Ok(_), None) => {}
                    (Err(message), _) => all.push(Violation::body("json", message.clone())),
                },
            }
            if all.is_empty() {
                return all;
            }
            first.get_or_insert(all);
        }
        first.unwrap_or_default()
    }

    /// Reads the body; the request to pass on, or why not.
    async fn hold(&self, request: Request<Body>, mut expected: Option<Expected>) -> Result<Request<Body>, Refusal> {
        let (parts, body) = request.into_parts();
        let enforces = self.mode == Mode::Enforce;
        let (bytes, trailers) = match body::gather(body, self.body_limit).await {
            Gathered::Whole(bytes, trailers) => (bytes, trailers),
            Gathered::BrokeOff => return Err(Refusal::BrokeOff),
            Gathered::TooLarge(rest) => {
                if let Some(operation) = expected.as_ref().and_then(Expected::operation) {
                    operation.counts.wrong(&[Violation::body("size", "is larger than what is validated")]);
                }
                if enforces {
                    rest.drain().await;
                    return Err(Refusal::TooLarge(self.body_limit));
                }
                return Ok(Request::from_parts(parts, http_body_util::BodyExt::boxed_unsync(rest)));
            }
        };
        let mut violations = expected.as_mut().map(|one| std::mem::take(&mut one.violations)).unwrap_or_default();
        violations.extend(self.read(&bytes, expected.as_mut()));
        violations.truncate(violation::MOST);
        let refusal = match expected.as_ref().and_then(Expected::operation) {
            Some(operation) => self.judged(operation, violations),
            None => (enforces && !violations.is_empty()).then_some(Refusal::Wrong(violations)),
        };
        match refusal {
            Some(refusal) => Err(refusal),
            None => Ok(Request::from_parts(parts, body::again(bytes, trailers))),
        }
    }

    fn answer(&self, refusal: &Refusal, context: Option<&RequestContext>) -> Response<Body> {
        let mut response = refusal.response(self.status, context);
        if matches!(refusal, Refusal::TooLarge(_) | Refusal::BrokeOff) {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

/// Apps take a POST for another method where the query says so.
fn overrides_method(method: &Method, query: Option<&str>) -> bool {
    let name = |pair: &str| decoded(pair.split('=').next().unwrap_or_default()) == METHOD_FIELD;
    *method == Method::POST && query.is_some_and(|query| query.split('&').any(name))
}

impl<S> Service<Request<Body>> for ValidateService<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = ValidateFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let context = request.extensions().get::<Arc<RequestContext>>();
        match self.route.0.look(&request) {
            Next::Pass => ValidateFuture::Pass { inner: self.inner.call(request) },
            Next::Refuse(refusal) => {
                ValidateFuture::Ready { answer: Some(self.route.0.answer(&refusal, context.map(Arc::as_ref))) }
            }
            Next::Read(expected) => {
                let (route, app, context) = (self.route.0.clone(), self.inner.clone(), context.cloned());
                ValidateFuture::Long {
                    future: Box::pin(async move {
                        match route.hold(request, expected).await {
                            Ok(request) => ask(app, request).await,
                            Err(refusal) => Ok(route.answer(&refusal, context.as_deref())),
                        }
                    }),
                }
            }
        }
    }
}

type Asking = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

/// Asks the layers below. A function of its own: inside of a future the compiler cannot see that theirs may change threads.
fn ask<S>(app: S, request: Request<Body>) -> Asking
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Send + 'static,
    S::Future: Send + 'static,
{
    Box::pin(app.oneshot(request))
}

pin_project_lite::pin_project! {
    /// The future of [`ValidateService`].
    #[project = ValidateFutureProjection]
    pub enum ValidateFuture<F> {
        Ready { answer: Option<Response<Body>> },
        Pass { #[pin] inner: F },
        Long { future: Asking },
    }
}

impl<F> Future for ValidateFuture<F>
where
    F: Future<Output = Result<Response<Body>, Infallible>>,
{
    type Output = Result<Response<Body>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            ValidateFutureProjection::Ready { answer } => match answer.take() {
                Some(answer) => Poll::Ready(Ok(answer)),
                // Nobody asks a future twice; one that did waits.
                None => Poll::Pending,
            },
            ValidateFutureProjection::Pass { inner } => inner.poll(cx),
            ValidateFutureProjection::Long { future } => future.as_mut().poll(cx),
        }
    }
}

#[cfg(test)]
mod tests;
