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
use tower::{Layer, Service, ServiceExt};

use crate::{
    body::{self, Gathered},
    contract::{Contract, Operation, Reading, is_json},
    json,
    parameters::Sources,
    paths::Found,
    refusal::{self, Refusal},
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
    mounted: Option<String>,
    mode: Mode,
    unknown: Unknown,
    status: u16,
    body_limit: usize,
    json: JsonSettings,
}

/// A form of more fields is refused: each of them is compared with each that is described.
const FORM_FIELDS: usize = 1_000;

impl Validate {
    /// The layer of a route with this policy; `None` when there is nothing to do. `mounted` is what is taken off a path
    /// before the app sees it: its document may say the path with it or without.
    pub fn layer(
        settings: &Settings,
        route: &RoutePolicy,
        validation: &Validation,
        mounted: Option<&str>,
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
            mounted: mounted.map(str::to_owned),
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
    media: usize,
    /// What was wrong before the body.
    violations: Vec<Violation>,
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
        let inside = self.mounted.as_deref().and_then(|prefix| path.strip_prefix(prefix));
        let inside = inside.filter(|rest| rest.starts_with('/')).map(|rest| contract.paths.find(method, rest));
        let found = match inside {
            Some(found @ Found::Operation(..)) => found,
            _ => contract.paths.find(method, path),
        };
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
        let mut violations = Vec::new();
        if !operation.parameters.is_empty() {
            let query = request.uri().query().filter(|_| operation.reads_query);
            let sources = Sources::of(values, query, request.headers(), &self.json);
            operation.parameters.iter().for_each(|one| one.check(&sources, &mut violations));
        }
        match self.body(operation, request, &mut violations) {
            Some(media) => {
                Next::Read(Some(Expected { contract: contract.clone(), operation: number, media, violations }))
            }
            None if !violations.is_empty() => self.judged(operation, violations).map_or(Next::Pass, Next::Refuse),
            None if operation.body.is_none() => self.by_limits_alone(request),
            None => Next::Pass,
        }
    }

    fn by_limits_alone(&self, request: &Request<Body>) -> Next {
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let is_json = kind.is_some_and(is_json) && !request.body().is_end_stream();
        if self.json.everywhere && is_json { Next::Read(None) } else { Next::Pass }
    }

    /// Which media type of the document the body has, when it is to be read.
    fn body(&self, operation: &Operation, request: &Request<Body>, violations: &mut Vec<Violation>) -> Option<usize> {
        let rule = operation.body.as_ref()?;
        if request.body().is_end_stream() {
            if rule.required {
                violations.push(Violation::body("required", "is missing"));
            }
            return None;
        }
        if rule.media.is_empty() {
            return None;
        }
        let mut kinds = request.headers().get_all(header::CONTENT_TYPE).iter();
        let kind = match (kinds.next(), kinds.next()) {
            (Some(kind), None) => kind.to_str().unwrap_or_default(),
            // Of two, the app may believe the other one.
            _ => "",
        };
        let name = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let fits = |known: &str| match known.strip_suffix("/*") {
            Some("*") => true,
            Some(group) => name.split_once('/').is_some_and(|(mine, _)| mine == group),
            None => known == name,
        };
        let by_name = rule.media.iter().position(|one| fits(&one.name));
        // Frameworks take `application/merge-patch+json` where they ask for JSON: it is compared, not refused.
        let as_json = || rule.media.iter().position(|one| is_json(&name) && matches!(one.reading, Reading::Json(_)));
        let Some(media) = by_name.or_else(as_json) else {
            let known: Vec<&str> = rule.media.iter().map(|one| one.name.as_str()).collect();
            let message = format!("must be {}", known.join(" or "));
            violations.push(Violation::of(Place::Header, "Content-Type", refusal::MEDIA_TYPE, message));
            return None;
        };
        if matches!(rule.media[media].reading, Reading::Nothing) {
            return None;
        }
        let encodings = request.headers().get_all(header::CONTENT_ENCODING);
        if encodings.iter().any(|one| !one.as_bytes().eq_ignore_ascii_case(b"identity")) {
            let message = "is not understood here: send the body as it is";
            violations.push(Violation::of(Place::Header, "Content-Encoding", refusal::MEDIA_TYPE, message));
            return None;
        }
        Some(media)
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
    fn read(&self, bytes: &[u8], expected: Option<&Expected>) -> Vec<Violation> {
        let mut all = Vec::new();
        let rule = expected.and_then(|one| Some((one.operation()?.body.as_ref()?, one.media)));
        let reading = rule.and_then(|(rule, media)| rule.media.get(media)).map(|media| &media.reading);
        if bytes.is_empty() {
            if rule.is_some_and(|(rule, _)| rule.required) {
                all.push(Violation::body("required", "is missing"));
            }
            return all;
        }
        match reading {
            Some(Reading::Form(form)) => form.check(&String::from_utf8_lossy(bytes), FORM_FIELDS, &mut all),
            Some(Reading::Nothing) => {}
            Some(Reading::Json(None)) | None => {
                all.extend(json::read(bytes, &self.json).err().map(|message| Violation::body("json", message)));
            }
            Some(Reading::Json(Some(validator))) => match json::read(bytes, &self.json) {
                Ok(value) => violation::check(validator, &value, Place::Body, "", &mut all),
                Err(message) => all.push(Violation::body("json", message)),
            },
        }
        all
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
        violations.extend(self.read(&bytes, expected.as_ref()));
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
mod tests {
    use http::StatusCode;
    use http_body_util::BodyExt;
    use seaworthy_core::{RequestId, full_body};
    use serde_json::Value;

    use super::*;
    use crate::{settings::DocumentPlace, validation::Prepared};

    const DOCUMENT: &str = r##"
openapi: 3.1.0
servers: [{ url: "https://api.example.test/v1" }]
paths:
  /items:
    post:
      parameters: [{ name: X-Key, in: header, schema: { type: integer } }]
      requestBody:
        required: true
        content:
          application/json: { schema: { $ref: "#/components/schemas/Item" } }
          application/x-www-form-urlencoded: { schema: { $ref: "#/components/schemas/Item" } }
          multipart/form-data: {}
    get:
      parameters:
        - { name: limit, in: query, schema: { type: integer, maximum: 9 } }
        - { name: ids, in: query, explode: false, schema: { type: array, items: { type: integer } } }
        - { name: tag, in: query, schema: { type: array, items: { type: string }, maxItems: 2 } }
        - { name: f, in: query, style: deepObject, schema: { type: object, required: [a], additionalProperties: false, properties: { a: { type: boolean } } } }
        - { name: q, in: query, content: { application/json: { schema: { type: object } } } }
        - { name: c, in: cookie, required: true, schema: { type: string, enum: [x] } }
components:
  schemas:
    Item: { type: object, required: [n], properties: { n: { type: integer, minimum: 0 }, p: { type: string } } }
"##;

    fn settings(folder: &std::path::Path) -> Settings {
        let file = folder.join("openapi.yaml");
        std::fs::write(&file, DOCUMENT).unwrap();
        let settings = Settings { openapi: Some(format!("file:{}", file.display())), ..Settings::default() };
        assert!(matches!(settings.place(), Some(DocumentPlace::File(_))));
        settings
    }

    struct Tried {
        validation: Validation,
        settings: Settings,
        route: RoutePolicy,
    }

    impl Tried {
        fn new(change: impl FnOnce(&mut Settings)) -> Self {
            let folder = std::env::temp_dir().join(format!("seaworthy-validation-{:x}", fastrand::u64(..)));
            std::fs::create_dir(&folder).unwrap();
            let mut settings = settings(&folder);
            change(&mut settings);
            let validation = Validation::default();
            validation.replace(Prepared::read(&settings).unwrap());
            std::fs::remove_dir_all(folder).unwrap();
            Self { validation, settings, route: RoutePolicy::default() }
        }

        /// Status, and the problem or what the app got.
        async fn send(&self, request: &str, headers: &[(&str, &str)], body: &[u8]) -> (u16, Value) {
            let (method, target) = request.split_once(' ').unwrap();
            let mut made =
                Request::new(if body.is_empty() { seaworthy_core::empty_body() } else { full_body(body.to_vec()) });
            *made.method_mut() = method.parse().unwrap();
            *made.uri_mut() = target.parse().unwrap();
            for (name, value) in headers {
                made.headers_mut()
                    .append(http::HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
            }
            let id = RequestId::from_client(&HeaderValue::from_static("r")).unwrap();
            made.extensions_mut().insert(Arc::new(RequestContext::new(id)));
            let app = tower::service_fn(|request: Request<Body>| async move {
                let body = request.into_body().collect().await.unwrap().to_bytes();
                Ok::<_, Infallible>(Response::new(full_body(
                    serde_json::to_vec(&String::from_utf8_lossy(&body)).unwrap(),
                )))
            });
            let layer = Validate::layer(&self.settings, &self.route, &self.validation, Some("/v9")).unwrap();
            let response = layer.layer(app).oneshot(made).await.unwrap();
            let status = response.status().as_u16();
            let body = response.into_body().collect().await.unwrap().to_bytes();
            (status, serde_json::from_slice(&body).unwrap())
        }

        async fn post(&self, kind: &str, body: &str) -> (u16, Value) {
            self.send("POST /v1/items", &[("content-type", kind)], body.as_bytes()).await
        }
    }

    #[tokio::test]
    async fn a_body_passes_as_it_came_or_is_refused_by_name() {
        let tried = Tried::new(|_| {});
        let odd = "{ \"n\" : 1e0,\n\"p\":\"\\u00fc\" }";
        assert_eq!(tried.post("application/json; charset=utf-8", odd).await, (200, odd.into()));
        let (status, told) = tried.post("application/json", "{\"n\":-7,\"p\":12345}").await;
        assert_eq!((status, &told["code"]), (422, &"SEA_PROTECTION_INVALID_REQUEST".into()));
        assert_eq!(told["errors"][0]["pointer"], "/n");
        assert!(told["detail"].as_str().unwrap().contains("body /p must be a text"));
        assert!(!told.to_string().contains("12345"));
        for wrong in ["", "{", "{\"n\":1,\"n\":1}", "[]", "{\"n\":1}x"] {
            assert_eq!(tried.post("application/json", wrong).await.0, 422, "{wrong}");
        }
        assert_eq!(tried.post("application/merge-patch+json", "{\"n\":1}").await.0, 200);
        assert_eq!(tried.post("application/x-www-form-urlencoded", "n=5&p=7").await.0, 200);
        assert_eq!(tried.post("application/x-www-form-urlencoded", "n=five").await.1["errors"][0]["pointer"], "/n");
        for twisted in ["n=5&n=6", "n=5&p[a]=1"] {
            assert_eq!(tried.post("application/x-www-form-urlencoded", twisted).await.0, 422, "{twisted}");
        }
        let two = [("content-type", "multipart/form-data"), ("content-type", "application/json")];
        assert_eq!(tried.send("POST /v1/items", &two, b"{}").await.0, 415);
        assert_eq!(tried.post("multipart/form-data; boundary=x", "--x--").await.0, 200);
    }

    #[tokio::test]
    async fn another_kind_of_body_is_415_and_a_large_one_413() {
        let tried = Tried::new(|settings| settings.body_limit = seaworthy_config::ByteSize(20));
        for kind in ["text/plain", "text/xml", ""] {
            let (status, told) = tried.post(kind, "{\"n\":1}").await;
            assert_eq!((status, &told["errors"][0]["name"]), (415, &"Content-Type".into()), "{kind}");
        }
        let packed = [("content-type", "application/json"), ("content-encoding", "gzip")];
        assert_eq!(tried.send("POST /v1/items", &packed, b"\x1f\x8b").await.0, 415);
        let (status, told) = tried.post("application/json", "{\"n\":1,\"p\":\"aaaaaaaaaaaa\"}").await;
        assert_eq!((status, &told["code"]), (413, &"SEA_PROTECTION_VALIDATED_TOO_LARGE".into()));
    }

    #[tokio::test]
    async fn parameters_are_read_by_their_style() {
        let tried = Tried::new(|_| {});
        let cookie = [("cookie", "a=1; c=x")];
        for right in
            ["", "limit=9", "ids=1,2,3", "ids=", "tag=a&tag=b%2Cc", "f[a]=true&other=1", "q={\"a\":1}", "limit=9&&"]
        {
            let (status, told) =
                tried.send(&format!("GET /v1/items?{}", right.replace('"', "%22")), &cookie, b"").await;
            assert_eq!(status, 200, "{right}: {told}");
        }
        for (wrong, name) in [
            ("limit=10", "limit"),
            ("limit=1&limit=2", "limit"),
            ("limit=", "limit"),
            ("limit[]=1", "limit"),
            ("limit%5Ba%5D=1", "limit"),
            ("f[a][b]=true", "f"),
            ("f[x][b]=true", "f"),
            ("ids=1,x", "ids"),
            ("tag=a&tag=b&tag=c", "tag"),
            ("f[a]=2", "f"),
            ("f[b]=2", "f"),
            ("q=1", "q"),
            ("q=%7B", "q"),
        ] {
            let (status, told) = tried.send(&format!("GET /v1/items?{wrong}"), &cookie, b"").await;
            assert_eq!((status, &told["errors"][0]["name"]), (422, &name.into()), "{wrong}: {told}");
        }
        let missing = tried.send("GET /v1/items", &[("cookie", "c=y")], b"").await;
        assert_eq!((missing.0, &missing.1["errors"][0]["in"]), (422, &"cookie".into()));
        assert_eq!(tried.send("GET /v1/items", &[], b"").await.1["errors"][0]["message"], "is missing");
        let key = [("content-type", "application/json"), ("x-key", "one")];
        assert_eq!(tried.send("POST /V1/Items/", &key, b"{\"n\":1}").await.1["errors"][0]["name"], "X-Key");
    }

    #[tokio::test]
    async fn what_only_reports_lets_everything_pass_and_tells() {
        let tried = Tried::new(|settings| {
            settings.mode = Mode::Report;
            settings.body_limit = seaworthy_config::ByteSize(30);
        });
        assert_eq!(tried.post("application/json", "{\"n\":-1}").await, (200, "{\"n\":-1}".into()));
        assert_eq!(tried.post("text/plain", "x").await.0, 200);
        let large = format!("{{\"n\":\"{}\"}}", "x".repeat(100));
        assert_eq!(tried.post("application/json", &large).await, (200, large.into()));
        tried.send("GET /v1/nothing/17", &[], b"").await;
        tried.send("DELETE /v1/items", &[], b"").await;
        let report = tried.validation.report();
        let post = &report["operations"][1];
        assert_eq!(
            (&post["operation"], &post["requests"], &post["wrong"]),
            (&"POST /items".into(), &3.into(), &3.into())
        );
        assert!(post["reasons"].to_string().contains("must be at least 0"));
        let unknown = report["unknown"].to_string();
        assert!(unknown.contains("GET /v1/nothing/{}") && unknown.contains("DELETE /v1/items"), "{unknown}");
        assert_eq!(report["operations"][0]["requests"], 0, "never asked for: {report}");
    }

    #[tokio::test]
    async fn what_the_document_lacks_passes_unless_it_is_to_be_refused() {
        let tried = Tried::new(|_| {});
        assert_eq!(tried.send("GET /docs", &[], b"").await.0, 200);
        let strict = Tried::new(|settings| settings.unknown = Unknown::Refuse);
        assert_eq!(strict.send("GET /docs", &[], b"").await.0, 404);
        assert_eq!(strict.send("DELETE /v1/items", &[], b"").await.0, 405);
        assert_eq!(strict.send("OPTIONS /docs", &[], b"").await.0, 200);
    }

    #[tokio::test]
    async fn limits_on_json_hold_everywhere_when_asked_for() {
        let mut tried = Tried::new(|settings| settings.openapi = None);
        assert!(Validate::layer(&tried.settings, &tried.route, &tried.validation, None).is_none());
        tried.route.json_limits = Some(true);
        assert_eq!(tried.post("application/json", "{\"a\":1,\"a\":2}").await.0, 422);
        assert_eq!(tried.post("text/plain", "{\"a\":1,\"a\":2}").await.0, 200);
        tried.route.validate = Some(Mode::Off);
        assert!(Validate::layer(&tried.settings, &tried.route, &tried.validation, None).is_none());
    }

    #[tokio::test]
    async fn without_a_document_nothing_that_is_to_be_compared_passes() {
        let mut tried = Tried::new(|_| {});
        tried.validation = Validation::default();
        let (status, told) = tried.send("GET /v1/items", &[], b"").await;
        assert_eq!(
            (StatusCode::from_u16(status).unwrap(), &told["code"]),
            (StatusCode::SERVICE_UNAVAILABLE, &"SEA_PROTECTION_NO_DOCUMENT".into())
        );
        tried.route.validate = Some(Mode::Report);
        assert_eq!(tried.send("GET /v1/items", &[], b"").await.0, 200);
    }
}
