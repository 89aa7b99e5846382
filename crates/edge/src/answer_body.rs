//! The app's answer on its way to the client: it gives its connection back when it has ended, and is not waited for
//! without end.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use seaworthy_core::BoxError;
use thiserror::Error;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::pool::{Connection, Pool};

/// Why an answer was cut.
#[derive(Debug, Error)]
enum Cut {
    #[error("the app paused inside its answer for longer than response_idle ({0:?})")]
    Idle(Duration),
    #[error("the request took longer than its total timeout")]
    Total,
}

/// Limits on the time of an answer's body.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BodyLimits {
    /// Between two pieces, when there is such a limit.
    pub idle: Option<Duration>,
    /// For all of it, when there is such a limit.
    pub until: Option<Instant>,
}

/// A response body that gives its connection back to the pool once it was read to the end. Dropped earlier, it takes the
/// connection with it: the app sees at once that nobody reads any more.
#[derive(Debug)]
pub(crate) struct AnswerBody {
    incoming: Incoming,
    connection: Option<Connection>,
    pool: Arc<Pool>,
    limits: BodyLimits,
    /// Set only while we wait for the app, so that an answer which is there at once costs no timer.
    timer: Option<Pin<Box<Sleep>>>,
}

impl AnswerBody {
    pub(crate) fn new(incoming: Incoming, connection: Connection, pool: Arc<Pool>, limits: BodyLimits) -> Self {
        let mut body = Self { incoming, connection: Some(connection), pool, limits, timer: None };
        if body.incoming.is_end_stream() {
            body.release();
        }
        body
    }

    fn release(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.pool.give_back(connection);
        }
    }

    /// Ready when the app has paused for too long.
    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<Cut> {
        if self.limits.idle.is_none() && self.limits.until.is_none() {
            return Poll::Pending;
        }
        let limits = self.limits;
        let timer = self.timer.get_or_insert_with(|| {
            let idle = limits.idle.map(|idle| Instant::now() + idle);
            let first = [idle, limits.until].into_iter().flatten().min();
            // One of them is there; a day is as good as none.
            Box::pin(sleep_until(first.unwrap_or_else(|| Instant::now() + Duration::from_secs(86_400))))
        });
        timer.as_mut().poll(cx).map(|()| match limits.until {
            Some(until) if Instant::now() >= until => Cut::Total,
            _ => Cut::Idle(limits.idle.unwrap_or_default()),
        })
    }

    fn cut(&mut self, error: BoxError) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        tracing::warn!(%error, "the app broke off in the middle of an answer");
        self.connection = None;
        Poll::Ready(Some(Err(error)))
    }
}

impl HttpBody for AnswerBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        match Pin::new(&mut this.incoming).poll_frame(cx) {
            Poll::Pending => match this.poll_late(cx) {
                Poll::Ready(cut) => this.cut(cut.into()),
                Poll::Pending => Poll::Pending,
            },
            Poll::Ready(Some(Err(error))) => this.cut(error.into()),
            Poll::Ready(_) if this.limits.until.is_some_and(|until| Instant::now() >= until) => {
                this.cut(Cut::Total.into())
            }
            Poll::Ready(frame) => {
                this.timer = None;
                if frame.is_none() || this.incoming.is_end_stream() {
                    this.release();
                }
                Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
