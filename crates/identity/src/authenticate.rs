//! The layer that finds out who asks.

use std::{
    convert::Infallible,
    future::Future,
    net::IpAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Instant,
};

use http::{HeaderValue, Request, Response, StatusCode, header};
use seaworthy_core::{Body, Principal, Problem, ProblemKind, RequestContext};
use tower::{Layer, Service, ServiceExt, util::Oneshot};

use crate::{
    bearer::{self, Credential},
    remembered::Remembered,
    settings::AuthMode,
    token::{self, Refusal},
    tokens::Tokens,
};

const NEEDED: ProblemKind = ProblemKind {
    code: "SEA_IDENTITY_TOKEN_NEEDED",
    status: StatusCode::UNAUTHORIZED,
    title: "Sign in first",
    advice: "Send `Authorization: Bearer TOKEN`. Operators: `auth` of the route or of [identity] asks for it.",
};
const REFUSED: ProblemKind = ProblemKind {
    code: "SEA_IDENTITY_TOKEN_REFUSED",
    status: StatusCode::UNAUTHORIZED,
    title: "The token is not accepted",
    advice: "Get a new token and send it. Operators: [identity.tokens] says which are accepted.",
};
const UNCLEAR: ProblemKind = ProblemKind {
    code: "SEA_IDENTITY_TOKEN_UNCLEAR",
    status: StatusCode::BAD_REQUEST,
    title: "The credentials cannot be read",
    advice: "Send one `Authorization: Bearer TOKEN` (RFC 6750, 2.1).",
};
const NO_KEYS: ProblemKind = ProblemKind {
    code: "SEA_IDENTITY_NO_KEYS",
    status: StatusCode::SERVICE_UNAVAILABLE,
    title: "Nobody can be signed in at the moment",
    advice: "Try again shortly. Operators: the key set of [identity.tokens] was never reached; the log says why.",
};

const TOO_MANY: ProblemKind = ProblemKind {
    code: "SEA_IDENTITY_TOO_MANY_REFUSALS",
    status: StatusCode::TOO_MANY_REQUESTS,
    title: "Too many tokens from this address were refused",
    advice: "Wait as long as Retry-After says, and send a token that is right.",
};

/// The layer of one route.
#[derive(Debug, Clone)]
pub struct Authenticate(Arc<Check>);

#[derive(Debug)]
struct Check {
    tokens: Tokens,
    remembered: Remembered,
    required: bool,
}

/// The service of [`Authenticate`].
#[derive(Debug, Clone)]
pub struct AuthenticateService<S> {
    inner: S,
    check: Arc<Check>,
}

/// What became of the credentials.
enum Outcome {
    Anonymous,
    Known(Principal),
    /// The token names a key that a fetch may bring.
    Later(String),
    Refused(Response<Body>),
}

impl Authenticate {
    /// The layer, or none where nobody looks. `remembered` is that of the core.
    pub fn layer(mode: AuthMode, tokens: &Tokens, remembered: &Remembered) -> Option<Self> {
        let check = |required| Check { tokens: tokens.clone(), remembered: remembered.clone(), required };
        match mode {
            AuthMode::Off => None,
            AuthMode::Optional => Some(Self(Arc::new(check(false)))),
            AuthMode::Required => Some(Self(Arc::new(check(true)))),
        }
    }
}

impl Check {
    fn outcome(&self, request: &Request<Body>, context: &RequestContext) -> Outcome {
        match bearer::credential(request.headers()) {
            Credential::Token(token) => match self.look(token, context.client, context.received) {
                Ok(principal) => Outcome::Known(principal),
                Err(Refusal::UnknownKey | Refusal::NoKeys) if self.tokens.may_know_more() => {
                    Outcome::Later(token.to_owned())
                }
                Err(refusal) => Outcome::Refused(refuse(refusal, context)),
            },
            Credential::Broken => Outcome::Refused(answer(
                UNCLEAR,
                None,
                Some(("invalid_request", "more or less than one token")),
                context,
            )),
            Credential::None if self.required && !bearer::is_preflight(request) => {
                Outcome::Refused(answer(NEEDED, None, None, context))
            }
            Credential::None => Outcome::Anonymous,
        }
    }

    fn look(&self, token: &str, client: Option<IpAddr>, now: Instant) -> Result<Principal, Refusal> {
        let fingerprint = token::fingerprint(token);
        if let Some(principal) = self.remembered.find(&fingerprint, self.tokens.generation(), now) {
            return Ok(principal);
        }
        let failed = &self.remembered.failed;
        if let Some(wait) = failed.wait(client, now) {
            return Err(Refusal::TooMany(wait.as_secs() + 1));
        }
        let verified = self.tokens.verify(token).inspect_err(|refusal| {
            if refusal.is_dear() {
                failed.count(client, now);
            }
        })?;
        self.remembered.keep(fingerprint, &verified, now);
        Ok(verified.principal)
    }
}

fn refuse(refusal: Refusal, context: &RequestContext) -> Response<Body> {
    metrics::counter!("seaworthy_identity_refusals_total").increment(1);
    let why = refusal.to_string();
    if let Refusal::TooMany(seconds) = refusal {
        return Problem::new(TOO_MANY).retry_after(seconds).into_response(context);
    }
    if refusal == Refusal::NoKeys {
        return Problem::new(NO_KEYS).retry_after(10).into_response(context);
    }
    answer(REFUSED, Some(&why), Some(("invalid_token", &why)), context)
}

fn answer(
    kind: ProblemKind,
    detail: Option<&str>,
    error: Option<(&'static str, &str)>,
    context: &RequestContext,
) -> Response<Body> {
    let problem = Problem::new(kind);
    let problem = match detail {
        Some(detail) => problem.detail(format!("The token was refused: {detail}.")),
        None => problem,
    };
    let mut response = problem.into_response(context);
    response.headers_mut().insert(header::WWW_AUTHENTICATE, bearer::challenge(error));
    // The next token may be right: what a cache keeps must not outlive this one (RFC 9111, 3.5).
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

impl<S> Layer<S> for Authenticate {
    type Service = AuthenticateService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        AuthenticateService { inner, check: self.0.clone() }
    }
}

impl<S> Service<Request<Body>> for AuthenticateService<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = AuthenticateFuture<S>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let Some(context) = request.extensions().get::<Arc<RequestContext>>() else {
            // Only the edge calls a pipeline, and it always adds the context; without one nobody gets through.
            let mut bare = Response::new(seaworthy_core::empty_body());
            *bare.status_mut() = NEEDED.status;
            return AuthenticateFuture { stage: Stage::Refused { answer: Some(bare) } };
        };
        let stage = match self.check.outcome(&request, context) {
            Outcome::Anonymous => Stage::Inner { inner: self.inner.call(request) },
            Outcome::Known(principal) => {
                // It is empty: nobody before us knows.
                let _ = context.principal.set(principal);
                Stage::Inner { inner: self.inner.call(request) }
            }
            Outcome::Refused(answer) => Stage::Refused { answer: Some(answer) },
            Outcome::Later(token) => Stage::Later {
                keys: Box::pin(later(self.check.clone(), token, context.client)),
                context: context.clone(),
                request: Some((self.inner.clone(), request)),
            },
        };
        AuthenticateFuture { stage }
    }
}

/// Rare: once after each rotation of keys, and for whoever makes up names of keys twice a minute.
async fn later(check: Arc<Check>, token: String, client: Option<IpAddr>) -> Result<Principal, Refusal> {
    check.tokens.fetched().await;
    check.look(&token, client, Instant::now())
}

pin_project_lite::pin_project! {
    /// The future of [`AuthenticateService`].
    pub struct AuthenticateFuture<S: Service<Request<Body>>> {
        #[pin]
        stage: Stage<S>,
    }
}

pin_project_lite::pin_project! {
    #[project = Projected]
    enum Stage<S: Service<Request<Body>>> {
        Inner { #[pin] inner: S::Future },
        Refused { answer: Option<Response<Body>> },
        Later { keys: Later, request: Option<(S, Request<Body>)>, context: Arc<RequestContext> },
        InnerLater { #[pin] inner: Oneshot<S, Request<Body>> },
    }
}

type Later = Pin<Box<dyn Future<Output = Result<Principal, Refusal>> + Send>>;

impl<S> Future for AuthenticateFuture<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    type Output = Result<Response<Body>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut stage = self.project().stage;
        loop {
            match stage.as_mut().project() {
                Projected::Inner { inner } => return inner.poll(cx),
                Projected::InnerLater { inner } => return inner.poll(cx),
                // Nobody asks a future twice; one that did waits.
                Projected::Refused { answer } => {
                    return answer.take().map_or(Poll::Pending, |answer| Poll::Ready(Ok(answer)));
                }
                Projected::Later { keys, request, context } => match ready!(keys.as_mut().poll(cx)) {
                    Err(refusal) => return Poll::Ready(Ok(refuse(refusal, context))),
                    Ok(principal) => {
                        let _ = context.principal.set(principal);
                        let Some((inner, request)) = request.take() else { return Poll::Pending };
                        stage.set(Stage::InnerLater { inner: inner.oneshot(request) });
                    }
                },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::{
        encoding::AsDer,
        hmac, rand,
        rsa::KeySize,
        signature::{
            ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
        },
    };
    use base64::{Engine, engine::general_purpose::STANDARD, engine::general_purpose::URL_SAFE_NO_PAD};
    use http::Method;
    use seaworthy_core::{RequestId, empty_body};

    use super::*;
    use crate::{settings::Settings, tokens::Trusted};

    const SECRET: &str = "an honest secret of thirty-two bytes and more";

    fn unsigned(algorithm: &str) -> String {
        let claims = r#"{"sub":"u-7","exp":9999999999,"tenant":"acme","roles":["editor"],"scope":"read write"}"#;
        let header = format!(r#"{{"alg":"{algorithm}","typ":"JWT"}}"#);
        format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims))
    }

    fn with(message: &str, signature: &[u8]) -> String {
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn honest() -> String {
        let message = unsigned("HS256");
        let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
        with(&message, hmac::sign(&key, message.as_bytes()).as_ref())
    }

    fn tokens(keys: &[String]) -> Tokens {
        let settings: Settings = serde_json::from_value(serde_json::json!({ "tokens": { "keys": keys } })).unwrap();
        Tokens::new(Trusted::read(&settings).unwrap())
    }

    fn request(method: Method, fields: &[(&'static str, &str)]) -> (Request<Body>, Arc<RequestContext>) {
        let id = RequestId::from_client(&HeaderValue::from_static("r")).unwrap();
        let context = Arc::new(RequestContext::new(id));
        let mut request = Request::new(empty_body());
        *request.method_mut() = method;
        for (name, value) in fields {
            request.headers_mut().append(*name, value.parse().unwrap());
        }
        request.extensions_mut().insert(context.clone());
        (request, context)
    }

    async fn ask(mode: AuthMode, method: Method, fields: &[(&'static str, &str)]) -> (u16, Option<String>) {
        let layer = Authenticate::layer(mode, &tokens(&[SECRET.into()]), &Remembered::default()).unwrap();
        let app = tower::service_fn(|_| async { Ok::<_, Infallible>(Response::new(empty_body())) });
        let (request, context) = request(method, fields);
        let answer = layer.layer(app).oneshot(request).await.unwrap();
        (answer.status().as_u16(), context.principal.get().map(|principal| principal.details().id.clone()))
    }

    #[tokio::test]
    async fn who_is_let_in() {
        let bearer = format!("Bearer {}", honest());
        let user = Some("u-7".to_owned());
        for mode in [AuthMode::Required, AuthMode::Optional] {
            assert_eq!(ask(mode, Method::GET, &[("authorization", &bearer)]).await, (200, user.clone()));
            assert_eq!(ask(mode, Method::GET, &[("authorization", "Bearer a.b.c")]).await, (401, None));
            let two = [("authorization", bearer.as_str()), ("authorization", "Basic YTpi")];
            assert_eq!(ask(mode, Method::GET, &two).await, (400, None));
        }
        assert_eq!(ask(AuthMode::Optional, Method::GET, &[]).await, (200, None));
        assert_eq!(ask(AuthMode::Required, Method::GET, &[]).await, (401, None));
        assert_eq!(ask(AuthMode::Required, Method::OPTIONS, &[]).await, (401, None));
        let preflight = [("origin", "https://a.test"), ("access-control-request-method", "PUT")];
        assert_eq!(ask(AuthMode::Required, Method::OPTIONS, &preflight).await, (200, None));
        assert_eq!(ask(AuthMode::Required, Method::GET, &preflight).await, (401, None));
        assert!(Authenticate::layer(AuthMode::Off, &Tokens::default(), &Remembered::default()).is_none());
    }

    #[tokio::test]
    async fn a_flood_of_wrong_tokens_is_not_looked_at_and_a_right_one_is_remembered() {
        let layer = Authenticate::layer(AuthMode::Required, &tokens(&[SECRET.into()]), &Remembered::default()).unwrap();
        let status = async |token: &str| {
            let app = tower::service_fn(|_| async { Ok::<_, Infallible>(Response::new(empty_body())) });
            let (request, _) = request(Method::GET, &[("authorization", &format!("Bearer {token}"))]);
            layer.layer(app).oneshot(request).await.unwrap()
        };
        let wrong = with(&unsigned("HS256"), b"wrong");
        assert_eq!(status(&honest()).await.status(), 200);
        let mut answers = Vec::new();
        for _ in 0..120 {
            answers.push(status(&wrong).await.status().as_u16());
        }
        // One may come back while they are sent.
        let refused = answers.iter().filter(|status| **status == 401).count();
        assert!((100..=110).contains(&refused) && answers[119] == 429, "{answers:?}");
        let answer = status(&wrong).await;
        assert_eq!(answer.headers()["retry-after"], "1");
        assert_eq!(status(&honest()).await.status(), 200, "who is known is let in");
    }

    /// `cargo test -p seaworthy-identity --lib -- --ignored --nocapture`: microseconds a token, verified and remembered.
    #[test]
    #[ignore = "a measurement"]
    fn what_a_token_costs() {
        let random = rand::SystemRandom::new();
        let pem =
            |der: &[u8]| format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der));
        let rsa = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let ec = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let ed = Ed25519KeyPair::generate().unwrap();
        let keys = [
            SECRET.to_owned(),
            pem(rsa.public_key().as_der().unwrap().as_ref()),
            pem(ec.public_key().as_der().unwrap().as_ref()),
            pem(ed.public_key().as_der().unwrap().as_ref()),
        ];
        let mut signature = vec![0; rsa.public_modulus_len()];
        let message = unsigned("RS256");
        rsa.sign(&RSA_PKCS1_SHA256, &random, message.as_bytes(), &mut signature).unwrap();
        let (es, ds) = (unsigned("ES256"), unsigned("EdDSA"));
        let all = [
            ("HS256", honest()),
            ("RS256", with(&message, &signature)),
            ("ES256", with(&es, ec.sign(&random, es.as_bytes()).unwrap().as_ref())),
            ("EdDSA", with(&ds, ed.sign(ds.as_bytes()).as_ref())),
        ];
        let tokens = tokens(&keys);
        let check = Check { tokens: tokens.clone(), remembered: Remembered::default(), required: true };
        for (name, token) in all {
            let rounds = 2_000;
            let each = |work: &dyn Fn()| {
                let began = Instant::now();
                (0..rounds).for_each(|_| work());
                began.elapsed().as_secs_f64() * 1e6 / f64::from(rounds)
            };
            let verified = each(&|| assert!(tokens.verify(&token).is_ok()));
            let remembered = each(&|| assert!(check.look(&token, None, Instant::now()).is_ok()));
            eprintln!("{name}: {verified:.1} µs verified, {remembered:.1} µs remembered");
        }
    }
}
