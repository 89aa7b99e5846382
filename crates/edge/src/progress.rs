//! Waiting for the app's answer, and knowing whose turn it is: while the client sends its body slowly the app is not late,
//! and while the app does not read, the client is not.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use seaworthy_core::{Body, BoxError};
use thiserror::Error;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::headers;

/// The body waits to be read: by the app's pace.
const APP: u8 = 0;
/// The app waits for more of the body: by the client's pace.
const CLIENT: u8 = 1;
/// The whole body was read; the app owes an answer.
const ENDED: u8 = 2;
/// The body broke off: the client left, or sent what is no body.
const FAILED: u8 = 3;

/// How far the client's body has come. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Progress(Arc<State>);

#[derive(Debug)]
struct State {
    started: Instant,
    turn: AtomicU8,
    /// Milliseconds after `started` at which the turn began, or the body last moved.
    since: AtomicU64,
    /// Bytes that have come, and milliseconds that we have waited for them.
    bytes: AtomicU64,
    waited: AtomicU64,
    /// Bytes a second that must come on average; 0 for any.
    rate: u64,
    /// The app has begun its answer: nobody else waits for the body any more.
    answered: AtomicBool,
}

/// Waiting that is not counted against the rate: connections need a while to get up to speed.
const RATE_GRACE: Duration = Duration::from_secs(10);

impl Progress {
    /// `rate` is how many bytes a second must come on average, 0 for any.
    pub(crate) fn new(rate: u64) -> Self {
        Self(Arc::new(State {
            started: Instant::now(),
            turn: AtomicU8::new(APP),
            since: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            waited: AtomicU64::new(0),
            rate,
            answered: AtomicBool::new(false),
        }))
    }

    /// From now on the body watches its own time.
    pub(crate) fn answered(&self) {
        self.0.answered.store(true, Ordering::Relaxed);
    }

    /// When the client is late, should nothing more come.
    fn late_at(&self, idle: Duration) -> Instant {
        let stalled = self.state().1 + idle;
        self.too_slow_at().map_or(stalled, |slow| slow.min(stalled))
    }

    /// When the client will have been too slow, should nothing more come.
    fn too_slow_at(&self) -> Option<Instant> {
        let state = &self.0;
        let paid = Duration::from_secs(state.bytes.load(Ordering::Relaxed).checked_div(state.rate)?);
        let waited = Duration::from_millis(state.waited.load(Ordering::Relaxed));
        Some(self.state().1 + (RATE_GRACE + paid).saturating_sub(waited))
    }

    /// True when the request failed because of its body, not because of the app.
    pub(crate) fn body_failed(&self) -> bool {
        self.0.turn.load(Ordering::Relaxed) == FAILED
    }

    fn turn(&self, turn: u8) {
        let now = u64::try_from(self.0.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let since = self.0.since.swap(now, Ordering::Relaxed);
        if self.0.turn.swap(turn, Ordering::Relaxed) == CLIENT {
            self.0.waited.fetch_add(now.saturating_sub(since), Ordering::Relaxed);
        }
    }

    fn count(&self, bytes: usize) {
        self.0.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    fn state(&self) -> (u8, Instant) {
        let since = Duration::from_millis(self.0.since.load(Ordering::Relaxed));
        (self.0.turn.load(Ordering::Relaxed), self.0.started + since)
    }
}

/// A request body that tells its progress.
pub(crate) struct WatchedBody {
    inner: Body,
    progress: Progress,
    idle: Duration,
    /// Set while the client is waited for.
    timer: Option<Pin<Box<Sleep>>>,
}

/// The client sent no more of a body whose answer had begun already.
#[derive(Debug, Error)]
#[error("the client paused for too long inside its request body")]
struct BodyLate;

impl WatchedBody {
    /// `idle` is the longest pause.
    pub(crate) fn new(inner: Body, progress: Progress, idle: Duration) -> Self {
        Self { inner, progress, idle, timer: None }
    }

    /// Ready when the client is late and [`Waiting`], which would tell it so, waits no more.
    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let late_at = self.progress.late_at(self.idle);
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(late_at)));
            std::task::ready!(timer.as_mut().poll(cx));
            let now = Instant::now();
            if now < late_at {
                timer.as_mut().reset(late_at);
            } else if self.progress.0.answered.load(Ordering::Relaxed) {
                return Poll::Ready(());
            } else {
                timer.as_mut().reset(now + self.idle);
            }
        }
    }
}

impl HttpBody for WatchedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(cx);
        match &polled {
            Poll::Pending => {
                if self.progress.state().0 != CLIENT {
                    self.progress.turn(CLIENT);
                }
                if self.poll_late(cx).is_ready() {
                    self.progress.turn(FAILED);
                    return Poll::Ready(Some(Err(BodyLate.into())));
                }
            }
            Poll::Ready(Some(Err(_))) => self.progress.turn(FAILED),
            Poll::Ready(None) => self.progress.turn(ENDED),
            Poll::Ready(Some(Ok(frame))) => {
                self.progress.count(frame.data_ref().map_or(0, Bytes::len));
                self.progress.turn(if self.inner.is_end_stream() { ENDED } else { APP });
            }
        }
        polled.map(|frame| frame.map(|frame| frame.map(clean)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// Trailers are headers that come late (RFC 9110, 6.5.1): what a client may not claim before its body, it may not claim
/// behind it.
fn clean(frame: Frame<Bytes>) -> Frame<Bytes> {
    match frame.into_trailers() {
        Ok(mut trailers) => {
            headers::clean_trailers(&mut trailers);
            Frame::trailers(trailers)
        }
        Err(frame) => frame,
    }
}

/// What waiting came to.
pub(crate) enum Waited<T> {
    /// The head of an answer, or an error of the connection.
    Answer(T),
    /// The app took too long.
    TimedOut,
    /// The client paused for too long inside its body.
    Stalled,
}

/// A timer that is kept with a connection and set anew for each request: to make one and to take it away again costs several
/// times as much.
pub(crate) type Timer = Option<Pin<Box<Sleep>>>;

pin_project_lite::pin_project! {
    /// Waits for the head of the answer.
    pub(crate) struct Waiting<'a, F> {
        #[pin]
        sending: F,
        // `None` for a request without a body.
        progress: Option<Progress>,
        first_byte: Duration,
        body_idle: Duration,
        timer: &'a mut Timer,
        // Whether it is set for this request.
        set: bool,
    }
}

impl<'a, F> Waiting<'a, F> {
    /// `timer` is any that nobody else uses meanwhile.
    pub(crate) fn new(
        sending: F,
        progress: Option<Progress>,
        (first_byte, body_idle): (Duration, Duration),
        timer: &'a mut Timer,
    ) -> Self {
        Self { sending, progress, first_byte, body_idle, timer, set: false }
    }
}

impl<F: Future> Future for Waiting<'_, F> {
    type Output = Waited<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(answer) = this.sending.poll(cx) {
            return Poll::Ready(Waited::Answer(answer));
        }
        let (app, client) = (*this.first_byte, *this.body_idle);
        // With a body the turn may change unseen, so the shorter limit decides when to look again.
        let look_after = if this.progress.is_some() { app.min(client) } else { app };
        let first = !std::mem::replace(this.set, true);
        let timer = match this.timer {
            Some(timer) => {
                if first {
                    timer.as_mut().reset(Instant::now() + look_after);
                }
                timer
            }
            none => none.insert(Box::pin(tokio::time::sleep(look_after))),
        };
        loop {
            std::task::ready!(timer.as_mut().poll(cx));
            let Some(progress) = &this.progress else { return Poll::Ready(Waited::TimedOut) };
            let now = Instant::now();
            let (turn, since) = progress.state();
            let late = if turn == CLIENT { progress.late_at(client) } else { since + app };
            if now >= late {
                return Poll::Ready(if turn == CLIENT { Waited::Stalled } else { Waited::TimedOut });
            }
            timer.as_mut().reset(late.min(now + look_after));
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    /// A body that gives nothing, and never ends.
    struct Silent;

    impl HttpBody for Silent {
        type Data = Bytes;
        type Error = BoxError;

        fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
            Poll::Pending
        }
    }

    const APP_LIMIT: Duration = Duration::from_secs(10);
    const CLIENT_LIMIT: Duration = Duration::from_secs(1);

    /// Who is late, and after how many seconds, when `sending` never answers.
    async fn late(progress: Option<Progress>, sending: impl Future<Output = ()>) -> (&'static str, u64) {
        let started = Instant::now();
        let mut timer = None;
        let waited = Waiting::new(Box::pin(sending), progress, (APP_LIMIT, CLIENT_LIMIT), &mut timer).await;
        let who = match waited {
            Waited::Answer(()) => "answer",
            Waited::TimedOut => "app",
            Waited::Stalled => "client",
        };
        (who, started.elapsed().as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn the_one_whose_turn_it_is_is_late() {
        assert_eq!(late(None, std::future::pending()).await, ("app", 10));
        let progress = Progress::new(0);
        let mut silent = WatchedBody::new(Silent.boxed_unsync(), progress.clone(), CLIENT_LIMIT);
        let reading = async move {
            silent.frame().await;
        };
        assert_eq!(late(Some(progress), reading).await, ("client", 1));
        // Nobody reads: the client can do nothing about it.
        assert_eq!(late(Some(Progress::new(0)), std::future::pending()).await, ("app", 10));
    }

    #[tokio::test(start_paused = true)]
    async fn a_timer_that_an_earlier_request_has_used_is_set_anew() {
        let limits = (APP_LIMIT, CLIENT_LIMIT);
        let mut timer = None;
        // While it runs, after it has run out unseen, and after it has been seen to.
        for pause in [0, 3, 60] {
            let answer = Box::pin(tokio::time::sleep(Duration::from_secs(4)));
            assert!(matches!(Waiting::new(answer, None, limits, &mut timer).await, Waited::Answer(())));
            tokio::time::sleep(Duration::from_secs(pause)).await;
            for has_body in [false, true] {
                let progress = has_body.then(|| Progress::new(0));
                let (started, silent) = (Instant::now(), std::future::pending::<()>());
                assert!(matches!(Waiting::new(silent, progress, limits, &mut timer).await, Waited::TimedOut));
                assert_eq!(started.elapsed().as_secs(), 10, "{pause}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_clock_of_the_app_starts_when_the_body_has_ended() {
        let progress = Progress::new(0);
        let mut body = WatchedBody::new(Pieces(3).boxed_unsync(), progress.clone(), CLIENT_LIMIT);
        let reading = async move {
            while body.frame().await.is_some() {
                tokio::time::sleep(Duration::from_secs(4)).await;
            }
            std::future::pending::<()>().await;
        };
        assert_eq!(late(Some(progress), reading).await, ("app", 18));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stops_behind_an_early_answer_ends() {
        let progress = Progress::new(0);
        let mut body = WatchedBody::new(Silent.boxed_unsync(), progress.clone(), CLIENT_LIMIT);
        progress.answered();
        let started = Instant::now();
        assert!(body.frame().await.unwrap().is_err());
        assert_eq!(started.elapsed().as_secs(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_trickle_is_too_slow_however_steady() {
        let progress = Progress::new(100);
        let mut body = WatchedBody::new(Trickle(None).boxed_unsync(), progress.clone(), CLIENT_LIMIT);
        let reading = async move { while body.frame().await.is_some() {} };
        // A byte each 900 ms pays for 9 ms: the grace of ten seconds is used up soon after them.
        let (who, seconds) = late(Some(progress), reading).await;
        assert_eq!(who, "client");
        assert!((10..=12).contains(&seconds), "{seconds}");
    }

    /// One byte each 900 ms.
    struct Trickle(Option<Pin<Box<Sleep>>>);

    impl HttpBody for Trickle {
        type Data = Bytes;
        type Error = BoxError;

        fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
            let timer = self.0.get_or_insert_with(|| Box::pin(tokio::time::sleep(Duration::from_millis(900))));
            std::task::ready!(timer.as_mut().poll(cx));
            self.0 = None;
            Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"x")))))
        }
    }

    struct Pieces(u8);

    impl HttpBody for Pieces {
        type Data = Bytes;
        type Error = BoxError;

        fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
            self.0 = self.0.saturating_sub(1);
            Poll::Ready((self.0 > 0).then(|| Ok(Frame::data(Bytes::from_static(b"x")))))
        }
    }
}
