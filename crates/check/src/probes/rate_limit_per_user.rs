//! `protection.rate-limit-per-user`: a user has one budget from every address, and two users at one address have two.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr},
    sync::Mutex,
    time::Duration,
};

use futures_util::{StreamExt, stream};
use http::{HeaderValue, Method, Request, StatusCode, header};
use hyper::body::Incoming;
use seaworthy_core::Secret;
use seaworthy_evidence::{ProbeKind, SafetyClass};

use crate::{
    fixture::{self, reply},
    http::{Answer, Client, HttpError},
    probe::{About, Cases, Probe, Sighting, Working},
    subject::{Fixture, Subject},
};

pub(super) struct RateLimitPerUser;

/// Without a known limit so many requests of one user must be enough to meet one.
const MOST: u64 = 200;
/// With a known one so many at most.
const MOST_KNOWN: u64 = 1_500;
/// Sent beyond the limit.
const BEYOND: u64 = 20;
const AT_ONCE: usize = 10;
const PATIENCE: Duration = Duration::from_secs(5);
/// Another address of this machine, for a target on it.
const ELSEWHERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 2));

impl Probe for RateLimitPerUser {
    fn about(&self) -> About {
        About { control: "protection.rate-limit-per-user".into(), kind: ProbeKind::Live, class: SafetyClass::Active }
    }

    /// It uses up a budget.
    fn alone(&self) -> bool {
        true
    }

    fn look<'a>(&'a self, subject: &'a Subject) -> Working<'a, Sighting> {
        Box::pin(look(subject))
    }

    fn present(&self) -> Working<'_, io::Result<Fixture>> {
        Box::pin(async { limited(by_token) })
    }

    fn absent(&self) -> Working<'_, io::Result<Fixture>> {
        // The common mistake: the limiter's default, by address.
        Box::pin(async { limited(by_address) })
    }
}

fn by_token(request: &Request<Incoming>) -> String {
    let token = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    token.unwrap_or("anonymous").to_owned()
}

fn by_address(request: &Request<Incoming>) -> String {
    request.extensions().get::<SocketAddr>().map_or_else(String::new, |peer| peer.ip().to_string())
}

/// A server that lets 30 pass for each of those.
fn limited(who: fn(&Request<Incoming>) -> String) -> io::Result<Fixture> {
    let seen: Mutex<HashMap<String, u32>> = Mutex::default();
    let mut fixture = fixture::public(move |request| {
        let mut seen = seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let count = seen.entry(who(request)).or_default();
        *count += 1;
        if *count > 30 { reply(429, &[("retry-after", "60")], "slow down") } else { reply(200, &[], "ok") }
    })?;
    fixture.subject.hints.tokens = vec![Secret::new("token-of-ann"), Secret::new("token-of-bob")];
    Ok(fixture)
}

/// Somebody who asks for one path.
struct User<'a> {
    client: Client,
    path: &'a str,
    token: &'a Secret,
}

impl User<'_> {
    async fn ask(&self) -> Result<Answer, HttpError> {
        let mut request = self.client.request(Method::GET, self.path);
        if let Ok(mut value) = HeaderValue::try_from(format!("Bearer {}", self.token.expose())) {
            value.set_sensitive(true);
            request.headers_mut().insert(header::AUTHORIZATION, value);
        }
        self.client.send(request).await
    }

    /// Whether a budget is used up: one may have come back, so only two that pass show that it is not.
    async fn is_refused(&self) -> Result<bool, HttpError> {
        Ok(limits(&self.ask().await?) || limits(&self.ask().await?))
    }
}

fn limits(answer: &Answer) -> bool {
    answer.status == StatusCode::TOO_MANY_REQUESTS
}

async fn look(subject: &Subject) -> Sighting {
    let Some(client) = subject.client() else { return Sighting::not_tried("name the app's address with --url") };
    let [ann, bob, ..] = &subject.hints.tokens[..] else {
        return Sighting::not_tried(
            "only requests of known users show it: name tokens of two users, [check] tokens = [\"env:TOKEN_A\", \
             \"env:TOKEN_B\"]",
        );
    };
    let known = subject.hints.rates.iter().filter(|rate| rate.path.is_some() && rate.per_user);
    let known = known.min_by_key(|rate| rate.requests);
    if let Some(rate) = known.filter(|rate| rate.requests + BEYOND > MOST_KNOWN) {
        return Sighting::not_tried(format!(
            "the smallest rate of a user is {} in {} s: more than a probe sends; give a route a smaller one",
            rate.requests, rate.window_seconds
        ));
    }
    let path = known.and_then(|rate| rate.path.clone()).or_else(|| subject.hints.paths.first().cloned());
    let path = path.unwrap_or_else(|| "/".into());
    let most = known.map_or(MOST, |rate| rate.requests + BEYOND);
    let client = client.patience(PATIENCE);
    let mut cases = Cases::plan(3);
    let here = User { client: client.clone(), path: &path, token: ann };
    let Some(passed) = uses_up(&mut cases, &here, most).await else { return cases.sighting("") };
    let loopback = client.address().host().is_some_and(|host| host == "localhost" || host.starts_with("127."));
    if loopback {
        let away = User { client: client.clone().coming_from(Some(ELSEWHERE)), path: &path, token: ann };
        let seen = |refused| {
            if refused {
                "the same user from another address is refused too"
            } else {
                "the same user has a new budget at another address"
            }
        };
        told(&mut cases, away.is_refused().await.map(|refused| (refused, seen(refused))));
    } else {
        cases.told_nothing(
            "another address of a client can be had on the app's own machine: check http://127.0.0.1 there",
        );
    }
    let other = User { client, path: &path, token: bob };
    let seen = |refused| {
        if refused {
            "another user at the same address is refused with the first"
        } else {
            "another user at the same address has a budget too"
        }
    };
    told(&mut cases, other.is_refused().await.map(|refused| (!refused, seen(refused))));
    cases.sighting(format!(
        "{most} sent to {path} as one user: {passed} answered; from another address refused too; another user at the \
         same address is answered"
    ))
}

fn told(cases: &mut Cases, seen: Result<(bool, &'static str), HttpError>) {
    match seen {
        Ok((holds, seen)) => cases.tried(holds, seen),
        Err(error) => cases.told_nothing(error.to_string()),
    }
}

/// Asks until it is refused; how many were answered. `None`: there is nothing further to try.
async fn uses_up(cases: &mut Cases, user: &User<'_>, most: u64) -> Option<usize> {
    let quiet = User { client: user.client.clone().quiet(), ..*user };
    let answers = stream::iter(0..most).map(|_| quiet.ask()).buffer_unordered(AT_ONCE);
    let answers: Vec<Answer> = answers.filter_map(async |answer| answer.ok()).collect().await;
    let refused = answers.iter().filter(|answer| limits(answer)).count();
    let seen = format!("{most} × GET {} as one user: {} answers, {refused} × 429", user.path, answers.len());
    user.client.transcript().note(&seen);
    let strange = |answer: &&Answer| matches!(answer.status.as_u16(), 401 | 403) || answer.status.is_server_error();
    if let Some(answer) = answers.iter().find(strange) {
        let status = answer.status.as_u16();
        cases.told_nothing(format!("{} as the first user of [check] tokens is answered {status}", user.path));
        return None;
    }
    if answers.is_empty() {
        cases.told_nothing(seen);
        return None;
    }
    cases.tried(refused > 0, seen);
    (refused > 0).then(|| answers.len() - refused)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::Outcome;

    #[tokio::test]
    async fn without_tokens_nothing_is_tried_and_a_refused_one_tells_nothing() {
        let fixture = fixture::public(|_| reply(200, &[], "ok")).unwrap();
        assert!(matches!(look(&fixture.subject).await.outcome, Outcome::NotTried(why) if why.contains("tokens")));
        let mut fixture = fixture::public(|_| reply(401, &[], "who?")).unwrap();
        fixture.subject.hints.tokens = vec![Secret::new("a"), Secret::new("b")];
        let seen = look(&fixture.subject).await;
        assert!(!matches!(seen.outcome, Outcome::Holds | Outcome::Broken(_)), "{seen:?}");
    }

    #[tokio::test]
    async fn a_limit_for_all_together_is_not_one_for_each() {
        let seen = look(&limited(|_| "all".into()).unwrap().subject).await;
        assert!(matches!(&seen.outcome, Outcome::Broken(why) if why.contains("another user")), "{seen:?}");
        let seen = look(&limited(by_address).unwrap().subject).await;
        assert!(matches!(&seen.outcome, Outcome::Broken(why) if why.contains("new budget")), "{seen:?}");
    }
}
