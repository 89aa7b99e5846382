//! Bodies that are looked at while they stream: a request's is hashed, an answer's is kept up to a limit.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;
use seaworthy_core::{Body, BoxError};
use sha2::{Digest, Sha256};
use tokio::time::timeout;

/// A repeated request's body that pauses longer is given up.
const PATIENCE: Duration = Duration::from_secs(30);

/// What has been read of a request.
#[derive(Clone)]
pub(super) struct Fingerprint(Arc<Mutex<Reading>>);

struct Reading {
    hash: Sha256,
    left: Option<u64>,
    done: bool,
}

impl Fingerprint {
    /// Of a request whose head is in `hash`: the body is hashed as whoever has it reads it.
    pub(super) fn watching(hash: Sha256, body: Body) -> (Self, Body) {
        let left = body.size_hint().exact();
        let reading = Reading { hash, left, done: body.is_end_stream() };
        let own = Self(Arc::new(Mutex::new(reading)));
        if body.is_end_stream() {
            return (own, body);
        }
        let watched = Hashing { inner: body, reading: own.0.clone() }.boxed_unsync();
        (own, watched)
    }

    /// `None` while the body has not been read to its end.
    pub(super) fn complete(&self) -> Option<[u8; 32]> {
        let reading = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        reading.done.then(|| reading.hash.clone().finalize().into())
    }
}

/// Reads a body to its end for its fingerprint alone; `None` when it breaks off.
pub(super) async fn fingerprint(mut hash: Sha256, mut body: Body) -> Option<[u8; 32]> {
    loop {
        match timeout(PATIENCE, body.frame()).await.ok()? {
            Some(frame) => {
                if let Some(data) = frame.ok()?.data_ref() {
                    hash.update(data);
                }
            }
            None => return Some(hash.finalize().into()),
        }
    }
}

struct Hashing {
    inner: Body,
    reading: Arc<Mutex<Reading>>,
}

impl HttpBody for Hashing {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        let mut reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        match &frame {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    reading.hash.update(data);
                    reading.left = reading.left.map(|left| left.saturating_sub(data.len() as u64));
                }
                // Whoever knows the length need not ask for the end.
                reading.done = reading.left == Some(0) || self.inner.is_end_stream();
            }
            Some(Err(_)) => {}
            None => reading.done = true,
        }
        drop(reading);
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// An answer's body, read as far as it may be kept.
pub(super) enum Collected {
    /// All of it.
    Whole(Bytes),
    /// It is larger, or ends with trailers: what was read, and the rest.
    More(Body),
    /// It broke off.
    Broken,
}

/// Reads at most about `limit` bytes.
pub(super) async fn collect(mut body: Body, limit: usize) -> Collected {
    let mut read = BytesMut::new();
    loop {
        let frame = match body.frame().await {
            None => return Collected::Whole(read.freeze()),
            Some(Err(_)) => return Collected::Broken,
            Some(Ok(frame)) => frame,
        };
        match frame.data_ref() {
            Some(data) if read.len() + data.len() <= limit => read.extend_from_slice(data),
            // Too much of it, or trailers.
            _ => {
                let before = VecDeque::from([Frame::data(read.freeze()), frame]);
                return Collected::More(Resumed { before, rest: body }.boxed_unsync());
            }
        }
    }
}

/// What was read already, and then the rest.
struct Resumed {
    before: VecDeque<Frame<Bytes>>,
    rest: Body,
}

impl HttpBody for Resumed {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.before.pop_front() {
            Some(frame) => Poll::Ready(Some(Ok(frame))),
            None => Pin::new(&mut self.rest).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.before.is_empty() && self.rest.is_end_stream()
    }
}

#[cfg(test)]
mod tests {
    use seaworthy_core::full_body;

    use super::*;

    #[tokio::test]
    async fn a_watched_body_has_the_fingerprint_of_a_read_one() {
        let (watching, body) = Fingerprint::watching(Sha256::new(), full_body("12345"));
        assert_eq!(watching.complete(), None);
        assert_eq!(body.collect().await.unwrap().to_bytes(), "12345");
        assert_eq!(watching.complete(), fingerprint(Sha256::new(), full_body("12345")).await);
        assert_ne!(watching.complete(), fingerprint(Sha256::new(), full_body("1234")).await);
        let (empty, _) = Fingerprint::watching(Sha256::new(), seaworthy_core::empty_body());
        assert_eq!(empty.complete(), fingerprint(Sha256::new(), full_body("")).await);
    }

    #[tokio::test]
    async fn an_answer_is_kept_up_to_its_limit_and_passes_whole_beyond() {
        assert!(matches!(collect(full_body("12345"), 5).await, Collected::Whole(bytes) if bytes == "12345"));
        let Collected::More(body) = collect(full_body("123456"), 5).await else { panic!("it is too large") };
        assert_eq!(body.collect().await.unwrap().to_bytes(), "123456");
    }
}
