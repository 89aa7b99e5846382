//! `cache.response`: a read that is repeated is answered from a copy, the copy is the same, and it is nobody's private one.
//!
//! A copy shows by itself (`copies.rs`).

use std::{io, sync::Mutex};

use http::{HeaderValue, Method, StatusCode, header};
use seaworthy_evidence::{ProbeKind, SafetyClass};

use crate::{
    fixture::{self, reply},
    http::{Answer, Client, HttpError},
    probe::{About, Cases, Probe, Sighting, Working},
    probes::copies::{is_copy, twice},
    subject::{Fixture, Subject},
};

pub(super) struct CachedResponses;

/// So many routes are asked, beside the start page.
const ROUTES: usize = 12;

impl Probe for CachedResponses {
    fn about(&self) -> About {
        About { control: "cache.response".into(), kind: ProbeKind::Live, class: SafetyClass::Active }
    }

    fn look<'a>(&'a self, subject: &'a Subject) -> Working<'a, Sighting> {
        Box::pin(look(subject))
    }

    fn present(&self) -> Working<'_, io::Result<Fixture>> {
        Box::pin(async { caching(false) })
    }

    fn absent(&self) -> Working<'_, io::Result<Fixture>> {
        // The common mistake: the address alone is the key, whoever asks.
        Box::pin(async { caching(true) })
    }
}

/// A server that keeps answers by their address; `careless`: also those to requests with credentials.
fn caching(careless: bool) -> io::Result<Fixture> {
    let known: Mutex<std::collections::HashSet<String>> = Mutex::default();
    fixture::public(move |request| {
        let (address, named) = (request.uri().to_string(), request.headers().contains_key(header::AUTHORIZATION));
        let mut known = known.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let hit = (careless || !named) && !known.insert(address);
        let headers = [("cache-control", "max-age=60"), ("age", "1")];
        reply(200, if hit { &headers } else { &headers[..1] }, "{\"items\": []}")
    })
}

async fn look(subject: &Subject) -> Sighting {
    let Some(client) = subject.client() else { return Sighting::not_tried("name the app's address with --url") };
    let sample = subject.sample(ROUTES).await;
    let mut paths: Vec<&str> = subject.hints.cached_paths.iter().map(String::as_str).collect();
    let claimed = paths.len();
    for path in sample.paths().chain(["/"]) {
        if !paths.contains(&path) {
            paths.push(path);
        }
    }
    // One of them must be answered from a copy; each that is said to be cached must be.
    let mut cases = Cases::plan(1 + claimed);
    let (mut hits, mut answered) = (Vec::new(), 0);
    for (number, path) in paths.iter().enumerate() {
        match twice(&client, path).await {
            Ok((first, second)) => {
                answered += usize::from(first.status == StatusCode::OK);
                let hit = first.status == StatusCode::OK && is_copy(&first, &second);
                if hit {
                    hits.push(*path);
                    cases.plan_more(3);
                    harmless(&mut cases, &client, path, &first, &second).await;
                }
                if number < claimed {
                    let seen = if hit { "from a copy" } else { "not from a copy" };
                    cases.tried(hit, format!("GET {path} twice, which is said to be cached: the second is {seen}"));
                }
            }
            Err(error) if number < claimed => cases.told_nothing(error.to_string()),
            Err(error) => cases.note(error.to_string()),
        }
    }
    match (hits.is_empty(), answered) {
        (true, 0) => {
            cases.told_nothing("no path gives a whole answer (200) without signing in: name one in [check] paths")
        }
        (true, _) => cases.tried(false, format!("none of {answered} paths is answered from a copy the second time")),
        (false, _) => cases.tried(true, format!("answered from a copy: {}", hits.join(", "))),
    }
    cases.sighting(format!(
        "{} of {answered} paths, asked twice, are answered from a copy: the same bytes, no cookie in it, and what one sender \
         of credentials got no other gets; {sample}",
        hits.len()
    ))
}

/// What a copy must not do: differ, hand out somebody's cookie, or be given to another sender of credentials.
async fn harmless(cases: &mut Cases, client: &Client, path: &str, first: &Answer, second: &Answer) {
    cases.tried(first.body == second.body, format!("GET {path}: the copy has {} bytes, the same", second.length));
    let cookie = second.header("set-cookie").is_some();
    cases.tried(!cookie, format!("GET {path}: the copy {} a cookie", if cookie { "sets" } else { "does not set" }));
    not_shared(cases, client, path).await;
}

/// What one sender of credentials was answered no other gets, unless the answer says that it is for all (RFC 9111, 3.5).
pub(super) async fn not_shared(cases: &mut Cases, client: &Client, path: &str) {
    // An address that nobody has asked for yet, so that what is there comes from these two.
    let own = fresh(path);
    let answers = (as_somebody(client, &own, "one").await, as_somebody(client, &own, "two").await);
    match answers {
        (Ok(one), Ok(two)) => {
            let allowed = ["public", "s-maxage", "must-revalidate"];
            let says = one.header("cache-control").unwrap_or_default().to_ascii_lowercase();
            let shared = is_copy(&one, &two) && !allowed.iter().any(|word| says.contains(word));
            let seen = if shared { "gets the first one's answer" } else { "gets an answer of its own" };
            cases.tried(!shared, format!("GET {path} with a token, then with another one: the second {seen}"));
        }
        (Err(error), _) | (_, Err(error)) => cases.told_nothing(error.to_string()),
    }
}

/// A path that nobody has asked for yet.
pub(super) fn fresh(path: &str) -> String {
    let joint = if path.contains('?') { '&' } else { '?' };
    format!("{path}{joint}seaworthy-check={:016x}", fastrand::u64(..))
}

async fn as_somebody(client: &Client, path: &str, who: &str) -> Result<Answer, HttpError> {
    let mut request = client.request(Method::GET, path);
    let token = format!("Bearer seaworthy-check-{who}-{:016x}", fastrand::u64(..));
    if let Ok(token) = HeaderValue::from_str(&token) {
        request.headers_mut().insert(header::AUTHORIZATION, token);
    }
    client.send(request).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::Outcome;

    #[tokio::test]
    async fn without_copies_it_is_broken_and_behind_a_closed_door_unclear() {
        let plain = fixture::public(|_| reply(200, &[("cache-control", "max-age=60")], "x")).unwrap();
        let seen = look(&plain.subject).await;
        assert!(matches!(&seen.outcome, Outcome::Broken(why) if why.contains("none of")), "{seen:?}");
        let closed = fixture::public(|_| reply(401, &[], "who are you?")).unwrap();
        let seen = look(&closed.subject).await;
        assert!(matches!(seen.outcome, Outcome::Unclear(_)), "{seen:?}");
    }

    #[tokio::test]
    async fn a_copy_that_hands_out_a_cookie_is_found_out() {
        let kept = fixture::public(|_| reply(200, &[("age", "5"), ("set-cookie", "sid=1")], "x")).unwrap();
        let seen = look(&kept.subject).await;
        assert!(matches!(&seen.outcome, Outcome::Broken(why) if why.contains("cookie")), "{seen:?}");
    }

    #[tokio::test]
    async fn what_is_said_to_be_cached_must_be() {
        let mut some = fixture::public(|request| match request.uri().path() {
            "/" => reply(200, &[("x-cache", "HIT"), ("cache-control", "public")], "x"),
            _ => reply(200, &[], "x"),
        })
        .unwrap();
        some.subject.hints.cached_paths = vec!["/claimed".into()];
        let seen = look(&some.subject).await;
        assert!(matches!(&seen.outcome, Outcome::Broken(why) if why.contains("/claimed")), "{seen:?}");
    }
}
