//! Requests without a pause, while a drill does something to the copy that answers them.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use http::StatusCode;
use seaworthy_core::Shutdown;
use tokio::time::sleep;

use crate::http::{Answer, Client};

/// A load that runs until it is ended, dropped, or has sent as much as it should.
pub(crate) struct Load {
    stop: Shutdown,
    tally: Arc<Mutex<Tally>>,
}

/// What became of the requests.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally {
    /// Requests that have an outcome.
    pub sent: usize,
    /// Those that were not answered, or with 5xx: when each began, and what came of it.
    pub failures: Vec<(Instant, String)>,
    /// Those that a rate limit refused (429, RFC 6585): no word of the app's, so they prove nothing and refute nothing.
    pub refused: usize,
    /// Which limit the first refusal named.
    limit: Option<String>,
}

/// When more than one in so many requests were refused, the rest is too few to speak for all.
const FEW: usize = 10;

/// Fields that say which limit was met: the draft of the IETF's RateLimit fields, their older forms, and RFC 9110.
const LIMIT_FIELDS: &[&str] = &["ratelimit-policy", "ratelimit", "ratelimit-limit", "x-ratelimit-limit", "retry-after"];

impl Load {
    /// `GET path` on so many lanes, each with one request at a time, `most` in all.
    pub(crate) fn begin(client: &Client, path: &str, lanes: usize, most: usize) -> Self {
        Self::start(client, path, lanes, most, Duration::ZERO)
    }

    /// The same with a pause after each request, until it is ended: for a target that others use.
    pub(crate) fn begin_light(client: &Client, path: &str, lanes: usize, pause: Duration) -> Self {
        Self::start(client, path, lanes, usize::MAX, pause)
    }

    fn start(client: &Client, path: &str, lanes: usize, most: usize, pause: Duration) -> Self {
        let load = Self { stop: Shutdown::new(), tally: Arc::default() };
        let begun = Arc::new(AtomicUsize::new(0));
        for _ in 0..lanes {
            let (stop, tally, begun) = (load.stop.clone(), load.tally.clone(), begun.clone());
            let (client, path) = (client.clone().quiet(), path.to_owned());
            load.stop.spawn(async move {
                while !stop.has_begun() && begun.fetch_add(1, Ordering::Relaxed) < most {
                    let at = Instant::now();
                    let outcome = client.get(&path).await;
                    let refusal = match &outcome {
                        Ok(answer) if answer.status == StatusCode::TOO_MANY_REQUESTS => Some(limit_of(answer)),
                        _ => None,
                    };
                    let failure = match outcome {
                        Ok(answer) if answer.status.is_server_error() => Some(answer.status.as_u16().to_string()),
                        Ok(_) => None,
                        Err(error) => Some(error.to_string()),
                    };
                    {
                        let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
                        tally.sent += 1;
                        tally.failures.extend(failure.map(|failure| (at, failure)));
                        tally.refused += usize::from(refusal.is_some());
                        tally.limit = tally.limit.take().or(refusal);
                    }
                    if !pause.is_zero() {
                        sleep(pause).await;
                    }
                }
            });
        }
        load
    }

    /// Waits until everything was sent, at most this long.
    pub(crate) async fn whole(self, patience: Duration) -> Tally {
        self.stop.finished(sleep(patience)).await;
        self.end().await
    }

    /// No new requests; waits for those on their way.
    pub(crate) async fn end(self) -> Tally {
        self.stop.begin();
        self.stop.finished(sleep(Duration::from_secs(20))).await;
        self.tally.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Which limit a refusal names, as far as it does.
fn limit_of(answer: &Answer) -> String {
    let named = LIMIT_FIELDS.iter().find_map(|name| {
        let value: String = answer.headers.get(*name)?.to_str().ok()?.chars().take(80).collect();
        Some(format!("{name}: {value}"))
    });
    named.unwrap_or_else(|| "no field says which limit".to_owned())
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.begin();
    }
}

impl Tally {
    /// Requests that the app answered.
    pub(crate) fn answered(&self) -> usize {
        self.sent.saturating_sub(self.failures.len() + self.refused)
    }

    /// Why a load tells nothing of the app that must be answered to the last request.
    pub(crate) fn refusal(&self) -> Option<String> {
        let limit = self.limit.as_deref().filter(|_| self.refused > 0)?;
        Some(format!(
            "{} of {} requests of the load were refused with 429 ({limit}): the drill met a rate limit and not the app; \
             raise that limit for the drill",
            self.refused, self.sent
        ))
    }

    /// Why a load tells nothing of the app that would be told by most of its requests.
    pub(crate) fn drowned(&self) -> Option<String> {
        self.refusal().filter(|_| self.refused * FEW > self.sent)
    }

    /// Failures of requests that began outside this span, and how many began within.
    pub(crate) fn outside(&self, from: Instant, span: Duration) -> (Vec<&str>, usize) {
        let inside = |at: &Instant| *at < from + span && *at + Duration::from_secs(1) > from;
        let (within, outside): (Vec<_>, Vec<_>) = self.failures.iter().partition(|(at, _)| inside(at));
        (outside.into_iter().map(|(_, why)| why.as_str()).collect(), within.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{fixture, http::Transcript};

    #[tokio::test]
    async fn a_load_counts_what_it_sends() {
        let fixture =
            fixture::public(|request| fixture::reply(if request.uri().path() == "/bad" { 503 } else { 404 }, &[], ""));
        let fixture = fixture.unwrap();
        let client = Client::new(fixture.subject.url.clone().unwrap(), Transcript::default());
        let well = Load::begin(&client, "/", 4, 50).whole(Duration::from_secs(10)).await;
        assert_eq!((well.sent, well.failures.len()), (50, 0));
        let bad = Load::begin(&client, "/bad", 2, 10).whole(Duration::from_secs(10)).await;
        assert_eq!((bad.sent, bad.failures.len()), (10, 10));
        assert_eq!((well.answered(), bad.answered(), well.refusal(), bad.refusal()), (50, 0, None, None));
        let (outside, within) = bad.outside(Instant::now(), Duration::ZERO);
        assert_eq!((outside.len(), within), (0, 10));
        let (outside, _) = bad.outside(Instant::now() + Duration::from_secs(5), Duration::ZERO);
        assert_eq!(outside.len(), 10);
    }

    #[tokio::test]
    async fn a_refusal_by_a_limit_is_no_answer_and_names_the_limit() {
        let passed = std::sync::atomic::AtomicUsize::new(0);
        let fixture = fixture::public(move |_| match passed.fetch_add(1, Ordering::Relaxed) {
            0..95 => fixture::reply(200, &[], ""),
            _ => fixture::reply(429, &[("ratelimit-policy", "\"default\";q=95;w=60"), ("retry-after", "60")], ""),
        });
        let fixture = fixture.unwrap();
        let client = Client::new(fixture.subject.url.clone().unwrap(), Transcript::default());
        let some = Load::begin(&client, "/", 4, 100).whole(Duration::from_secs(10)).await;
        assert_eq!((some.sent, some.answered(), some.refused, some.failures.len()), (100, 95, 5, 0));
        assert!(some.drowned().is_none(), "the others speak for themselves");
        assert!(some.refusal().is_some_and(|why| why.contains("5 of 100") && why.contains("q=95;w=60")));
        let all = Load::begin(&client, "/", 4, 20).whole(Duration::from_secs(10)).await;
        assert_eq!((all.answered(), all.refused), (0, 20));
        assert!(all.drowned().is_some_and(|why| why.contains("20 of 20")));
    }
}
