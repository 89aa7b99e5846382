//! A request's body, held until it is known to be right, and then passed on byte by byte as it came.

use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;
use seaworthy_core::{Body, BoxError, full_body};
use tokio::time::timeout;

/// How long the rest of a body that is too large is read before it is refused: a client that still sends would see a reset
/// connection in place of the answer.
const LINGER: Duration = Duration::from_secs(5);

/// What became of reading it.
pub(crate) enum Gathered {
    Whole(Bytes, Option<HeaderMap>),
    TooLarge(Replay),
    /// The client, or a limit, ended it.
    BrokeOff,
}

/// Reads up to so many bytes.
pub(crate) async fn gather(mut body: Body, limit: usize) -> Gathered {
    let (mut chunks, mut length, mut trailers) = (VecDeque::new(), 0usize, None);
    if body.size_hint().lower() > limit as u64 {
        return Gathered::TooLarge(Replay { first: chunks, rest: Some(body), trailers });
    }
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return Gathered::BrokeOff };
        match frame.into_data() {
            Ok(data) => {
                length = length.saturating_add(data.len());
                chunks.push_back(data);
                if length > limit {
                    return Gathered::TooLarge(Replay { first: chunks, rest: Some(body), trailers });
                }
            }
            Err(frame) => trailers = frame.into_trailers().ok(),
        }
    }
    let whole = if chunks.len() == 1 { chunks.pop_front().unwrap_or_default() } else { joined(&chunks, length) };
    Gathered::Whole(whole, trailers)
}

fn joined(chunks: &VecDeque<Bytes>, length: usize) -> Bytes {
    let mut whole = BytesMut::with_capacity(length);
    chunks.iter().for_each(|chunk| whole.extend_from_slice(chunk));
    whole.freeze()
}

/// The body again, after it was read.
pub(crate) fn again(whole: Bytes, trailers: Option<HeaderMap>) -> Body {
    match trailers {
        None => full_body(whole),
        Some(_) => Replay { first: VecDeque::from([whole]), rest: None, trailers }.boxed_unsync(),
    }
}

/// What was read of a body, then what is left of it.
pub(crate) struct Replay {
    first: VecDeque<Bytes>,
    rest: Option<Body>,
    trailers: Option<HeaderMap>,
}

impl Replay {
    /// Reads the rest for a while and throws it away.
    pub(crate) async fn drain(self) {
        let Some(mut rest) = self.rest else { return };
        let reading = async { while let Some(Ok(_)) = rest.frame().await {} };
        // In time or not: it is refused now.
        let _ = timeout(LINGER, reading).await;
    }
}

impl HttpBody for Replay {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Some(chunk) = self.first.pop_front() {
            return Poll::Ready(Some(Ok(Frame::data(chunk))));
        }
        if let Some(rest) = &mut self.rest {
            return Poll::Ready(ready!(Pin::new(rest).poll_frame(cx)));
        }
        Poll::Ready(self.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_empty() && self.trailers.is_none() && self.rest.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let read: u64 = self.first.iter().map(|chunk| chunk.len() as u64).sum();
        let rest = self.rest.as_ref().map_or(SizeHint::with_exact(0), HttpBody::size_hint);
        let mut hint = SizeHint::new();
        hint.set_lower(read.saturating_add(rest.lower()));
        if let Some(upper) = rest.upper() {
            hint.set_upper(read.saturating_add(upper));
        }
        hint
    }
}
