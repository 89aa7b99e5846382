//! `protection.rate-limit-headers`: every answer, and every refusal, says how much of the limit is left.

use std::{io, sync::Mutex, time::Duration};

use futures_util::{StreamExt, stream};
use http::StatusCode;
use seaworthy_evidence::{ProbeKind, SafetyClass};
use tokio::time::{Instant, sleep};

use crate::{
    fixture::{self, reply},
    http::{Answer, Client},
    probe::{About, Cases, Probe, Sighting, Working},
    subject::{ClaimedRate, Fixture, Subject},
};

pub(super) struct RateLimitHeaders;

/// Without a known limit so many requests must be enough to meet one.
const MOST: u64 = 200;
/// With a known one so many at most.
const MOST_KNOWN: u64 = 1_500;
const AT_ONCE: usize = 10;
/// A longer wait is not waited for, in seconds.
const WAIT: u64 = 25;
const PATIENCE: Duration = Duration::from_secs(5);

impl Probe for RateLimitHeaders {
    fn about(&self) -> About {
        About { control: "protection.rate-limit-headers".into(), kind: ProbeKind::Live, class: SafetyClass::Active }
    }

    /// It uses up a budget, and counts what is left.
    fn alone(&self) -> bool {
        true
    }

    fn look<'a>(&'a self, subject: &'a Subject) -> Working<'a, Sighting> {
        Box::pin(look(subject))
    }

    fn present(&self) -> Working<'_, io::Result<Fixture>> {
        Box::pin(async { limited(true) })
    }

    fn absent(&self) -> Working<'_, io::Result<Fixture>> {
        // The common mistake: only who is refused already is told anything.
        Box::pin(async { limited(false) })
    }
}

/// A server that lets 30 pass in a minute.
fn limited(tells: bool) -> io::Result<Fixture> {
    let left = Mutex::new(30_u32);
    fixture::public(move |_| {
        let mut left = left.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let refused = *left == 0;
        *left = left.saturating_sub(1);
        let state = format!("\"default\";r={left};t=2");
        let policy = ("ratelimit-policy", "\"default\";q=30;w=60");
        match (refused, tells) {
            (true, _) => reply(429, &[("retry-after", "2"), policy, ("ratelimit", &state)], "slow down"),
            (false, true) => reply(200, &[policy, ("ratelimit", &state)], "ok"),
            (false, false) => reply(200, &[], "ok"),
        }
    })
}

/// What one answer says of the nearest limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Told {
    remaining: u64,
    /// Seconds.
    reset: Option<u64>,
    limit: Option<u64>,
    /// Seconds.
    window: Option<u64>,
}

/// The IETF's two fields (draft-ietf-httpapi-ratelimit-headers), or the older three under either name.
fn told(answer: &Answer) -> Option<Told> {
    let number = |text: &str| text.trim().split(['.', ',', ';']).next()?.trim().parse::<u64>().ok();
    if let Some(state) = answer.header("ratelimit") {
        let policy = answer.header("ratelimit-policy").unwrap_or_default();
        let member = |item: &str, name: &str| {
            item.split(';').skip(1).find_map(|part| number(part.trim().strip_prefix(name)?.strip_prefix('=')?))
        };
        // Of several, the one that is nearest to its end.
        let nearest =
            state.split(',').filter(|item| member(item, "r").is_some()).min_by_key(|item| member(item, "r"))?;
        let name = nearest.split(';').next().unwrap_or_default().trim();
        let of = policy.split(',').find(|item| item.split(';').next().unwrap_or_default().trim() == name);
        return Some(Told {
            remaining: member(nearest, "r")?,
            reset: member(nearest, "t"),
            limit: of.and_then(|item| member(item, "q")),
            window: of.and_then(|item| member(item, "w")),
        });
    }
    ["x-ratelimit-", "ratelimit-", "x-rate-limit-"].iter().find_map(|prefix| {
        let field = |name: &str| answer.header(&format!("{prefix}{name}")).and_then(number);
        // Some tell the seconds, others the moment.
        let reset = field("reset").map(|reset| if reset > 1_000_000_000 { reset.saturating_sub(now()) } else { reset });
        Some(Told { remaining: field("remaining")?, reset, limit: field("limit"), window: None })
    })
}

fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

async fn look(subject: &Subject) -> Sighting {
    let Some(client) = subject.client() else { return Sighting::not_tried("name the app's address with --url") };
    let client = client.patience(PATIENCE);
    let claimed = subject.hints.rates.iter().filter(|rate| rate.path.is_some()).min_by_key(|rate| rate.requests);
    if let Some(rate) = claimed.filter(|rate| rate.requests > MOST_KNOWN) {
        return Sighting::not_tried(format!(
            "the smallest rate that a GET can meet is {} in {} s: more than a probe sends",
            rate.requests, rate.window_seconds
        ));
    }
    let path = claimed.and_then(|rate| rate.path.clone()).unwrap_or_else(|| "/".into());
    rested(&client, &path).await;
    let mut cases = Cases::plan(4);
    let Some(first) = falls(&mut cases, &client, &path, claimed).await else { return cases.sighting("") };
    refused(&mut cases, &client, &path, claimed).await;
    cases.sighting(format!(
        "GET {path}: {} remain after the first, one less with each; 0 with the refusal",
        first.remaining
    ))
}

/// Another probe may have used the budget up a moment ago: a few requests are waited for, where that is soon.
async fn rested(client: &Client, path: &str) {
    let Ok(answer) = client.head_of(path).await else { return };
    let retry = answer.header("retry-after").and_then(|text| text.trim().parse::<u64>().ok());
    let seconds = match told(&answer) {
        _ if answer.status == StatusCode::TOO_MANY_REQUESTS => retry,
        // Until one more is there.
        Some(told) if told.remaining < 4 => told.reset,
        _ => None,
    };
    if let Some(seconds) = seconds.filter(|seconds| seconds * 4 <= WAIT) {
        sleep(Duration::from_secs(seconds * 4)).await;
    }
}

/// Three requests, one after another: each is told, and one less each time. `None`: nothing further to try.
async fn falls(cases: &mut Cases, client: &Client, path: &str, claimed: Option<&ClaimedRate>) -> Option<Told> {
    let began = Instant::now();
    let mut seen = Vec::new();
    for _ in 0..3 {
        match client.head_of(path).await {
            Ok(answer) if answer.status == StatusCode::TOO_MANY_REQUESTS => {
                cases.told_nothing("the budget was used up before; try again when it is back");
                return None;
            }
            Ok(answer) => seen.push((answer.status, told(&answer))),
            Err(error) => {
                cases.told_nothing(error.to_string());
                return None;
            }
        }
    }
    let all: Option<Vec<Told>> = seen.iter().map(|(_, told)| *told).collect();
    let Some(all) = all else {
        let status = seen[0].0.as_u16();
        cases.tried(false, format!("an answer with status {status} does not say how much of a limit is left"));
        return None;
    };
    cases.tried(true, "each answer says what is left");
    let left: Vec<u64> = all.iter().map(|told| told.remaining).collect();
    let limit = all[0].limit.or(claimed.map(|rate| rate.requests));
    let window = all[0].window.or(claimed.map(|rate| rate.window_seconds));
    // What comes back while we look makes up for some of them.
    let back = match (limit, window) {
        (Some(limit), Some(window)) => (began.elapsed().as_secs_f64() / window.max(1) as f64 * limit as f64).ceil(),
        _ => 0.0,
    };
    let fell = left[0] as f64 - left[2] as f64;
    cases.tried(fell <= 2.0 && fell >= 2.0 - back && (back > 0.0 || left[0] > left[1]), format!("remaining: {left:?}"));
    let inside = all.iter().all(|told| match (told.reset, window) {
        (Some(reset), Some(window)) => reset <= window,
        (Some(reset), None) => reset <= 86_400,
        (None, _) => false,
    });
    let resets: Vec<_> = all.iter().map(|told| told.reset).collect();
    let within = window.map_or_else(String::new, |window| format!(", the window has {window} s"));
    cases.tried(inside, format!("seconds until more is there: {resets:?}{within}"));
    Some(all[0])
}

/// Uses the budget up: the refusal tells too.
async fn refused(cases: &mut Cases, client: &Client, path: &str, claimed: Option<&ClaimedRate>) {
    let most = claimed.map_or(MOST, |rate| rate.requests + 1);
    let quiet = client.clone().quiet();
    let answers: Vec<_> =
        stream::iter(0..most).map(|_| quiet.head_of(path)).buffer_unordered(AT_ONCE).collect::<Vec<_>>().await;
    let refusals: Vec<&Answer> = answers
        .iter()
        .filter_map(|answer| answer.as_ref().ok())
        .filter(|answer| answer.status == StatusCode::TOO_MANY_REQUESTS)
        .collect();
    client.transcript().note(format!("{most} × GET {path}: {} × 429", refusals.len()));
    if refusals.is_empty() {
        return cases.told_nothing(format!("{most} more requests met no limit: no refusal to look at"));
    }
    let tells = |answer: &&Answer| {
        told(answer).is_some_and(|told| told.remaining == 0) && answer.header("retry-after").is_some()
    };
    let silent = refusals.iter().filter(|answer| !tells(answer)).count();
    let seen = match silent {
        0 => "each 429 says that nothing is left, and when to come back".to_owned(),
        count => format!("{count} of {} × 429 do not say that nothing is left, or when to come back", refusals.len()),
    };
    cases.tried(silent == 0, seen);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::Outcome;

    async fn seen(headers: &'static [(&'static str, &'static str)]) -> Sighting {
        let fixture = fixture::public(move |_| reply(200, headers, "ok")).unwrap();
        look(&fixture.subject).await
    }

    #[tokio::test]
    async fn a_number_that_stands_still_is_decoration() {
        let still =
            seen(&[("x-ratelimit-limit", "100"), ("x-ratelimit-remaining", "99"), ("x-ratelimit-reset", "60")]).await;
        assert!(matches!(&still.outcome, Outcome::Broken(why) if why.contains("[99, 99, 99]")), "{still:?}");
        let nothing = seen(&[("retry-after", "3")]).await;
        assert!(matches!(nothing.outcome, Outcome::Broken(_)), "{nothing:?}");
    }

    #[tokio::test]
    async fn the_nearest_of_several_counts() {
        let fixture = fixture::public(|_| {
            let policy = ("ratelimit-policy", "\"user-60s\";q=100;w=60, \"address-1s\";q=9;w=1");
            reply(200, &[policy, ("ratelimit", "\"user-60s\";r=50;t=3, \"address-1s\";r=7;t=1")], "ok")
        });
        let fixture = fixture.unwrap();
        let answer = fixture.subject.client().unwrap().get("/").await.unwrap();
        let expected = Told { remaining: 7, reset: Some(1), limit: Some(9), window: Some(1) };
        assert_eq!(told(&answer), Some(expected));
    }
}
