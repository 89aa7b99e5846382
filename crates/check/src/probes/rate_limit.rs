//! `protection.rate-limit`: a client that asks too often is refused, is told when to come back, and cannot get round it.

use std::{io, sync::Mutex, time::Duration};

use futures_util::{StreamExt, stream};
use http::{HeaderName, HeaderValue, Method, StatusCode};
use seaworthy_evidence::{ProbeKind, SafetyClass};
use tokio::time::{Instant, sleep};

use crate::{
    fixture::{self, reply},
    http::{Answer, Client, HttpError},
    probe::{About, Cases, Probe, Sighting, Working},
    subject::{ClaimedRate, Fixture, Subject},
};

pub(super) struct RateLimit;

/// Without a known limit so many requests must be enough to meet one: nobody reads so many pages in a few seconds.
const MOST: u64 = 200;
/// With a known one so many at most are sent: more is for a load test.
const MOST_KNOWN: u64 = 1_500;
/// Sent beyond the limit.
const BEYOND: u64 = 20;
const AT_ONCE: usize = 10;
/// A longer wait for the budget to come back is not waited for.
const WAIT: u64 = 25;
const PATIENCE: Duration = Duration::from_secs(5);
/// What a client may write itself, and a careless limiter believes.
const FORGED: [&str; 4] = ["x-forwarded-for", "forwarded", "x-real-ip", "cf-connecting-ip"];

impl Probe for RateLimit {
    fn about(&self) -> About {
        About { control: "protection.rate-limit".into(), kind: ProbeKind::Live, class: SafetyClass::Active }
    }

    /// Everybody else on this machine would be refused beside it.
    fn alone(&self) -> bool {
        true
    }

    fn look<'a>(&'a self, subject: &'a Subject) -> Working<'a, Sighting> {
        Box::pin(look(subject))
    }

    fn present(&self) -> Working<'_, io::Result<Fixture>> {
        Box::pin(async { limited(false) })
    }

    fn absent(&self) -> Working<'_, io::Result<Fixture>> {
        // The common mistake: the address is taken from a header that the client wrote.
        Box::pin(async { limited(true) })
    }
}

/// A server that lets 30 pass and then one in two seconds; `gullible`: per forwarded address.
fn limited(gullible: bool) -> io::Result<Fixture> {
    let budgets: Mutex<std::collections::HashMap<String, (f64, Instant)>> = Mutex::default();
    fixture::public(move |request| {
        let address = request.headers().get("x-forwarded-for").and_then(|value| value.to_str().ok());
        let who = address.filter(|_| gullible).unwrap_or("client").to_owned();
        let now = Instant::now();
        let mut budgets = budgets.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (left, since) = budgets.entry(who).or_insert((30.0, now));
        *left = (*left + now.duration_since(*since).as_secs_f64() / 2.0).min(30.0);
        *since = now;
        if *left < 1.0 {
            return reply(429, &[("retry-after", "2")], "slow down");
        }
        *left -= 1.0;
        reply(200, &[], "ok")
    })
}

async fn look(subject: &Subject) -> Sighting {
    let Some(client) = subject.client() else { return Sighting::not_tried("name the app's address with --url") };
    let client = client.patience(PATIENCE);
    let claimed = subject.hints.rates.iter().filter(|rate| rate.path.is_some()).min_by_key(|rate| rate.requests);
    if let Some(rate) = claimed.filter(|rate| rate.requests + BEYOND > MOST_KNOWN) {
        return Sighting::not_tried(format!(
            "the smallest rate that a GET can meet is {} in {} s: more than a probe sends; give a route a smaller one",
            rate.requests, rate.window_seconds
        ));
    }
    let path = claimed.and_then(|rate| rate.path.clone()).unwrap_or_else(|| "/".into());
    let most = claimed.map_or(MOST, |rate| rate.requests + BEYOND);
    let mut cases = Cases::plan(3);
    let Some(burst) = burst(&mut cases, &client, &path, most, claimed).await else { return cases.sighting("") };
    told_when(&mut cases, &burst);
    not_fooled(&mut cases, &client, &path).await;
    let wait = burst.retry_after.filter(|seconds| *seconds <= WAIT);
    let waited = match wait {
        Some(seconds) => {
            cases.plan_more(1);
            comes_back(&mut cases, &client, &path, seconds).await;
            format!("after {seconds} s one passes again")
        }
        None => "the wait is too long to be waited for".to_owned(),
    };
    cases.sighting(format!(
        "{} sent to {path} in {:.1} s: {} answered, {} × 429 with Retry-After {} s; {} forged headers buy nothing; {waited}",
        burst.sent,
        burst.took.as_secs_f64(),
        burst.passed,
        burst.refused,
        burst.retry_after.unwrap_or_default(),
        FORGED.len()
    ))
}

/// What became of many requests at once.
struct Burst {
    sent: u64,
    passed: u64,
    refused: u64,
    took: Duration,
    retry_after: Option<u64>,
}

/// Sends until it is refused, and a little more. `None`: there is nothing further to try.
async fn burst(
    cases: &mut Cases,
    client: &Client,
    path: &str,
    most: u64,
    claimed: Option<&ClaimedRate>,
) -> Option<Burst> {
    let started = Instant::now();
    let quiet = client.clone().quiet();
    let answers = stream::iter(0..most).map(|_| quiet.head_of(path)).buffer_unordered(AT_ONCE);
    let answers: Vec<Result<Answer, HttpError>> = answers.collect().await;
    let took = started.elapsed();
    let (answered, lost): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    let answered: Vec<Answer> = answered.into_iter().flatten().collect();
    let refused: Vec<&Answer> = answered.iter().filter(|one| one.status == StatusCode::TOO_MANY_REQUESTS).collect();
    let failed = answered.iter().filter(|one| one.status.is_server_error()).count();
    let passed = answered.len() - refused.len();
    client.transcript().note(format!(
        "{most} × GET {path} in {:.1} s: {passed} passed, {} × 429, {failed} failed, {} lost",
        took.as_secs_f64(),
        refused.len(),
        lost.len()
    ));
    let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    let seen = format!("{} requests to {path} in {:.1} s: {} × 429", answered.len(), took.as_secs_f64(), refused.len());
    if !lost.is_empty() && refused.is_empty() {
        cases.told_nothing(format!("{seen}, {} without an answer", lost.len()));
        return None;
    }
    // What came back while the burst lasted may pass too, and one more for the rounding.
    let fits = claimed.is_none_or(|rate| {
        let back = took.as_secs_f64() / rate.window_seconds.max(1) as f64 * rate.requests as f64;
        passed as f64 <= rate.requests as f64 + back + 1.0
    });
    let told = claimed
        .map_or_else(String::new, |rate| format!(", {} are allowed in {} s", rate.requests, rate.window_seconds));
    cases.tried(!refused.is_empty() && failed == 0 && fits, format!("{seen}{told}"));
    // Each of them must tell; the longest wait is the one that counts.
    let told: Option<Vec<u64>> = refused.iter().map(|one| seconds(one.header("retry-after")?)).collect();
    let retry_after = told.and_then(|told| told.into_iter().max());
    (!refused.is_empty()).then(|| Burst {
        sent: most,
        passed: count(passed),
        refused: count(refused.len()),
        took,
        retry_after,
    })
}

/// Seconds, or a date (RFC 9110, 10.2.3).
fn seconds(text: &str) -> Option<u64> {
    let until = |date: std::time::SystemTime| date.duration_since(std::time::SystemTime::now()).unwrap_or_default();
    text.trim()
        .parse()
        .ok()
        .or_else(|| httpdate::parse_http_date(text.trim()).ok().map(|date| until(date).as_secs() + 1))
}

fn told_when(cases: &mut Cases, burst: &Burst) {
    let seen = match burst.retry_after {
        Some(seconds) => format!("429 with Retry-After {seconds} s"),
        None => "429 without Retry-After: the client cannot know when to come back".to_owned(),
    };
    cases.tried(burst.retry_after.is_some(), seen);
}

/// Right after the burst: whoever claims to be somebody else is still the same client.
async fn not_fooled(cases: &mut Cases, client: &Client, path: &str) {
    // Where the budget grows by itself between two requests, passing shows nothing.
    for _ in 0..2 {
        match client.head_of(path).await {
            Ok(answer) if answer.status == StatusCode::TOO_MANY_REQUESTS => break,
            Ok(_) => {}
            Err(error) => return cases.told_nothing(error.to_string()),
        }
        if client.head_of(path).await.is_ok_and(|again| again.status != StatusCode::TOO_MANY_REQUESTS) {
            return cases.told_nothing("the budget comes back faster than forged headers can be tried from here");
        }
    }
    let mut through = Vec::new();
    for name in FORGED {
        let mut request = client.request(Method::GET, path);
        let value = if name == "forwarded" { "for=203.0.113.77" } else { "203.0.113.77" };
        request.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        match client.send(request).await {
            // One may have come back meanwhile: only what passes twice is through.
            Ok(first) if first.status != StatusCode::TOO_MANY_REQUESTS => {
                let mut again = client.request(Method::GET, path);
                again.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
                match client.send(again).await {
                    Ok(second) if second.status != StatusCode::TOO_MANY_REQUESTS => through.push(name),
                    Ok(_) => {}
                    Err(error) => return cases.told_nothing(error.to_string()),
                }
            }
            Ok(_) => {}
            Err(error) => return cases.told_nothing(error.to_string()),
        }
    }
    let seen = match through.first() {
        None => "no forged header buys a new budget".to_owned(),
        Some(name) => format!("a client that writes {name} itself has a new budget"),
    };
    cases.tried(through.is_empty(), seen);
}

async fn comes_back(cases: &mut Cases, client: &Client, path: &str, seconds: u64) {
    sleep(Duration::from_secs(seconds) + Duration::from_millis(300)).await;
    match client.head_of(path).await {
        Ok(answer) => {
            let status = answer.status;
            cases.tried(status != StatusCode::TOO_MANY_REQUESTS, format!("{seconds} s later: {}", status.as_u16()));
        }
        Err(error) => cases.told_nothing(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::Outcome;

    #[tokio::test]
    async fn an_app_without_a_limit_has_none() {
        let fixture = fixture::public(|_| reply(200, &[], "ok")).unwrap();
        let seen = look(&fixture.subject).await;
        assert!(matches!(&seen.outcome, Outcome::Broken(why) if why.contains("0 × 429")), "{seen:?}");
    }

    #[tokio::test]
    async fn more_than_is_claimed_is_seen() {
        let mut fixture = limited(false).unwrap();
        let rate = ClaimedRate { path: Some("/".into()), requests: 20, window_seconds: 60, per_user: false };
        fixture.subject.hints.rates = vec![rate];
        let seen = look(&fixture.subject).await;
        assert!(matches!(&seen.outcome, Outcome::Broken(why) if why.contains("20 are allowed")), "{seen:?}");
        fixture.subject.hints.rates =
            vec![ClaimedRate { path: Some("/".into()), requests: 5_000, window_seconds: 60, per_user: false }];
        assert!(matches!(look(&fixture.subject).await.outcome, Outcome::NotTried(_)));
    }
}
