//! A body that is passed on as it comes, and stored when it came whole.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use http::header::CONTENT_LENGTH;
use http_body::{Body as HttpBody, Frame, SizeHint};
use seaworthy_core::{Body, BoxError};

use crate::{fill::Fill, stored::Stored};

/// Passes a body on and keeps a copy, up to a limit. One that breaks off, is left by its client, or grows too large is not
/// stored.
pub(crate) struct StoringBody {
    inner: Body,
    copy: Option<Copy>,
}

struct Copy {
    fill: Fill,
    stored: Stored,
    bytes: BytesMut,
    /// Bytes that there is room for.
    room: usize,
    limit: usize,
}

impl StoringBody {
    /// `stored` has no body yet. At most `limit` bytes are kept.
    pub(crate) fn new(inner: Body, fill: Fill, stored: Stored, limit: usize) -> Self {
        let expected = inner.size_hint().exact().and_then(|length| usize::try_from(length).ok());
        let mut copy = Copy { fill, stored, bytes: BytesMut::new(), room: 0, limit };
        let fits = expected.is_none_or(|length| copy.make_room(length));
        copy.bytes.reserve(expected.filter(|_| fits).unwrap_or_default());
        let mut body = Self { inner, copy: Some(copy) };
        if !fits {
            body.refuse();
        }
        if body.inner.is_end_stream() {
            body.store();
        }
        body
    }

    fn refuse(&mut self) {
        if let Some(copy) = self.copy.take() {
            copy.fill.refuse();
        }
    }

    fn store(&mut self) {
        let Some(mut copy) = self.copy.take() else { return };
        // Less than was announced is not all of it.
        let announced = copy.stored.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        if announced.is_none_or(|length: usize| length == copy.bytes.len()) {
            copy.stored.body = copy.bytes.freeze();
            copy.fill.store(copy.stored);
        }
    }
}

impl Copy {
    fn make_room(&mut self, length: usize) -> bool {
        if length > self.limit {
            return false;
        }
        let more = length.saturating_sub(self.room);
        self.room += more;
        more == 0 || self.fill.reserve(more)
    }

    /// False when it is too much.
    fn take(&mut self, data: &Bytes) -> bool {
        let fits = self.make_room(self.bytes.len() + data.len());
        if fits {
            self.bytes.extend_from_slice(data);
        }
        fits
    }
}

impl HttpBody for StoringBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        let frame = ready!(Pin::new(&mut this.inner).poll_frame(cx));
        match &frame {
            None => this.store(),
            Some(Ok(frame)) => {
                // Trailers are not stored, and an answer without its own is another one.
                let whole = frame.data_ref().is_some_and(|data| this.copy.as_mut().is_none_or(|copy| copy.take(data)));
                if !whole {
                    this.refuse();
                } else if this.inner.is_end_stream() {
                    this.store();
                }
            }
            Some(Err(_)) => this.copy = None,
        }
        Poll::Ready(frame)
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
    use http::HeaderMap;
    use http_body_util::{BodyExt, StreamBody};

    use super::*;
    use crate::{
        fill::tests::fill,
        shard::tests::key,
        store::{Found, Store},
        stored::tests::{headers, stored},
    };

    /// A body of these frames; an error at the end where it breaks off.
    fn body(parts: &[&'static str], breaks: bool) -> Body {
        let mut frames: Vec<Result<Frame<Bytes>, BoxError>> =
            parts.iter().map(|part| Ok(Frame::data(Bytes::from_static(part.as_bytes())))).collect();
        if breaks {
            frames.push(Err("broken".into()));
        }
        let mut frames = frames.into_iter();
        let stream = futures_like(move || frames.next());
        BodyExt::boxed_unsync(StreamBody::new(stream))
    }

    fn futures_like<T>(
        mut next: impl FnMut() -> Option<T> + Send + 'static,
    ) -> impl futures_util::Stream<Item = T> + Send {
        futures_util::stream::poll_fn(move |_| Poll::Ready(next()))
    }

    async fn pass(store: &Store, body: Body, headers: HeaderMap, limit: usize, frames: usize) -> Option<Bytes> {
        let empty = stored(&HeaderMap::new(), headers, "");
        let mut passing = StoringBody::new(body, fill(store, &key("/a")), empty, limit);
        for _ in 0..frames {
            let _ = passing.frame().await;
        }
        drop(passing);
        match store.find(&key("/a"), &HeaderMap::new()) {
            Found::Answer(stored) => Some(stored.body.clone()),
            _ => None,
        }
    }

    fn store() -> Store {
        let store = Store::default();
        store.resize(1 << 20);
        store
    }

    #[tokio::test]
    async fn what_came_whole_is_stored() {
        assert_eq!(pass(&store(), body(&["ab", "cd"], false), HeaderMap::new(), 100, 3).await.unwrap(), "abcd");
        assert_eq!(pass(&store(), body(&[], false), HeaderMap::new(), 100, 1).await.unwrap(), "");
        assert_eq!(pass(&store(), seaworthy_core::empty_body(), HeaderMap::new(), 100, 0).await.unwrap(), "");
        assert_eq!(pass(&store(), seaworthy_core::full_body("xy"), HeaderMap::new(), 100, 1).await.unwrap(), "xy");
    }

    #[tokio::test]
    async fn what_did_not_is_not() {
        let cases = [
            ("the app broke off", body(&["ab"], true), HeaderMap::new(), 100, 3),
            ("the client left", body(&["ab", "cd"], false), HeaderMap::new(), 100, 1),
            ("too large", body(&["ab", "cd"], false), HeaderMap::new(), 3, 3),
            ("announced to be too large", seaworthy_core::full_body("abcd"), HeaderMap::new(), 3, 2),
            ("less than announced", body(&["ab"], false), headers(&[("content-length", "4")]), 100, 2),
        ];
        for (why, body, headers, limit, frames) in cases {
            let store = store();
            assert_eq!(pass(&store, body, headers, limit, frames).await, None, "{why}");
            assert_eq!(store.bytes(), 0, "{why}: its room is given back");
        }
    }

    #[tokio::test]
    async fn there_may_be_no_room_at_all() {
        let small = Store::default();
        small.resize(7);
        assert_eq!(pass(&small, body(&["ab", "cd"], false), HeaderMap::new(), 100, 3).await, None);
        assert_eq!(small.bytes(), 0);
    }
}
