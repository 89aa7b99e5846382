//! How long a request has waited for its own client: what has not come the app cannot answer, and a client that sends slowly
//! must not make the app look slow.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;
use seaworthy_core::{Body, BoxError};

/// The waiting of one request. A body that the app does not ask for is not waited for.
#[derive(Debug, Clone, Default)]
pub(super) struct Sending(Arc<Mutex<Waiting>>);

#[derive(Debug, Default)]
struct Waiting {
    before: Duration,
    since: Option<Instant>,
}

impl Sending {
    /// The body, watched from now on; nothing is watched where there is none.
    pub(super) fn watch(body: Body) -> (Option<Self>, Body) {
        if body.is_end_stream() {
            return (None, body);
        }
        let sending = Self::default();
        (Some(sending.clone()), WatchedBody { inner: body, sending }.boxed_unsync())
    }

    /// So long until now, in all.
    pub(super) fn waited(&self, now: Instant) -> Duration {
        let waiting = self.waiting();
        waiting.before + waiting.since.map(|since| now.saturating_duration_since(since)).unwrap_or_default()
    }

    /// More was asked for, and is there or not.
    fn asked(&self, is_there: bool, now: Instant) {
        let mut waiting = self.waiting();
        if !is_there {
            waiting.since.get_or_insert(now);
        } else if let Some(since) = waiting.since.take() {
            waiting.before += now.saturating_duration_since(since);
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct WatchedBody {
    inner: Body,
    sending: Sending,
}

impl HttpBody for WatchedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(cx);
        self.sending.asked(polled.is_ready(), Instant::now());
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use seaworthy_core::{empty_body, full_body};

    use super::*;

    #[test]
    fn only_what_was_asked_for_and_has_not_come_is_waited_for() {
        let (start, sending) = (Instant::now(), Sending::default());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(sending.waited(at(9)), Duration::ZERO, "nobody has asked for it");
        sending.asked(false, at(10));
        sending.asked(false, at(11));
        assert_eq!(sending.waited(at(13)), Duration::from_secs(3));
        sending.asked(true, at(14));
        assert_eq!(sending.waited(at(20)), Duration::from_secs(4));
        sending.asked(false, at(20));
        assert_eq!(sending.waited(at(21)), Duration::from_secs(5));
    }

    #[tokio::test]
    async fn the_body_passes_as_it_is() {
        assert!(Sending::watch(empty_body()).0.is_none());
        let (sending, body) = Sending::watch(full_body("hello"));
        assert_eq!(body.size_hint().exact(), Some(5));
        assert_eq!(body.collect().await.unwrap().to_bytes(), "hello");
        assert_eq!(sending.unwrap().waited(Instant::now()), Duration::ZERO);
    }
}
