//! `protection.login-throttle`: guessing at one account is stopped wherever it comes from, and ends after a while.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use http::{HeaderValue, Method, Request, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use seaworthy_core::Secret;
use seaworthy_evidence::{ProbeKind, SafetyClass};
use tokio::time::{Instant, sleep};

use crate::{
    fixture::{Answering, Server, ServerOptions, reply},
    http::{Answer, Client, HttpError, full},
    probe::{About, Cases, Probe, Sighting, Working},
    subject::{Fixture, LoginHint, Subject},
};

pub(super) struct LoginThrottle;

/// So many wrong passwords are enough for anybody to see what is going on.
const GUESSES: u8 = 20;
/// A longer pause is not waited for.
const WAIT: u64 = 25;
const PATIENCE: Duration = Duration::from_secs(10);
/// An answer that comes so much later than the first was held back…
const HELD_BACK: Duration = Duration::from_millis(900);
/// …when it is so many of them: one alone may have had a busy machine.
const SLOW_IN_A_ROW: u32 = 3;

impl Probe for LoginThrottle {
    fn about(&self) -> About {
        About { control: "protection.login-throttle".into(), kind: ProbeKind::Live, class: SafetyClass::Active }
    }

    /// It locks an account, and its address for everybody beside it.
    fn alone(&self) -> bool {
        true
    }

    fn look<'a>(&'a self, subject: &'a Subject) -> Working<'a, Sighting> {
        Box::pin(look(subject))
    }

    fn present(&self) -> Working<'_, io::Result<Fixture>> {
        Box::pin(async { guarded(by_account) })
    }

    fn absent(&self) -> Working<'_, io::Result<Fixture>> {
        // The common mistake: failures are counted by address alone, and addresses are cheap.
        Box::pin(async { guarded(by_address) })
    }
}

/// Who is counted: from the peer's address, and the body that it sent.
type Who = fn(SocketAddr, &str) -> String;

fn by_account(_: SocketAddr, body: &str) -> String {
    body.split(',').find(|member| member.contains("email")).unwrap_or_default().to_owned()
}

fn by_address(peer: SocketAddr, _: &str) -> String {
    peer.ip().to_string()
}

/// How often each has failed, and until when it is locked.
type Failures = HashMap<String, (u32, Option<Instant>)>;

/// A server where five failures of one of those lock it for a second.
fn guarded(who: Who) -> io::Result<Fixture> {
    let failures: Arc<Mutex<Failures>> = Arc::default();
    let answering: Answering = Arc::new(move |request: Request<Incoming>| {
        let failures = failures.clone();
        Box::pin(async move {
            let peer = request.extensions().get::<SocketAddr>().copied();
            let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
            let who = peer.map(|peer| who(peer, &String::from_utf8_lossy(&body))).unwrap_or_default();
            let mut failures = failures.lock().unwrap_or_else(PoisonError::into_inner);
            let (count, locked) = failures.entry(who).or_default();
            if locked.is_some_and(|until| until > Instant::now()) {
                return reply(429, &[("retry-after", "1")], "too many");
            }
            *count += 1;
            *locked = (*count >= 5).then(|| Instant::now() + Duration::from_secs(1));
            reply(401, &[], "wrong")
        })
    });
    let server = Server::start(answering, ServerOptions::default())?;
    let mut subject = Subject { url: Some(server.address.clone()), ..Subject::default() };
    let fields = ("email".to_owned(), "password".to_owned());
    subject.hints.login = Some(LoginHint { path: "/login".into(), fields, form: false, owner: None });
    Ok(Fixture { subject, _keep: vec![Box::new(server)] })
}

/// Somebody at the door.
struct Door<'a> {
    client: Client,
    hint: &'a LoginHint,
    /// Another address of this machine for each guess, where the target is on it.
    many_addresses: bool,
}

impl Door<'_> {
    /// Tries once, from the address of this number.
    async fn knock(&self, account: &str, password: &str, number: u8) -> Result<Answer, HttpError> {
        let from = IpAddr::V4(Ipv4Addr::new(127, 0, 0, number.saturating_add(10)));
        let client = self.client.clone().coming_from(self.many_addresses.then_some(from));
        let (name, secret) = &self.hint.fields;
        let (kind, body) = if self.hint.form {
            let text = format!("{}={}&{}={}", encode(name), encode(account), encode(secret), encode(password));
            ("application/x-www-form-urlencoded", text)
        } else {
            let body = serde_json::json!({ name.as_str(): account, secret.as_str(): password });
            ("application/json", body.to_string())
        };
        let mut request = client.request(Method::POST, &self.hint.path);
        let headers = request.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
        *request.body_mut() = full(body);
        client.send(request).await
    }
}

fn encode(text: &str) -> String {
    text.bytes()
        .map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

/// Too many, locked, or come back later.
fn refuses(answer: &Answer) -> bool {
    matches!(answer.status.as_u16(), 423 | 429)
}

/// A name that nobody has.
fn nobody(number: u32) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    format!("seaworthy-check-{now:x}-{number}@example.invalid")
}

async fn look(subject: &Subject) -> Sighting {
    let Some(client) = subject.client() else { return Sighting::not_tried("name the app's address with --url") };
    let Some(hint) = &subject.hints.login else {
        return Sighting::not_tried(
            "name the route that signs people in: [check] login = { path = \"/login\", account_field = \"email\" }",
        );
    };
    let loopback = client.address().host().is_some_and(|host| host == "localhost" || host.starts_with("127."));
    let door = Door { client: client.patience(PATIENCE), hint, many_addresses: loopback };
    let account = hint.owner.as_ref().map_or_else(|| nobody(0), |(account, _)| account.clone());
    let mut cases = Cases::plan(3);
    let Some(stopped) = guess(&mut cases, &door, &account).await else { return cases.sighting("") };
    others_pass(&mut cases, &door).await;
    ends(&mut cases, &door, &account, &stopped).await;
    let from = if loopback { "as many addresses" } else { "one address" };
    let owner = if hint.owner.is_some() { "the right password" } else { "another try" };
    cases.sighting(format!(
        "{} wrong passwords for one account from {from}: {}; another account is not concerned; {owner} {} s later is \
         looked at",
        stopped.tried,
        stopped.how,
        stopped.retry_after.unwrap_or_default()
    ))
}

/// How guessing was stopped.
struct Stopped {
    tried: u8,
    how: String,
    retry_after: Option<u64>,
}

/// Wrong passwords until they are refused or held back. `None`: there is nothing further to try.
async fn guess(cases: &mut Cases, door: &Door<'_>, account: &str) -> Option<Stopped> {
    let (mut first, mut held_back) = (None, 0);
    for tried in 1..=GUESSES {
        let answer = match door.knock(account, &format!("wrong-{tried}"), tried).await {
            Ok(answer) => answer,
            Err(error) => {
                cases.told_nothing(error.to_string());
                return None;
            }
        };
        let status = answer.status.as_u16();
        if tried == 1 && (matches!(status, 404 | 405 | 415) || status >= 500 || refuses(&answer)) {
            cases.told_nothing(format!("POST {} is answered {status}: no sign-in to be tried", door.hint.path));
            return None;
        }
        let usual = *first.get_or_insert(answer.elapsed);
        let retry_after = answer.header("retry-after").and_then(|text| text.trim().parse().ok());
        held_back = if answer.elapsed > usual + HELD_BACK { held_back + 1 } else { 0 };
        let how = if refuses(&answer) {
            format!("{status} at the {tried}th")
        } else if held_back == SLOW_IN_A_ROW {
            format!("the answer to the {tried}th was held back for {:.1} s", answer.elapsed.as_secs_f64())
        } else {
            continue;
        };
        cases.tried(true, format!("{tried} wrong passwords for one account: {how}"));
        return Some(Stopped { tried, how, retry_after });
    }
    let from = if door.many_addresses { "as many addresses" } else { "one address" };
    cases.tried(false, format!("{GUESSES} wrong passwords for one account from {from}: all were looked at"));
    None
}

/// Another account, at an address that has not failed yet or, where there is but one, at the same.
async fn others_pass(cases: &mut Cases, door: &Door<'_>) {
    match door.knock(&nobody(1), "wrong", GUESSES + 1).await {
        Ok(answer) if !refuses(&answer) => cases.tried(true, "another account is looked at"),
        Ok(_) if door.many_addresses => {
            cases.tried(false, "another account is refused with it: whoever guesses locks out everybody");
        }
        Ok(_) => cases.told_nothing(
            "the address is refused, so nobody sees whether the account is: check http://127.0.0.1 on the app's machine",
        ),
        Err(error) => cases.told_nothing(error.to_string()),
    }
}

/// The account may be tried again when it was said, and its owner gets in.
async fn ends(cases: &mut Cases, door: &Door<'_>, account: &str, stopped: &Stopped) {
    let wait = match stopped.retry_after {
        Some(wait) if wait <= WAIT => wait,
        Some(wait) => {
            return cases.told_nothing(format!("the pause of {wait} s is too long to be waited for"));
        }
        // What was held back was looked at in the end.
        None if stopped.how.contains("held back") => return cases.tried(true, "it was only held back"),
        None => {
            return cases.tried(false, "the refusal has no Retry-After: nobody knows when the account is free again");
        }
    };
    sleep(Duration::from_secs(wait) + Duration::from_millis(300)).await;
    let password = door.hint.owner.as_ref().map_or("wrong", |(_, password): &(String, Secret)| password.expose());
    match door.knock(account, password, GUESSES + 2).await {
        Ok(answer) => {
            let status = answer.status.as_u16();
            let holds = if door.hint.owner.is_some() { status < 400 } else { !refuses(&answer) };
            cases.tried(holds, format!("{wait} s later: {status}"));
        }
        Err(error) => cases.told_nothing(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{fixture, probe::Outcome};

    #[tokio::test]
    async fn without_a_route_nothing_is_tried_and_another_one_tells_nothing() {
        let fixture = fixture::public(|_| reply(401, &[], "wrong")).unwrap();
        assert!(
            matches!(look(&fixture.subject).await.outcome, Outcome::NotTried(why) if why.contains("[check] login"))
        );
        let mut fixture = fixture::public(|_| reply(404, &[], "where?")).unwrap();
        fixture.subject.hints.login = guarded(by_account).unwrap().subject.hints.login;
        assert!(matches!(look(&fixture.subject).await.outcome, Outcome::Unclear(_)));
    }

    #[tokio::test]
    async fn guesses_that_are_all_looked_at_are_seen_and_so_is_a_lock_for_everybody() {
        let seen = look(&guarded(by_address).unwrap().subject).await;
        assert!(matches!(&seen.outcome, Outcome::Broken(why) if why.contains("all were looked at")), "{seen:?}");
        let seen = look(&guarded(|_, _| "all".into()).unwrap().subject).await;
        assert!(matches!(&seen.outcome, Outcome::Broken(why) if why.contains("locks out everybody")), "{seen:?}");
    }

    #[test]
    fn a_form_is_encoded() {
        assert_eq!(encode("a b&ü"), "a%20b%26%C3%BC");
    }
}
