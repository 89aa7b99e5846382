//! The service: reads whom a sign-in is for, asks whether it may be tried, and learns from the app's answer.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Method, Request, Response, header, request::Parts};
use http_body_util::BodyExt;
use seaworthy_core::{Body, Problem, RequestContext, full_body};
use seaworthy_store::{Guess, Guessed};
use tokio::time::timeout;
use tower::Service;

use super::{
    LOGIN_BODY, MANY_NAMES, PAUSED, STALLED, Watch,
    account::{Accounts, basic, fingerprint, is_basic, read},
    settings::{LogAccount, LoginSettings},
};
use crate::rate_limit::{self, client_name};

/// A sign-in is a few hundred bytes.
const PATIENCE: Duration = Duration::from_secs(10);
/// In the log in place of an account that nobody knows; what was found beside it stands behind it.
const UNREADABLE: &str = "(unreadable)";

/// The service of [`super::Login`].
#[derive(Clone)]
pub struct LoginService<S> {
    inner: S,
    watch: Arc<Watch>,
}

impl<S> LoginService<S> {
    pub(super) fn new(inner: S, watch: Arc<Watch>) -> Self {
        Self { inner, watch }
    }
}

impl<S> Service<Request<Body>> for LoginService<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let context = request.extensions().get::<Arc<RequestContext>>().cloned();
        let Some(context) = context.filter(|_| is_try(&request, &self.watch.settings)) else {
            return Box::pin(self.inner.call(request));
        };
        let fresh = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, fresh);
        Box::pin(sign_in(inner, self.watch.clone(), request, context))
    }
}

/// To show the form is no try, whatever name comes along, unless the app is known to go by HTTP Basic: what ignores it
/// answers 200 to anybody.
fn is_try(request: &Request<Body>, settings: &LoginSettings) -> bool {
    match *request.method() {
        Method::OPTIONS => false,
        Method::GET | Method::HEAD => {
            settings.account.iter().any(|field| is_basic(field)) && basic(request.headers()).next().is_some()
        }
        _ => true,
    }
}

/// Whom it is for. What is only fetched has its name in HTTP Basic, and nowhere else.
fn accounts_of(parts: &Parts, body: &[u8], settings: &LoginSettings) -> Accounts {
    match parts.method {
        Method::GET | Method::HEAD => read(None, &parts.headers, b"", &settings.account),
        _ => read(parts.uri.query(), &parts.headers, body, &settings.account),
    }
}

/// `F` is the inner service's future: as a projection of `S` it would not be known to be `Send` in here.
async fn sign_in<S, F>(
    mut inner: S,
    watch: Arc<Watch>,
    request: Request<Body>,
    context: Arc<RequestContext>,
) -> Result<Response<Body>, Infallible>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future = F>,
    F: Future<Output = Result<Response<Body>, Infallible>>,
{
    let (parts, body) = request.into_parts();
    let Some(bytes) = collect(body).await else { return Ok(stalled(&context)) };
    let accounts = accounts_of(&parts, &bytes, &watch.settings);
    if accounts == Accounts::TooMany {
        return Ok(Problem::new(MANY_NAMES).into_response(&context));
    }
    let attempt = match Attempt::begin(&watch, &context, &accounts).await {
        Ok(attempt) => attempt,
        Err(refusal) => return Ok(refusal),
    };
    let asked = parts.uri.path().to_owned();
    let response = inner.call(Request::from_parts(parts, full_body(bytes))).await?;
    let said = (response.status().as_u16(), leads_back(&response, &asked));
    attempt.learn(&watch, said, &context).await;
    Ok(response)
}

/// Apps with pages answer a wrong password with the way back to the form, and a right one with the way elsewhere.
fn leads_back(response: &Response<Body>, asked: &str) -> bool {
    let place = response.headers().get(header::LOCATION).and_then(|place| place.to_str().ok()).unwrap_or_default();
    let path = place.split(['?', '#']).next().unwrap_or_default();
    let path = match path.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("/", |at| &rest[at..]),
        None => path,
    };
    response.status().is_redirection() && path == asked
}

/// `None`: it did not come, or not to its end. A body that is too large is the affair of the body limit around us.
async fn collect(mut body: Body) -> Option<Bytes> {
    let mut whole = BytesMut::new();
    let reading = async {
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.ok()?.into_data() else { continue };
            if whole.len() + data.len() > LOGIN_BODY as usize {
                return None;
            }
            whole.extend_from_slice(&data);
        }
        Some(())
    };
    timeout(PATIENCE, reading).await.ok()??;
    Some(whole.freeze())
}

fn stalled(context: &RequestContext) -> Response<Body> {
    let mut response = Problem::new(STALLED).into_response(context);
    // What is left of the body cannot be told from another request.
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// One sign-in that may be tried. Dropped before the app has answered, it stays counted as a failure.
struct Attempt {
    tries: Vec<(Guess, Guessed)>,
    /// Whether a success is this account's: it can be read, and the app has read it.
    forgets: bool,
    /// As the log may show it.
    shown: String,
}

impl Attempt {
    /// Counts it as failed for the time being, or refuses it.
    async fn begin(watch: &Watch, context: &RequestContext, accounts: &Accounts) -> Result<Self, Response<Body>> {
        let seconds = |duration: Duration| rate_limit::ceiling(duration).max(1);
        let by_address = watch.addresses.take(context.client).await;
        let unreadable = matches!(accounts, Accounts::Unreadable(_));
        if by_address.is_last() {
            let account = if unreadable { UNREADABLE } else { "-" };
            security_event("login_address_limited", account, context, 0, by_address.retry());
        }
        if !by_address.is_allowed() {
            metrics::counter!("seaworthy_login_refusals_total", "by" => "address").increment(1);
            return Err(paused(seconds(by_address.retry()), context));
        }
        let client = client_name(context.client);
        let place = fingerprint("place", &client);
        // Of this client alone: one stranger must not keep everybody out of a sign-in that cannot be read.
        let of_client = unreadable.then(|| fingerprint("unreadable", &format!("{}\0{client}", watch.route)));
        let of_names = named(accounts).iter().map(|name| fingerprint("account", name));
        let names: Vec<u128> = of_client.into_iter().chain(of_names).collect();
        let forgets = matches!(accounts, Accounts::Named(_));
        let mut attempt = Self { tries: Vec::with_capacity(names.len()), forgets, shown: shown(watch, accounts) };
        for account in names {
            let guess = Guess { account, place };
            let guessed = watch.guesses.begin(guess, &watch.back_off, Instant::now()).await;
            if !guessed.allowed {
                metrics::counter!("seaworthy_login_refusals_total", "by" => "account").increment(1);
                attempt.take_back(watch, context).await;
                return Err(paused(seconds(guessed.pause), context));
            }
            attempt.tries.push((guess, guessed));
        }
        Ok(attempt)
    }

    /// What the app has said of it.
    async fn learn(self, watch: &Watch, (status, back): (u16, bool), context: &RequestContext) {
        if back || watch.settings.failed.contains(&status) {
            metrics::counter!("seaworthy_login_failures_total").increment(1);
            if self.tries.is_empty() && !watch.told.swap(true, Ordering::Relaxed) {
                let (fields, route) = (&watch.settings.account, &context.route);
                tracing::warn!(?fields, %route, "a failed sign-in names no account in these fields; set login.account");
            }
            let longest = self.tries.iter().map(|(_, guessed)| (guessed.pause, guessed.failures)).max();
            if let Some((pause, failures)) = longest.filter(|(pause, _)| !pause.is_zero()) {
                security_event("login_account_paused", &self.shown, context, failures, pause);
            }
            return;
        }
        match &self.tries[..] {
            [(guess, _)] if status < 400 && self.forgets => {
                watch.addresses.give_back(context.client);
                watch.guesses.succeeded(*guess, Instant::now()).await;
            }
            // Of several names nobody knows which one has succeeded.
            _ => self.take_back(watch, context).await,
        }
    }

    async fn take_back(&self, watch: &Watch, context: &RequestContext) {
        watch.addresses.give_back(context.client);
        for (guess, guessed) in &self.tries {
            watch.guesses.taken_back(*guess, guessed.failures, Instant::now()).await;
        }
    }
}

fn named(accounts: &Accounts) -> &[String] {
    match accounts {
        Accounts::Named(names) | Accounts::Basic(names) | Accounts::Unreadable(names) => names,
        Accounts::None | Accounts::TooMany => &[],
    }
}

fn shown(watch: &Watch, accounts: &Accounts) -> String {
    let unreadable = matches!(accounts, Accounts::Unreadable(_)).then(|| UNREADABLE.to_owned());
    let names = named(accounts).iter().filter_map(|name| match watch.settings.log_account {
        LogAccount::Off => None,
        LogAccount::Plain => Some(name.clone()),
        LogAccount::Hash => Some(format!("{:016x}", fingerprint("account", name) >> 64)),
    });
    let words: Vec<String> = unreadable.into_iter().chain(names).collect();
    if words.is_empty() { "-".to_owned() } else { words.join(" ") }
}

/// What alerts listen to. Never the password, and the account as the settings say.
fn security_event(event: &'static str, account: &str, context: &RequestContext, failures: u64, pause: Duration) {
    tracing::warn!(
        target: "seaworthy::security",
        event,
        account,
        address = %client_name(context.client),
        route = %context.route,
        request_id = %context.id,
        failures,
        pause_seconds = pause.as_secs(),
        "sign-ins fail again and again"
    );
}

fn paused(seconds: u64, context: &RequestContext) -> Response<Body> {
    Problem::new(PAUSED).detail(rate_limit::again(seconds)).retry_after(seconds).into_response(context)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use seaworthy_core::{RequestId, empty_body};
    use tower::{Layer, ServiceExt};

    use super::*;
    use crate::{Guesses, Login, RateLimits};

    #[test]
    fn the_way_back_to_the_form_is_a_failure_and_the_way_elsewhere_none() {
        let back = |status: u16, place: &str| {
            let response = Response::builder().status(status).header(header::LOCATION, place);
            leads_back(&response.body(empty_body()).unwrap(), "/login")
        };
        for place in ["/login", "/login?error", "https://a.test/login?error=1", "/login#x"] {
            assert!(back(302, place) && !back(200, place), "{place}");
        }
        for place in ["/", "/login/next", "https://a.test", "https://a.test/home"] {
            assert!(!back(302, place), "{place}");
        }
    }

    fn login(settings: LoginSettings) -> Login {
        Login::layer("POST /login", &settings, &Guesses::default(), &RateLimits::default())
    }

    async fn knock(login: &Login, method: Method, body: &'static str, status: u16) -> u16 {
        knock_from(login, "192.0.2.1", Request::builder().method(method).body(body).unwrap(), status).await
    }

    async fn knock_from(login: &Login, client: &str, request: Request<&'static str>, status: u16) -> u16 {
        let (parts, body) = request.into_parts();
        let app = tower::service_fn(move |request: Request<Body>| async move {
            let seen = request.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(seen, body, "the app gets what was sent");
            let mut response = Response::new(empty_body());
            *response.status_mut() = status.try_into().unwrap();
            Ok::<_, Infallible>(response)
        });
        let mut request = Request::from_parts(parts, full_body(body));
        let mut context = RequestContext::new(RequestId::from_client(&HeaderValue::from_static("r")).unwrap());
        context.client = Some(client.parse().unwrap());
        request.extensions_mut().insert(Arc::new(context));
        login.layer(app).oneshot(request).await.unwrap().status().as_u16()
    }

    #[tokio::test]
    async fn only_failed_tries_count() {
        let login = login(LoginSettings { failures: 2, ..LoginSettings::default() });
        let ann = "email=ann&password=p";
        for status in [404, 500, 429, 503, 404, 500] {
            assert_eq!(knock(&login, Method::POST, ann, status).await, status);
        }
        for _ in 0..6 {
            assert_eq!(knock(&login, Method::GET, "", 401).await, 401, "a form that is shown");
        }
        for _ in 0..3 {
            assert_eq!(knock(&login, Method::POST, ann, 401).await, 401);
        }
        assert_eq!(knock(&login, Method::POST, ann, 200).await, 429);
        assert_eq!(knock(&login, Method::POST, "email=bob", 200).await, 200);
    }

    #[tokio::test]
    async fn a_success_with_two_names_forgets_nothing() {
        let login = login(LoginSettings { failures: 2, ..LoginSettings::default() });
        for _ in 0..2 {
            knock(&login, Method::POST, "email=victim&password=guess", 401).await;
        }
        let both = r#"{"email":"victim","username":"attacker","password":"right"}"#;
        assert_eq!(knock(&login, Method::POST, both, 200).await, 200);
        assert_eq!(knock(&login, Method::POST, "email=victim&password=guess", 401).await, 401);
        assert_eq!(knock(&login, Method::POST, "email=victim&password=guess", 401).await, 429);
    }

    #[tokio::test]
    async fn what_cannot_be_read_counts_as_one_account_and_whoever_leaves_has_tried() {
        let login = login(LoginSettings { failures: 2, ..LoginSettings::default() });
        for _ in 0..3 {
            assert_eq!(knock(&login, Method::POST, "--b\r\nname=\"email\"\r\n", 401).await, 401);
        }
        assert_eq!(knock(&login, Method::POST, "--c\r\nname=\"email\"\r\n", 401).await, 429);
        for _ in 0..3 {
            let never = tower::service_fn(|_: Request<Body>| std::future::pending());
            let mut request = Request::new(full_body("email=eve"));
            *request.method_mut() = Method::POST;
            let id = RequestId::from_client(&HeaderValue::from_static("r")).unwrap();
            request.extensions_mut().insert(Arc::new(RequestContext::new(id)));
            let asked: Result<Result<Response<Body>, Infallible>, _> =
                timeout(Duration::from_millis(5), login.layer(never).oneshot(request)).await;
            assert!(asked.is_err());
        }
        assert_eq!(knock(&login, Method::POST, "email=eve", 200).await, 429);
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_counted_by_client_and_by_what_it_shows() {
        let login = login(LoginSettings { failures: 2, ..LoginSettings::default() });
        let from = async |client, body, status| {
            knock_from(&login, client, Request::post("/login").body(body).unwrap(), status).await
        };
        let unreadable = "--b\r\nname=\"email\"\r\n";
        for _ in 0..3 {
            from("192.0.2.1", unreadable, 401).await;
        }
        assert_eq!(from("192.0.2.1", unreadable, 200).await, 429);
        assert_eq!(from("192.0.2.2", unreadable, 200).await, 200, "one stranger keeps nobody else out");
        assert_eq!(from("2001:db8::1", unreadable, 401).await, 401);
        for client in ["2001:db8::2", "2001:db8::3"] {
            from(client, unreadable, 401).await;
        }
        assert_eq!(from("2001:db8::4", unreadable, 200).await, 429, "a network is one client");
        for client in ["192.0.2.3", "192.0.2.4", "192.0.2.5"] {
            assert_eq!(from(client, "{\"email\":\"victim\",", 401).await, 401);
        }
        assert_eq!(from("192.0.2.6", "email=Victim", 200).await, 429, "what it names is counted too");
        let plain = LoginSettings { log_account: LogAccount::Plain, ..LoginSettings::default() };
        let watch = super::super::Login::layer("/", &plain, &Guesses::default(), &RateLimits::default()).0;
        assert_eq!(shown(&watch, &Accounts::Unreadable(vec!["ann".into()])), "(unreadable) ann");
        assert_eq!(shown(&watch, &Accounts::None), "-");
    }

    const BASIC_ANN: &str = "Basic YW5uOmE=";

    fn going_by(account: &[&str]) -> Login {
        let account = account.iter().map(|field| (*field).to_owned()).collect();
        login(LoginSettings { failures: 2, account, ..LoginSettings::default() })
    }

    async fn with_basic(login: &Login, method: &str, place: &str, pair: &str, status: u16) -> u16 {
        let request = Request::builder().method(method).uri(place).header(header::AUTHORIZATION, pair).body("");
        knock_from(login, "192.0.2.1", request.unwrap(), status).await
    }

    #[tokio::test]
    async fn basic_is_a_try_with_whatever_method_where_it_is_asked_for() {
        let login = going_by(&["authorization"]);
        for method in ["GET", "HEAD", "POST"] {
            assert_eq!(with_basic(&login, method, "/login", BASIC_ANN, 401).await, 401);
        }
        assert_eq!(with_basic(&login, "GET", "/login", "Basic QU5OOmI=", 200).await, 429, "another spelling, password");
        assert_eq!(with_basic(&login, "GET", "/login", "Basic Ym9iOmE=", 200).await, 200, "another account");
        assert_eq!(with_basic(&login, "GET", "/login", "Bearer YW5uOmE=", 401).await, 401);
        let forgets = going_by(&["authorization"]);
        for status in [401, 401, 200, 401, 401, 200] {
            assert_eq!(with_basic(&forgets, "GET", "/login", BASIC_ANN, status).await, status);
        }
    }

    /// It answers 200 to whoever asks for its form, and to a form without names; each time in between, a guess fails.
    #[tokio::test]
    async fn an_app_that_ignores_basic_forgets_nothing() {
        for (account, method, place, pair) in [
            (&["email"][..], "GET", "/login", BASIC_ANN),
            (&["email"], "HEAD", "/login", BASIC_ANN),
            (&["email"], "POST", "/login", BASIC_ANN),
            (&["email"], "GET", "/login?email=ann", "Basic Ym9iOmE="),
            (&["email", "authorization"], "GET", "/login", BASIC_ANN),
            (&["email", "authorization"], "POST", "/login", BASIC_ANN),
            // A name in Basic that is none.
            (&["email", "authorization"], "GET", "/login?email=ann", "Basic Ong="),
        ] {
            let login = going_by(account);
            for _ in 0..2 {
                assert_eq!(knock(&login, Method::POST, "email=ann&password=x", 401).await, 401);
                assert_eq!(with_basic(&login, method, place, pair, 200).await, 200);
            }
            assert_eq!(knock(&login, Method::POST, "email=ann&password=x", 401).await, 401);
            let next = knock(&login, Method::POST, "email=ann&password=x", 200).await;
            assert_eq!(next, 429, "{account:?} {method} {place} {pair}");
        }
    }

    #[tokio::test]
    async fn the_door_of_a_staging_site_is_not_locked_by_forms_in_flight() {
        let login = going_by(&["email"]);
        let mut waiting = Vec::new();
        for _ in 0..20 {
            let never =
                tower::service_fn(|_: Request<Body>| std::future::pending::<Result<Response<Body>, Infallible>>());
            let mut request =
                Request::get("/login").header(header::AUTHORIZATION, BASIC_ANN).body(full_body("")).unwrap();
            let id = RequestId::from_client(&HeaderValue::from_static("r")).unwrap();
            request.extensions_mut().insert(Arc::new(RequestContext::new(id)));
            let mut asked = Box::pin(login.layer(never).oneshot(request));
            assert!(futures_util::poll!(&mut asked).is_pending());
            waiting.push(asked);
        }
        assert_eq!(with_basic(&login, "GET", "/login", BASIC_ANN, 200).await, 200);
    }

    #[tokio::test]
    async fn a_sign_in_with_many_names_never_reaches_the_app() {
        let login = going_by(&["email"]);
        let many = "email=1&email=2&email=3&email=4&email=5&email=6&email=7&email=8&email=victim";
        assert_eq!(knock(&login, Method::POST, many, 200).await, 400);
    }

    #[tokio::test]
    async fn spellings_of_a_name_share_their_tries() {
        let login = login(LoginSettings { failures: 2, ..LoginSettings::default() });
        for body in ["email=%EF%BD%81nn", "{\"email\":\"A\\u200bnn\"}", "email=decoy;email=ann%20"] {
            assert_eq!(knock(&login, Method::POST, body, 401).await, 401);
        }
        assert_eq!(knock(&login, Method::POST, "email=ann", 200).await, 429);
    }

    #[tokio::test]
    async fn an_address_may_fail_so_often_whatever_it_tries_and_an_honest_one_is_not_counted() {
        let settings = LoginSettings { address: serde_json::from_str("\"5/h\"").unwrap(), ..LoginSettings::default() };
        let login = login(settings);
        for _ in 0..20 {
            assert_eq!(knock(&login, Method::POST, "email=me&password=p", 200).await, 200);
        }
        for account in ["email=a", "email=b", "email=c", "email=d", "email=e"] {
            assert_eq!(knock(&login, Method::POST, account, 401).await, 401);
        }
        assert_eq!(knock(&login, Method::POST, "email=f", 401).await, 429);
    }
}
