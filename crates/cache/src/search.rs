//! A POST that only asks: told apart by its whole body, which is read first, up to the policy's limit.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use bytes::{Bytes, BytesMut};
use http::{
    HeaderMap, Request, Response,
    header::{CONTENT_ENCODING, CONTENT_TYPE},
};
use http_body::{Body as HttpBody, Frame};
use http_body_util::BodyExt;
use seaworthy_core::{Body, BoxError, RequestContext};
use sha2::{Digest, Sha256};
use tokio::time::timeout_at;

use crate::{app::App, exchange::Exchange, key::Key, layer::Route, store::Found};

/// Answers such a POST from the store, or has the app asked.
pub(crate) async fn call(
    app: App,
    route: Arc<Route>,
    context: Arc<RequestContext>,
    request: Request<Body>,
) -> Response<Body> {
    let limit = route.policy.search.unwrap_or_default();
    let (parts, body) = request.into_parts();
    let body = match read(body, limit, tokio::time::Instant::now() + route.wait).await {
        Ok(body) => body,
        Err(begun) => {
            let Ok(mut response) = app.ask(Request::from_parts(parts, begun.boxed_unsync())).await;
            route.pass(&mut response, "request");
            return response;
        }
    };
    let partition = route.policy.partition(&parts.headers, context.principal.get());
    let digest = digest(&parts.headers, &body);
    let head = Request::from_parts(parts, seaworthy_core::empty_body());
    let key = Key::of(&head, &context, &route.policy, partition, Some(&digest));
    let (parts, _) = head.into_parts();
    let now = Instant::now();
    if let Found::Answer(stored) = route.store.find(&key, &parts.headers)
        && stored.is_fresh(now)
        && Route::may_share(partition, &stored)
    {
        route.counts.hit.increment(1);
        return route.hit(&stored, &parts.method, &parts.headers, now, None);
    }
    Exchange { app, route, parts, body, key, partition }.run().await
}

fn digest(headers: &HeaderMap, body: &[u8]) -> [u8; 32] {
    let mut digest = Sha256::new();
    for name in [CONTENT_TYPE, CONTENT_ENCODING] {
        for value in headers.get_all(name) {
            digest.update((value.len() as u64).to_le_bytes());
            digest.update(value);
        }
        digest.update(u64::MAX.to_le_bytes());
    }
    digest.update(body);
    digest.finalize().into()
}

/// The whole body; or, where it is too large, too slow, broken or has trailers, a body that is as if nobody had read it.
async fn read(mut body: Body, limit: usize, until: tokio::time::Instant) -> Result<Bytes, Begun> {
    let (mut frames, mut length) = (VecDeque::new(), 0);
    loop {
        match timeout_at(until, body.frame()).await {
            Ok(None) => break,
            Ok(Some(Ok(frame))) => {
                let data = frame.data_ref().map(Bytes::len);
                length += data.unwrap_or_default();
                frames.push_back(Ok(frame));
                if data.is_none() || length > limit {
                    return Err(Begun { frames, rest: Some(body) });
                }
            }
            Ok(Some(Err(error))) => {
                frames.push_back(Err(error));
                return Err(Begun { frames, rest: None });
            }
            Err(_) => return Err(Begun { frames, rest: Some(body) }),
        }
    }
    let mut whole = BytesMut::with_capacity(length);
    for frame in frames.into_iter().flatten() {
        whole.extend_from_slice(frame.data_ref().map(Bytes::as_ref).unwrap_or_default());
    }
    Ok(whole.freeze())
}

/// What was read of a body, and the rest of it.
struct Begun {
    frames: VecDeque<Result<Frame<Bytes>, BoxError>>,
    rest: Option<Body>,
}

impl HttpBody for Begun {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Some(frame) = self.frames.pop_front() {
            return Poll::Ready(Some(frame));
        }
        match &mut self.rest {
            Some(rest) => Pin::new(rest).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.frames.is_empty() && self.rest.as_ref().is_none_or(HttpBody::is_end_stream)
    }
}

#[cfg(test)]
mod tests {
    use seaworthy_core::full_body;

    use super::*;
    use crate::stored::tests::headers;

    fn soon() -> tokio::time::Instant {
        tokio::time::Instant::now() + std::time::Duration::from_secs(5)
    }

    #[tokio::test]
    async fn a_body_that_is_too_large_goes_on_whole() {
        assert_eq!(read(full_body("12345"), 5, soon()).await.ok().unwrap(), "12345");
        let begun = read(full_body("123456"), 5, soon()).await.err().unwrap();
        assert!(!begun.is_end_stream());
        assert_eq!(begun.collect().await.unwrap().to_bytes(), "123456");
    }

    #[test]
    fn bodies_and_their_types_are_told_apart() {
        let json = headers(&[("content-type", "application/json")]);
        assert_eq!(digest(&json, b"{}"), digest(&json, b"{}"));
        assert_ne!(digest(&json, b"{}"), digest(&json, b"{} "));
        assert_ne!(digest(&json, b"{}"), digest(&HeaderMap::new(), b"{}"));
        let encoded = headers(&[("content-encoding", "application/json")]);
        assert_ne!(digest(&json, b"{}"), digest(&encoded, b"{}"));
    }
}
