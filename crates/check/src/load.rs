//! Requests without a pause, while a drill does something to the copy that answers them.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use seaworthy_core::Shutdown;
use tokio::time::sleep;

use crate::http::Client;

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
}

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
                    let failure = match client.get(&path).await {
                        Ok(answer) if answer.status.is_server_error() => Some(answer.status.as_u16().to_string()),
                        Ok(_) => None,
                        Err(error) => Some(error.to_string()),
                    };
                    {
                        let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
                        tally.sent += 1;
                        tally.failures.extend(failure.map(|failure| (at, failure)));
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

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.begin();
    }
}

impl Tally {
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
        let (outside, within) = bad.outside(Instant::now(), Duration::ZERO);
        assert_eq!((outside.len(), within), (0, 10));
        let (outside, _) = bad.outside(Instant::now() + Duration::from_secs(5), Duration::ZERO);
        assert_eq!(outside.len(), 10);
    }
}
